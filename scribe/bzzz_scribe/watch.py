"""Watches the mesh: who is there, what they say they can, and that live discussions have a listener.

What is said on an issue's topic changes nothing here: a discussion's state is the fold of its claimant's log
(architecture §5, *one truth*). Being on the topic makes the scribe one more path for the gossip.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
import trio

from bzzz_mesh import Directory, Mesh, MeshError, Received
from bzzz_scribe.keeper import Keeper
from bzzz_scribe.metrics import ScribeMetrics
from hmmm.envelope import SigningKey
from hmmm.errors import RemoteProtocolError
from hmmm.membership import Roster
from hmmm.messages import (
    ESCALATION_TOPIC,
    HIVE_TOPIC,
    Capabilities,
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
        directory: Directory,
        roster: Roster,
        key: SigningKey,
        keeper: Keeper,
        metrics: ScribeMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._mesh = mesh
        self._directory = directory
        self._roster = roster
        self._key = key
        self._keeper = keeper
        self._metrics = metrics
        self._now = now
        self._complained: set[tuple[str, str]] = set()
        self._topics: dict[int, trio.CancelScope] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, HIVE_TOPIC)
            nursery.start_soon(self._listen, ESCALATION_TOPIC)
            nursery.start_soon(self._announce)
            nursery.start_soon(self._directory.run)
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
            await self._directory.reach(card.peer_id, signed.message.addresses)

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
