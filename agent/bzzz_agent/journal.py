"""The agent's journal: its log, and what follows from it.

The one place that appends. Every append is folded at once with the code that all observers use, so that the agent
acts on what its log says and on nothing else; after a kill, opening the journal is the whole recovery.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
import trio

from bzzz_agent.failpoints import Failpoints
from bzzz_agent.ids import new_id
from bzzz_agent.log_client import LogClient, LogError
from hmmm.base import Model
from hmmm.discussion import Discussion, Escalated, HelpAsked, Spoken, faults_of
from hmmm.envelope import SigningKey
from hmmm.errors import BzzzError
from hmmm.identity import IssueIdentity
from hmmm.messages import Escalation, Message, MetaMessage, Signed, TaskHelpRequest, sign_message
from hmmm.observer import Entry, LogObserver, LogOwner
from hmmm.records import MessageReceived, MessageSent, Record, data_of, record_kind_of, signed_of

log = structlog.get_logger("bzzz.agent.journal")


class StaleWordError(BzzzError):
    """What was about to be said is no longer right: something was logged since it was decided. Decide again."""


class Journal:
    """Appends records, signs and logs what the agent says, and holds the discussions that follow."""

    def __init__(
        self,
        client: LogClient,
        owner: LogOwner,
        key: SigningKey,
        failpoints: Failpoints,
        now: Callable[[], datetime],
    ) -> None:
        self.client = client
        self.owner = owner
        self._key = key
        self._failpoints = failpoints
        self._now = now
        self._observer = LogObserver(owner)
        self._lock = trio.Lock()
        self._changed = trio.Condition()
        self._sent: dict[IssueIdentity, list[Signed]] = {}
        self._facts: dict[IssueIdentity, list[Record]] = {}
        self._seqs: dict[IssueIdentity, list[int]] = {}
        self._last_at = datetime.min.replace(tzinfo=UTC)

    @property
    def discussions(self) -> dict[IssueIdentity, Discussion]:
        """The discussions of which this agent is the claimant."""
        return self._observer.discussions

    @property
    def length(self) -> int:
        """Blocks in the log, all folded."""
        return self._observer.next_seq

    def first_seq(self, issue: IssueIdentity) -> int:
        """Where an issue's evidence begins: at the record of its claim."""
        return self._observer.first_seq[issue]

    def seqs(self, issue: IssueIdentity, last: int) -> list[int]:
        """Return the sequences of an issue's records from its claim up to and including one."""
        return [seq for seq in self._seqs[issue] if self.first_seq(issue) <= seq <= last]

    def seq_of(self, issue: IssueIdentity, record: Record) -> int:
        """Return where one of an issue's records stands."""
        return self._seqs[issue][self._facts[issue].index(record)]

    def settled(self, issue: IssueIdentity) -> bool:
        """Whether an issue was brought to its end: given back, or its result announced."""
        return issue in self._observer.released

    def facts(self, issue: IssueIdentity, kind: str | None = None) -> list[Record]:
        """Return an issue's records, of one kind if given, oldest first."""
        return [record for record in self._facts.get(issue, []) if kind is None or record.kind == kind]

    def issues(self) -> list[IssueIdentity]:
        """Return every issue that the log mentions."""
        return list(self._facts)

    def sent(self, issue: IssueIdentity) -> list[Signed]:
        """Return what this agent has said on an issue, oldest first."""
        parsed = self._sent.setdefault(issue, [])
        for record in self.facts(issue, "message_sent")[len(parsed) :]:
            data = data_of(record)
            if isinstance(data, MessageSent):
                parsed.append(signed_of(data, verify=False))
        return list(parsed)

    def heard(self, issue: IssueIdentity, digest: str) -> MetaMessage | None:
        """Return another's word on an issue as it was received, by its digest."""
        for record in self.facts(issue, "message_received"):
            data = data_of(record) if record.id == digest else None
            if isinstance(data, MessageReceived):
                message = signed_of(data, verify=False).message
                return message if isinstance(message, MetaMessage) else None
        return None

    async def open(self) -> None:
        """Read and fold the whole log."""
        async with self._lock:
            async for seq, value in self.client.records():
                self._remember(self._observer.follow(seq, Record.from_object(value, what=f"record {seq}")))
        log.info("journal is open", length=self.length, discussions=len(self.discussions))

    async def note(
        self, data: Model, issue: IssueIdentity | None = None, *, record_id: str | None = None
    ) -> int:
        """Append a fact and return its sequence. The same id again is the same record."""
        kind = record_kind_of(data)
        async with self._lock:
            return await self._append(kind, data.to_object(), issue, record_id or new_id(), kind)

    async def hear(self, signed: Signed, card: str, issue: IssueIdentity, topic: str) -> int:
        """Append another's message as it came, with its author's card."""
        data = MessageReceived(topic=topic, envelope=signed.envelope.raw.decode(), card=card)
        async with self._lock:
            return await self._append(
                "message_received", data.to_object(), issue, signed.digest, "message_received"
            )

    async def say(self, topic: str, message: Message, issue: IssueIdentity | None) -> Signed:
        """Sign and append a message; only then may it be published."""
        async with self._lock:
            return await self._say(topic, message, issue)

    async def say_as_claimant(
        self,
        topic: str,
        issue: IssueIdentity,
        text: str,
        parameters: Model,
        parent: MetaMessage | None = None,
    ) -> Signed:
        """Compose, sign and append a claimant's word, chained to the one before and to its place in the log.

        Raises StaleWordError, with nothing appended, when the word would break a rule by now.
        """
        async with self._lock:
            message = MetaMessage.compose(
                parent=parent,
                text=text,
                parameters=parameters,
                node_id=self.owner.node_id,
                msg_id=new_id(),
                sent_at=self._now(),
                repository=issue.repository,
                issue_id=issue.number,
                epoch=issue.epoch,
                log_seq=self._observer.next_seq,
                previous=self.discussions[issue].last_claimant_digest,
            )
            return await self._say(topic, message, issue)

    async def wait_change(self, issue: IssueIdentity, known: Discussion, until: datetime | None) -> None:
        """Wait until a discussion is another than the one known, or a moment has come."""
        timeout = float("inf") if until is None else max(0.0, (until - self._now()).total_seconds())
        with trio.move_on_after(timeout):
            async with self._changed:
                while self.discussions.get(issue) is known:
                    await self._changed.wait()

    async def _say(self, topic: str, message: Message, issue: IssueIdentity | None) -> Signed:
        signed = sign_message(message, self._key)
        at = self._moment()
        self._check(signed, issue, at)
        word = message.query_type if isinstance(message, MetaMessage) else message.type
        data = MessageSent(topic=topic, envelope=signed.envelope.raw.decode())
        await self._append("message_sent", data.to_object(), issue, signed.digest, word, at)
        return signed

    def _check(self, signed: Signed, issue: IssueIdentity | None, at: datetime) -> None:
        """Ask, under the lock, whether a claimant's word still fits: a violation in the log stays there for ever."""
        state = None if issue is None else self.discussions.get(issue)
        message, event = signed.message, None
        if isinstance(message, Escalation):
            event = Escalated(signed.digest, message)
        elif isinstance(message, TaskHelpRequest):
            event = HelpAsked(signed.digest, message)
        elif isinstance(message, MetaMessage):
            event = Spoken(signed.digest, message, "claimant")
        faults = () if state is None or event is None else faults_of(state, event, at)
        if faults:
            raise StaleWordError(f"{issue}: {'; '.join(faults)}")

    def _moment(self) -> datetime:
        """Return the present, never before the last record's: a clock that is set back must not reorder a log."""
        self._last_at = max(self._now(), self._last_at)
        return self._last_at

    async def _append(
        self,
        kind: str,
        data: dict[str, Any],
        issue: IssueIdentity | None,
        record_id: str,
        point: str,
        at: datetime | None = None,
    ) -> int:
        self._reach(f"before_append:{point}")
        record = Record(id=record_id, at=at or self._moment(), kind=kind, issue=issue, data=data)
        seq = await self.client.append(record.to_object())
        if seq > self._observer.next_seq:
            raise LogError(
                f"log: expected the next block to be {self._observer.next_seq}, got {seq}: another writer?"
            )
        if seq == self._observer.next_seq:
            self._remember(self._observer.follow(seq, record))
            async with self._changed:
                self._changed.notify_all()
        self._reach(f"after_append:{point}")
        return seq

    def _reach(self, point: str) -> None:
        self._failpoints.reach(point)

    def _remember(self, entry: Entry) -> None:
        record = entry.record
        self._last_at = max(self._last_at, record.at)
        if entry.refused:
            log.info("record had no effect", seq=entry.seq, kind=record.kind, reason=entry.refused)
        if record.issue is None:
            return
        self._facts.setdefault(record.issue, []).append(record)
        self._seqs.setdefault(record.issue, []).append(entry.seq)
