"""One agent's log as the scribe has it: folded with everybody's code, and indexed for the pages."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from bzzz_scribe.state import Provenance, discussion_view
from bzzz_scribe.store import Document
from bzzz_scribe.words import Words
from hmmm.base import Model
from hmmm.errors import MalformedError
from hmmm.identity import IssueIdentity
from hmmm.observer import Entry, LogObserver, LogOwner
from hmmm.records import Claimed, EvidenceSealed, Record, Released, data_of, read_record


@dataclass(frozen=True)
class Seal:
    """A sealed stretch of a log: what a pull request's evidence covers, and the token of its page."""

    log_key: str
    issue: IssueIdentity
    seq: int
    data: EvidenceSealed

    @property
    def length(self) -> int:
        """Length of the log that the evidence speaks of: the seal is its last block."""
        return self.seq + 1


class Logbook:
    """A log's discussions, where they stand in it, and its seals."""

    def __init__(self, log_key: str, owner: LogOwner) -> None:
        self.log_key = log_key
        self._observer = LogObserver(owner)
        self._last_seq: dict[IssueIdentity, int] = {}
        self._titles: dict[IssueIdentity, str] = {}
        self._words: dict[IssueIdentity, Words] = {}
        self._released_at: dict[IssueIdentity, datetime] = {}
        self._seals: list[Seal] = []

    @property
    def owner(self) -> LogOwner:
        """Whose log it is."""
        return self._observer.owner

    @property
    def next_seq(self) -> int:
        """Blocks folded so far."""
        return self._observer.next_seq

    def add(self, seq: int, block: bytes) -> tuple[Entry, ...]:
        """Fold a block (in any order, any number of times); return what became foldable by it."""
        entries = self._observer.add(seq, block)
        for entry in entries:
            self._index(entry)
        return entries

    def issues(self) -> tuple[IssueIdentity, ...]:
        """Return every issue that has a discussion here."""
        return tuple(self._observer.discussions)

    def view(self, issue: IssueIdentity) -> Document | None:
        """Return what is shown of an issue's discussion; None where there is none."""
        discussion = self._observer.discussions.get(issue)
        if discussion is None:
            return None
        seal = self.seal_of(issue)
        words = self._words.get(issue) or Words()
        where = Provenance(
            log_key=self.log_key,
            first_seq=self._observer.first_seq[issue],
            last_seq=self._last_seq[issue],
            title=self._titles.get(issue, ""),
            released=self._observer.released.get(issue),
            released_at=self._released_at.get(issue),
            last_messages=tuple(words.last),
            asked=words.asked,
            sealed=None if seal is None else seal.data,
            sealed_length=None if seal is None else seal.length,
        )
        return discussion_view(discussion, where)

    def seal_of(self, issue: IssueIdentity) -> Seal | None:
        """Return an issue's newest seal: an agent that was killed before its report may seal again."""
        return next((s for s in reversed(self._seals) if s.issue == issue), None)

    def seal_with(self, token: str) -> Seal | None:
        """Return the seal with this token. Every token is compared in constant time, and all of them are."""
        found: Seal | None = None
        for seal in self._seals:
            if hmac.compare_digest(seal.data.transcript_token.encode(), token.encode()):
                found = seal
        return found

    def _index(self, entry: Entry) -> None:
        issue = entry.record.issue
        if issue is None:
            return
        self._last_seq[issue] = entry.seq
        if issue in self._observer.discussions:
            self._words.setdefault(issue, Words()).add(entry)
        data = _data(entry.record)
        if isinstance(data, Claimed):
            self._titles.setdefault(issue, data.title)
        elif isinstance(data, Released):
            self._released_at[issue] = entry.record.at
        elif isinstance(data, EvidenceSealed) and not entry.refused:
            self._seals.append(Seal(self.log_key, issue, entry.seq, data))


def _data(record: Record) -> Model | None:
    if record.kind not in {"claimed", "evidence_sealed", "released"}:
        return None
    try:
        return data_of(record)
    except MalformedError:
        return None


def record_of(block: bytes) -> Record | None:
    """Return a block's record; None for a block that is none."""
    try:
        return read_record(block)
    except MalformedError:
        return None
