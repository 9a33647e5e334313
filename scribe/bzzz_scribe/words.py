"""What was said last in a discussion, and whether a human was asked: read from the claimant's log, record by record."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bzzz_scribe.store import Document
from hmmm.errors import RemoteProtocolError
from hmmm.messages import Escalation, Message, MetaMessage, TaskHelpRequest, TaskHelpResponse
from hmmm.observer import Entry
from hmmm.records import MessageReceived, MessageSent, data_of, signed_of

LAST: Final = 10
TEXT_CHARACTERS: Final = 300


SETTLES: Final = frozenset({"human_verdict", "answer", "plan_revised"})
"""Words after an escalation that say that nobody is asked any more: a verdict, or the answer that was missing."""


@dataclass(frozen=True)
class Asked:
    """A question to a human."""

    id: str
    reason: str
    since: datetime
    answered: bool = False


@dataclass
class Words:
    """The last messages of one discussion, oldest first, and its last escalation."""

    last: deque[Document] = field(default_factory=lambda: deque[Document](maxlen=LAST))
    asked: Asked | None = None

    def add(self, entry: Entry) -> None:
        """Take in a record; one that had no effect on the discussion is no part of it."""
        message = None if entry.refused else _message_of(entry)
        if isinstance(message, Escalation):
            self.asked = Asked(message.msg_id, message.reason, entry.record.at)
            self._keep(message, "escalation", message.text or message.reason)
        elif isinstance(message, TaskHelpRequest):
            self._keep(message, message.type, message.problem)
        elif isinstance(message, TaskHelpResponse):
            can = f"can help in {message.eta_seconds or 0:.0f} s" if message.can_help else message.reason
            self._keep(message, message.type, can or "cannot help")
        elif isinstance(message, MetaMessage):
            self._keep(message, message.query_type, message.content.text)
            if message.query_type in SETTLES and self.asked is not None:
                asked = self.asked
                self.asked = Asked(asked.id, asked.reason, asked.since, answered=True)

    def _keep(self, message: Message, kind: str, text: str) -> None:
        at = message.sent_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.last.append({"from": message.node_id, "type": kind, "text": text[:TEXT_CHARACTERS], "at": at})


def _message_of(entry: Entry) -> Message | None:
    """Return the message that a record carries; its signature was checked when it was folded."""
    if entry.record.kind not in {"message_sent", "message_received"}:
        return None
    try:
        data = data_of(entry.record)
        return (
            signed_of(data, verify=False).message if isinstance(data, MessageSent | MessageReceived) else None
        )
    except RemoteProtocolError:
        return None
