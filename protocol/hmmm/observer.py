"""Folding an agent's log: whoever adds the same blocks, in any order and any number of times, knows the same.

An observer holds back what lies beyond a gap and folds the contiguous prefix only, so loss delays it and never
changes what it says (architecture §5, *one truth*).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from hmmm.base import EARLIEST, Model
from hmmm.discussion import (
    Discussion,
    Effect,
    Escalated,
    Event,
    HelpAnswered,
    HelpAsked,
    IllegalEventError,
    Noted,
    Spoken,
    admit,
    admit_answer,
    open_discussion,
    step,
)
from hmmm.errors import LocalProtocolError, MalformedError, NotAdmittedError, RemoteProtocolError
from hmmm.identity import IssueIdentity
from hmmm.membership import Revocation, judge_card, read_card
from hmmm.messages import (
    Escalation,
    IssueMessage,
    MetaMessage,
    Signed,
    TaskHelpRequest,
    TaskHelpResponse,
    check_author,
)
from hmmm.meta import HumanVerdict
from hmmm.records import (
    Claimed,
    EvidenceSealed,
    HelpReopened,
    MessageReceived,
    MessageSent,
    PullRequestOpened,
    Record,
    Released,
    RoundReopened,
    SafeguardBit,
    data_of,
    read_record,
    signed_of,
)
from hmmm.verdict import read_verdict

MAX_HELD_BACK = 4096
"""Blocks kept beyond a gap; further ones are dropped and must be added again."""


@dataclass(frozen=True)
class LogOwner:
    """Whose log it is, and by which key the hive vouches for speakers."""

    node_id: str
    peer_id: str
    hive: str
    hive_key: bytes
    revoked: tuple[Revocation, ...] = ()
    """Revocations by which speakers' cards are judged, each at the moment of its record."""
    trusted: bool = False
    """The folder is the owner, who checked every signature, card and author before it appended: not checked again.
    Ed25519 is half the time of opening a log of 10,000 records."""


@dataclass(frozen=True)
class Entry:
    """One block of the log, as folded."""

    seq: int
    record: Record
    effects: tuple[Effect, ...] = ()
    refused: str = ""
    """Why the block had no effect on its discussion, if it had none."""


class LogObserver:
    """The discussions of one log."""

    def __init__(self, owner: LogOwner) -> None:
        self.owner = owner
        self.discussions: dict[IssueIdentity, Discussion] = {}
        self.released: dict[IssueIdentity, Released] = {}
        self.first_seq: dict[IssueIdentity, int] = {}
        self.next_seq = 0
        self._held: dict[int, bytes] = {}

    def add(self, seq: int, block: bytes) -> tuple[Entry, ...]:
        """Take in a block; return what became foldable by it, in order.

        A block that is no record is passed over with `refused` set: a log is hostile input too.
        """
        if seq < self.next_seq or (
            seq not in self._held and len(self._held) >= MAX_HELD_BACK and seq != self.next_seq
        ):
            return ()
        self._held.setdefault(seq, block)
        entries: list[Entry] = []
        while (raw := self._held.pop(self.next_seq, None)) is not None:
            entries.append(self._fold_block(self.next_seq, raw))
            self.next_seq += 1
        return tuple(entries)

    def _fold_block(self, seq: int, block: bytes) -> Entry:
        try:
            record = read_record(block)
        except MalformedError as error:
            return Entry(seq, _unreadable(seq), refused=str(error))
        return self.fold(seq, record)

    def follow(self, seq: int, record: Record) -> Entry:
        """Fold the next record, for whoever reads or writes the log in order.

        Raises LocalProtocolError for any other than the next.
        """
        if seq != self.next_seq:
            raise LocalProtocolError(
                f"log of {self.owner.node_id}: expected record {self.next_seq}, got {seq}"
            )
        self.next_seq += 1
        return self.fold(seq, record)

    def fold(self, seq: int, record: Record) -> Entry:
        """Fold one record, without regard to gaps; never raises for what a log may hold."""
        try:
            return Entry(seq, record, effects=self._apply(seq, record))
        except RemoteProtocolError as error:
            return Entry(seq, record, refused=str(error))

    def _apply(self, seq: int, record: Record) -> tuple[Effect, ...]:
        data = data_of(record)
        if record.issue is None or data is None:
            return ()
        if isinstance(data, Claimed):
            self.first_seq.setdefault(record.issue, seq)
            opened = open_discussion(record.issue, self.owner.node_id, self.owner.peer_id, record.at)
            self.discussions.setdefault(record.issue, opened)
            return ()
        if isinstance(data, Released):
            self.released[record.issue] = data
            return ()
        state = self.discussions.get(record.issue)
        if state is None:
            return ()
        try:
            event = event_of(data, record, seq, state, self.owner)
            if event is None:
                return ()
            after, effects = step(state, event, record.at)
        except RemoteProtocolError as error:
            self._blame(state, data, error)
            raise
        self.discussions[record.issue] = after
        return effects

    def _blame(self, state: Discussion, data: Model, error: RemoteProtocolError) -> None:
        """Hold against the claimant what only the claimant can have got wrong."""
        own = isinstance(data, MessageSent) and not isinstance(data, MessageReceived)
        repeated = isinstance(error, IllegalEventError) and error.reason in {"repeated", "closed"}
        foreign_plan = error.reason == "other_plan"
        forged = not isinstance(error, IllegalEventError | NotAdmittedError)
        if (own and not repeated) or foreign_plan or forged:
            self.discussions[state.issue] = replace(state, violations=(*state.violations, str(error)))


