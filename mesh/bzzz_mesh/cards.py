"""Cards of authors that are not our neighbours: asked for by stream while their message waits (architecture §4).

Protocol `/bzzz/cards/1.0.0`: the asker sends a frame with a peer id, the asked answers with a frame: the card as
signed, or empty when it has none. Who forwarded the message is asked first: it took the message in, so it had the card.
"""

from __future__ import annotations

from typing import Final

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from bzzz_mesh.framing import frame, read_frame
from bzzz_mesh.limits import TokenBuckets
from bzzz_mesh.membership import Membership
from bzzz_mesh.metrics import MeshMetrics
from bzzz_mesh.settings import CARDS_PROTOCOL, MeshSettings
from bzzz_mesh.streams import open_stream
from hmmm.errors import RemoteProtocolError
from hmmm.membership import MAX_CARD_BYTES

MAX_PEER_ID_BYTES: Final = 64
ASK_S: Final = 2.0
"""Patience with one peer, so that a second can be asked within the hold."""
MAX_ASKED: Final = 3
MAX_QUESTIONS_PER_S: Final = 10.0


class Cards:
    """Asks peers for cards and answers those who ask."""

    def __init__(
        self, host: IHost, membership: Membership, settings: MeshSettings, metrics: MeshMetrics
    ) -> None:
        self._host = host
        self._membership = membership
        self._settings = settings
        self._metrics = metrics
        self._asking: dict[str, trio.Event] = {}
        self._questions = TokenBuckets(MAX_QUESTIONS_PER_S, 2 * settings.limits.held_messages)

    def start(self) -> None:
        """Answer questions from now on."""
        self._host.set_stream_handler(TProtocol(CARDS_PROTOCOL), self._answer)

    async def ask(self, author: str, forwarder: ID) -> bool:
        """Ask the forwarder, then others, for an author's card; return whether a valid one is known now.

        Messages of one author that wait at the same time share one question.
        """
        asked = self._asking.get(author)
        if asked is not None:
            await asked.wait()
            return self._membership.is_member(author)
        asked = self._asking[author] = trio.Event()
        others = [peer for peer in self._membership.admitted() if peer != forwarder]
        try:
            with trio.move_on_after(self._settings.limits.hold_s):
                for peer in [forwarder, *others][:MAX_ASKED]:
                    if await self._ask_one(author, peer):
                        break
        finally:
            del self._asking[author]
            asked.set()
        return self._membership.is_member(author)

    async def _ask_one(self, author: str, peer: ID) -> bool:
        card = b""
        try:
            with trio.move_on_after(ASK_S):
                async with open_stream(self._host, peer, CARDS_PROTOCOL) as stream:
                    await stream.write(frame(author.encode()))
                    card = await read_frame(stream, MAX_CARD_BYTES)
        except Exception as error:  # whatever a peer or a dying connection makes of it: the next is asked
            self._metrics.drop("card_question", str(peer), repr(error))
            return False
        if not card:
            return False
        try:
            self._membership.roster.admit(card, self._settings.clock())
        except RemoteProtocolError as error:
            self._metrics.drop(error.reason, str(peer), str(error))
        return self._membership.is_member(author)

    async def _answer(self, stream: INetStream) -> None:
        peer = stream.muxed_conn.peer_id
        if not await self._membership.wait_admitted(peer) or not self._questions.take(str(peer)):
            await stream.reset()
            return
        with trio.fail_after(ASK_S):
            author = (await read_frame(stream, MAX_PEER_ID_BYTES)).decode("ascii")
            known = self._membership.is_member(author)
            card = self._membership.roster.card_bytes_of(author) if known else None
            await stream.write(frame(card or b""))
            await stream.close()
