"""The way in for everything that others say: verified, typed, on its topic, by a member; or dropped and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from bzzz_agent.metrics import AgentMetrics
from hmmm.errors import NotAdmittedError, RemoteProtocolError
from hmmm.limits import CLOCK_SKEW_S
from hmmm.membership import MembershipCard, Roster
from hmmm.messages import IssueMessage, IssueSeen, Signed, check_age, check_author, check_topic, parse_message

log = structlog.get_logger("bzzz.agent.inbox")

MESSAGE_TTL_S = 7200.0
"""No message is older than this, whatever a discussion's own limits say (twice the longest window)."""
MAX_COMPLAINTS = 4096


@dataclass(frozen=True)
class Heard:
    """A verified message, its author's card, and that card as signed."""

    signed: Signed
    card: MembershipCard
    card_text: str


@dataclass
class Inbox:
    """Reads what came from the mesh; the first offence of a kind by a peer is logged, all are counted."""

    roster: Roster
    repositories: frozenset[str]
    metrics: AgentMetrics
    now: Callable[[], datetime]
    _complaints: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def read(self, topic: str, data: bytes, author: str) -> Heard | None:
        """Return the message, or None for one that is dropped."""
        try:
            return self._read(topic, data)
        except RemoteProtocolError as error:
            self.drop(author, error)
            return None

    def drop(self, peer: str, error: RemoteProtocolError) -> None:
        """Count a dropped message and log the peer's first of this reason."""
        self.metrics.dropped.labels(error.reason).inc()
        complaint = (peer, error.reason)
        if complaint not in self._complaints and len(self._complaints) < MAX_COMPLAINTS:
            self._complaints.add(complaint)
            log.warning("message dropped", peer=peer, reason=error.reason, detail=str(error))

    def _read(self, topic: str, data: bytes) -> Heard:
        signed = parse_message(data)
        check_topic(signed.message, topic)
        now = self.now()
        card = self.roster.card_of(signed.peer_id, now)
        raw = self.roster.card_bytes_of(signed.peer_id)
        if card is None or raw is None:
            raise NotAdmittedError(
                "unknown_author", f"message {signed.message.msg_id}: its author has no valid card"
            )
        check_author(signed, card.node_id, card.peer_id)
        check_age(signed.message, now, MESSAGE_TTL_S, CLOCK_SKEW_S)
        message = signed.message
        if isinstance(message, IssueMessage | IssueSeen) and message.repository not in self.repositories:
            raise NotAdmittedError(
                "foreign_repository", f"message {message.msg_id}: {message.repository} is not ours"
            )
        return Heard(signed, card, raw.decode())