def event_of(data: Model, record: Record, seq: int, state: Discussion, owner: LogOwner) -> Event | None:
    """Return what a record's data means for its discussion; None for what means nothing to it.

    Raises RemoteProtocolError for an envelope, card or author that does not hold, and for what is not admitted.
    """
    match data:
        case MessageReceived():
            return _received(data, record.at, state, owner)
        case MessageSent():
            return _sent(data, seq, state, owner)
        case RoundReopened() | HelpReopened() | EvidenceSealed() | PullRequestOpened() | SafeguardBit():
            return Noted(data)
        case _:
            return None


def _sent(data: MessageSent, seq: int, state: Discussion, owner: LogOwner) -> Event | None:
    signed = signed_of(data, verify=not owner.trusted)
    check_author(signed, owner.node_id, owner.peer_id)
    if isinstance(signed.message, Escalation):
        _check_issue(signed.message, "escalation", state)
        return Escalated(signed.digest, signed.message)
    if isinstance(signed.message, TaskHelpRequest):
        _check_issue(signed.message, signed.message.type, state)
        return HelpAsked(signed.digest, signed.message)
    if not isinstance(signed.message, MetaMessage):
        return None
    message = signed.message
    if message.log_seq != seq or message.previous != state.last_claimant_digest:
        raise MalformedError(
            "broken_chain",
            f"{message.query_type} {message.msg_id}: expected log_seq {seq} after {state.last_claimant_digest}, "
            f"says {message.log_seq} after {message.previous}",
        )
    _check_issue(message, message.query_type, state)
    return Spoken(signed.digest, message, "claimant")


def _received(data: MessageReceived, at: datetime, state: Discussion, owner: LogOwner) -> Event | None:
    signed = signed_of(data, verify=not owner.trusted)
    message = signed.message
    if not isinstance(message, MetaMessage | TaskHelpResponse):
        return None
    if not owner.trusted:
        _check_voice(signed, data, owner, at)
    if isinstance(message, TaskHelpResponse):
        return answer_of(signed, state, owner, at)
    return _spoken(signed, message, state, owner, at)


def _check_voice(signed: Signed, data: MessageReceived, owner: LogOwner, at: datetime) -> None:
    card, message = read_card(data.card.encode(), hive=owner.hive, hive_key=owner.hive_key), signed.message
    judge_card(card, at, owner.revoked)
    check_author(signed, card.node_id, card.peer_id)
    word = message.query_type if isinstance(message, MetaMessage) else message.type
    if card.role != "agent" and word != "human_verdict":
        raise NotAdmittedError(
            "not_an_agent", f"{word} {message.msg_id} by {card.node_id}: a {card.role} has no voice"
        )


def answer_of(signed: Signed, state: Discussion, owner: LogOwner, at: datetime) -> HelpAnswered:
    """Check another's answer to a request for help against the safeguards.

    Raises NotAdmittedError, MalformedError (reason own_message) for the claimant's own.
    """
    message = signed.message
    if not isinstance(message, TaskHelpResponse):
        raise LocalProtocolError(f"{message.type} is no answer to a request for help")
    if owner.node_id == message.node_id or owner.peer_id == signed.peer_id:
        raise MalformedError(
            "own_message", f"{message.type} {message.msg_id}: {owner.node_id} answers itself; refused"
        )
    admit_answer(state, message, at)
    return HelpAnswered(signed.digest, message)


def _spoken(signed: Signed, message: MetaMessage, state: Discussion, owner: LogOwner, at: datetime) -> Spoken:
    """Take another's word as it counts: of a human's verdict the text that the authority signed, not the relay's."""
    role, parameters = speaker_of(signed, state, owner, at), message.parameters
    if role == "authority" and isinstance(parameters, HumanVerdict):
        text = read_verdict(parameters.signed.encode(), owner.hive_key, state.issue).text
        content = message.content.model_copy(update={"text": text})
        message = message.model_copy(update={"content": content})
    return Spoken(signed.digest, message, role)


def speaker_of(
    signed: Signed, state: Discussion, owner: LogOwner, at: datetime
) -> Literal["participant", "authority"]:
    """Check another's message against the safeguards and return in which role it speaks.

    Raises NotAdmittedError, MalformedError (reason own_message) for the claimant's own, which is nobody's answer to
    itself, and for a verdict SignatureError or MalformedError.
    """
    message = signed.message
    if not isinstance(message, MetaMessage):
        raise LocalProtocolError(f"{message.type} is not a word of a discussion")
    if owner.node_id == message.node_id or owner.peer_id == signed.peer_id:
        raise MalformedError(
            "own_message", f"{message.query_type} {message.msg_id}: {owner.node_id} answers itself; refused"
        )
    admit(state, message, message.node_id, at)
    parameters = message.parameters
    if isinstance(parameters, HumanVerdict):
        verdict = read_verdict(parameters.signed.encode(), owner.hive_key, state.issue)
        if verdict.verdict != parameters.verdict:
            raise MalformedError(
                "bad_verdict", f"verdict {verdict.verdict_id}: says {verdict.verdict}; dropped"
            )
        return "authority"
    return "participant"


def _check_issue(message: IssueMessage, what: str, state: Discussion) -> None:
    said = (message.repository, message.issue_id, message.epoch)
    if said != (state.issue.repository, state.issue.number, state.issue.epoch):
        raise MalformedError("other_issue", f"{what} {message.msg_id}: is about {said}, not {state.issue}")


def _unreadable(seq: int) -> Record:
    return Record(id=f"unreadable-{seq}", at=EARLIEST, kind="unreadable")
