"""What is worth remembering of a log: words that changed a plan, and what failed. Pure.

A log is hostile input: what cannot be read is passed over, every text is cut. Signatures are not checked again; a
passage is material for a planner or reviewer, never a decision, and its reference says where it can be checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from hmmm.errors import RemoteProtocolError
from hmmm.identity import IssueIdentity
from hmmm.messages import MetaMessage
from hmmm.meta import ExecutionFinished, Objection, PlanProposed
from hmmm.records import MessageSent, Released, data_of, read_record, signed_of

MAX_TEXT: Final = 500
MAX_OPEN: Final = 256
"""Discussions of one log that are remembered before they end; the oldest go first."""
MAX_WORDS: Final = 40
"""Passages of one discussion."""
WORTH: Final[dict[str, float]] = {
    "human_verdict": 5.0,
    "objection": 1.0,
    "answer": 4.0,
    "help_suggestion": 3.0,
    "execution_finished": 2.0,
    "suggestion": 1.0,
    "plan_proposed": 0.5,
    "plan_revised": 0.5,
}
"""What a kind of word counts."""
BLOCKING: Final = 4.0
"""What an objection counts that made a plan change."""


@dataclass(frozen=True)
class Passage:
    """Something that was said in a discussion that is over."""

    log_key: str
    seq: int
    issue: IssueIdentity
    node_id: str
    kind: str
    text: str
    paths: tuple[str, ...]
    """What it was about: the objection's files, else the plan's."""
    at: datetime
    worth: float = 1.0
    """What it counts among those that fit equally: words that made a plan change count most."""

    @property
    def reference(self) -> str:
        """Where it stands: the log's key and the record's number, as `bzzz log` and the archive take them."""
        return f"log {self.log_key}#{self.seq}"

    @property
    def line(self) -> str:
        """Return it as one line for a prompt."""
        issue = f"{self.issue.repository}#{self.issue.number}"
        return f"[{self.reference}] {issue}, {self.node_id} ({self.kind}): {self.text}"

    def to_object(self) -> dict[str, Any]:
        """Return what a command finds of it."""
        return {
            "reference": self.reference,
            "issue": f"{self.issue.repository}#{self.issue.number}",
            "from": self.node_id,
            "kind": self.kind,
            "text": self.text,
            "paths": list(self.paths),
        }


@dataclass
class _Open:
    footprint: tuple[str, ...] = ()
    said: list[Passage] = field(default_factory=list[Passage])


class LogReader:
    """Reads one log's records in order, from wherever it begins; gives a discussion's passages once it is over."""

    def __init__(self, log_key: str) -> None:
        self._log_key = log_key
        self._open: dict[IssueIdentity, _Open] = {}

    def read(self, seq: int, block: bytes) -> tuple[Passage, ...]:
        """Take in a record; return what is known for good by it."""
        try:
            record = read_record(block)
            data = data_of(record)
            if record.issue is None:
                return ()
            if isinstance(data, Released):
                ended = self._open.pop(record.issue, None)
                return () if ended is None else tuple(ended.said)
            signed = signed_of(data) if isinstance(data, MessageSent) else None
        except RemoteProtocolError:
            return ()
        if signed is not None and isinstance(signed.message, MetaMessage):
            self._take(seq, record.issue, signed.message)
        return ()

    def _take(self, seq: int, issue: IssueIdentity, message: MetaMessage) -> None:
        if issue not in self._open:
            while len(self._open) >= MAX_OPEN:
                del self._open[next(iter(self._open))]
            self._open[issue] = _Open()
        about, parameters = self._open[issue], message.parameters
        if isinstance(parameters, PlanProposed):
            about.footprint = parameters.plan.footprint
        for text, paths, worth in _words(message):
            if len(about.said) < MAX_WORDS:
                passage = Passage(
                    self._log_key,
                    seq,
                    issue,
                    message.node_id,
                    message.query_type,
                    " ".join(text.split())[:MAX_TEXT],
                    paths or about.footprint,
                    message.sent_at,
                    worth,
                )
                about.said.append(passage)
        # what was said before any plan was about the plan that came
        about.said = [p if p.paths else replace(p, paths=about.footprint) for p in about.said]


def _words(message: MetaMessage) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Yield what of a message is worth remembering, the paths that it names, and what it counts."""
    worth = WORTH.get(message.query_type)
    if worth is None:
        return
    match message.parameters:
        case Objection() as objection:
            yield objection.reason, objection.paths, BLOCKING if objection.severity == "blocking" else worth
        case ExecutionFinished() as finished:
            if not finished.ok:
                yield f"it failed: {finished.reason}", (), worth
        case _:
            if message.content.text.strip():
                yield message.content.text, (), worth
