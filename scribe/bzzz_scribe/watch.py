"""Watches the mesh: who is there, what they say they can, and that live discussions have a listener.

What is said on an issue's topic changes nothing here: a discussion's state is the fold of its claimant's log
(architecture §5, *one truth*). Being on the topic makes the scribe one more path for the gossip.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio

from bzzz_mesh import AddressError, Mesh, MeshError, Received
from bzzz_scribe.errors import SettingsError
from bzzz_scribe.keeper import Keeper
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.settings import Member, read_file, read_members
from hmmm.envelope import SigningKey
from hmmm.errors import RemoteProtocolError
from hmmm.membership import Roster
from hmmm.messages import (
    ESCALATION_TOPIC,
    HIVE_TOPIC,
    Capabilities,
    Signed,
    check_author,
    check_topic,
    issue_topic,
    parse_message,
    sign_message,
)

ANNOUNCE_S: Final = 30.0
"""Architecture §5: capabilities are repeated every 30 s."""
TICK_S: Final = 1.0
"""How often presence, live issues and the files are looked at."""
MAX_ISSUE_TOPICS: Final = 256
MAX_COMPLAINTS: Final = 1024

log = structlog.get_logger("bzzz.scribe.watch")


class Watcher:
    """The scribe on the mesh."""

    def __init__(
        self,
        mesh: Mesh,
        roster: Roster,
        key: SigningKey,
        keeper: Keeper,
        metrics: ScribeMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._mesh = mesh
        self._roster = roster
        self._key = key
        self._keeper = keeper
        self._metrics = metrics
        self._now = now
        self._complained: set[tuple[str, str]] = set()
        self._topics: dict[int, trio.CancelScope] = {}

    async def run(self, *, members_file: Path, revocations_file: Path | None) -> None:
        """Watch until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, HIVE_TOPIC)
            nursery.start_soon(self._listen, ESCALATION_TOPIC)
            nursery.start_soon(self._announce)
            nursery.start_soon(partial(_follow_file, members_file, self._take_members))
            if revocations_file is not None:
                nursery.start_soon(partial(_follow_file, revocations_file, self._take_revocations))
            while True:
                self._look(nursery)
                await trio.sleep(TICK_S)

    def _look(self, nursery: trio.Nursery) -> None:
        for card in self._roster.members(self._now()):
            raw = self._roster.card_bytes_of(card.peer_id)
            if raw is not None and card.role == "agent":
                self._keeper.learn_card(raw)
        self._keeper.note_connected(p.peer_id for p in self._mesh.peers() if p.connected)
        live = self._keeper.live_issues()
        for number in set(self._topics) - live:
            self._topics.pop(number).cancel()
        for number in sorted(live - set(self._topics))[: MAX_ISSUE_TOPICS - len(self._topics)]:
            scope = self._topics[number] = trio.CancelScope()
            nursery.start_soon(self._listen_within, scope, issue_topic(number))

    async def _listen_within(self, scope: trio.CancelScope, topic: str) -> None:
        with scope:
            await self._listen(topic)

    async def _listen(self, topic: str) -> None:
        async with self._mesh.subscribe(topic) as subscription:
            async for received in subscription:
                try:
                    await self._hear(received)
                except RemoteProtocolError as error:
                    self._complain(received.author, error)

    async def _hear(self, received: Received) -> None:
        """Take in one message. Raises RemoteProtocolError."""
        signed = parse_message(received.data)
        check_topic(signed.message, received.topic)
        card = self._roster.card_of(signed.peer_id, self._now())
        if card is None or received.author != signed.peer_id:
            raise RemoteProtocolError(
                "unknown_author", f"message by {signed.peer_id}: no valid card; dropped"
            )
        check_author(signed, card.node_id, card.peer_id)
        self._metrics.messages.labels(signed.message.type).inc()
        if isinstance(signed.message, Capabilities) and card.role == "agent":
            self._keeper.hear(signed.message, card.peer_id)
            await self._reach(card.peer_id, signed)

    async def _reach(self, peer_id: str, signed: Signed) -> None:
        """Dial an agent at the addresses that it announces, if it is not connected (architecture §4)."""
        message = signed.message
        if not isinstance(message, Capabilities) or not message.addresses:
            return
        if not any(p.peer_id == peer_id and p.connected for p in self._mesh.peers()):
            try:
                await self._mesh.connect(peer_id, message.addresses)
            except AddressError as error:
                raise RemoteProtocolError("bad_address", f"capabilities of {peer_id}: {error}") from error

    def _complain(self, author: str, error: RemoteProtocolError) -> None:
        self._metrics.dropped.labels(error.reason).inc()
        offence = (author, error.reason)
        if offence not in self._complained and len(self._complained) < MAX_COMPLAINTS:
            self._complained.add(offence)
            log.warning("message dropped", author=author, reason=error.reason, error=str(error))

    async def _announce(self) -> None:
        while True:
            message = Capabilities(
                node_id=self._roster.own.node_id,
                msg_id=uuid.uuid4().hex,
                sent_at=self._now(),
                role="scribe",
                phase="observing",
                addresses=self._mesh.addresses[:16],
            )
            try:
                await self._mesh.publish(HIVE_TOPIC, sign_message(message, self._key).envelope.raw)
            except MeshError as error:
                log.warning("capabilities not announced", error=str(error))
            await trio.sleep(ANNOUNCE_S)

    async def _take_members(self, path: Path) -> None:
        members = read_members(path)
        self._keeper.owners.set_members(members)
        for member in members:
            await self._dial(member)

    async def _dial(self, member: Member) -> None:
        if member.peer_id == self._mesh.peer_id or not member.addresses:
            return
        try:
            await self._mesh.connect(member.peer_id, member.addresses)
        except AddressError as error:
            log.warning("member cannot be dialled", node_id=member.node_id, error=str(error))

    async def _take_revocations(self, path: Path) -> None:
        try:
            self._mesh.revoke(read_file(path, "the revocations"))
        except RemoteProtocolError as error:
            log.warning("revocations refused", path=str(path), error=str(error))


async def _follow_file(path: Path, take: Callable[[Path], Awaitable[None]]) -> None:
    """Hand a file over now and whenever it changes; one that cannot be read is said once and tried again."""
    seen: tuple[int, int, int] | None = None
    while True:
        stamp = _stamp(path)
        if stamp != seen:
            seen = stamp
            try:
                await take(path)
            except SettingsError as error:
                log.warning("file cannot be used", error=str(error))
        await trio.sleep(TICK_S)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
