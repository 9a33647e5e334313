"""The links of the chain of evidence, each a function that raises when its link does not hold (architecture §8)."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from hmmm.discussion import Discussion, Phase
from hmmm.envelope import Envelope
from hmmm.errors import EvidenceError, NotAdmittedError, RemoteProtocolError, SignatureError, excerpt
from hmmm.evidence.bundle import Bundle
from hmmm.evidence.statement import Predicate, Statement, TestOutcome
from hmmm.hypercore_proof import VerifiedLog, verify_bundle, verify_consistency, verify_head
from hmmm.identity import IssueIdentity
from hmmm.membership import MembershipCard, Revocations, judge_card, read_card, read_revocations
from hmmm.messages import MetaMessage, Signed, check_author
from hmmm.meta import Answer, ClarificationNeeded, PlanAnswer, PlanProposed
from hmmm.observer import LogObserver, LogOwner
from hmmm.records import (
    RECORD_DATA,
    EvidenceSealed,
    MessageReceived,
    MessageSent,
    Record,
    data_of,
    read_record,
    signed_of,
)


@dataclass(frozen=True)
class Logged:
    """One of the issue's records with its place in the log and its typed data."""

    seq: int
    record: Record
    data: object
    signed: Signed | None = None
    """The message that it holds, if it holds one of a kind that this version knows."""

    @property
    def own(self) -> bool:
        """Whether the claimant said it."""
        return not isinstance(self.data, MessageReceived)

    @property
    def meta(self) -> MetaMessage | None:
        """The word of the discussion that it holds, if it holds one."""
        message = None if self.signed is None else self.signed.message
        return message if isinstance(message, MetaMessage) else None


@contextmanager
def at_record(seq: int) -> Generator[None, None, None]:
    """Name the record in whatever does not hold of it."""
    try:
        yield
    except RemoteProtocolError as error:
        raise EvidenceError(error.reason, f"record {seq}: {error}") from error


def claimant_card(bundle: Bundle, stated: Predicate, hive_key: bytes) -> MembershipCard:
    """Return the claimant's card, signed by the pinned key. Raises RemoteProtocolError."""
    card = read_card(bundle.card.encode(), hive=bundle.hive, hive_key=hive_key)
    if card.role != "agent":
        raise EvidenceError("not_an_agent", f"card of {card.node_id}: expected role agent, got {card.role}")
    said = (stated.hive, stated.node_id, stated.peer_id)
    if (card.hive, card.node_id, card.peer_id) != said:
        raise EvidenceError(
            "other_claimant", f"statement is by {stated.node_id} of {stated.hive}, card is of {card.node_id}"
        )
    return card


def newest_revocations(bundle: Bundle, known: bytes | None, hive_key: bytes) -> Revocations | None:
    """Return the newer of the bundle's revocations and those that the reader knows; None when there are none.

    Raises RemoteProtocolError.
    """
    carried = None if bundle.revocations is None else bundle.revocations.encode()
    read = [read_revocations(raw, hive=bundle.hive, hive_key=hive_key) for raw in (carried, known) if raw]
    return max(read, key=lambda r: r.version, default=None)


def check_head(bundle: Bundle, stated: Predicate) -> None:
    """Check that the log's own key signed the head that the statement names, and that the archive does not differ.

    Raises EvidenceError: reason `malformed`, `wrong_log`, `bad_signature` or `archive_differs`.
    """
    manifest = bundle.proof.get("manifest")
    if not isinstance(manifest, str) or re.fullmatch(r"[0-9a-f]{140}", manifest) is None:
        raise EvidenceError("malformed", "proof: expected a manifest of 70 bytes in hex")
    said = stated.log
    signing_key = bytes.fromhex(manifest)[-32:]
    verify_head(stated.log_key, signing_key, said.length, said.tree_hash, said.signature)
    word = bundle.archive
    if word is not None and (word.length, word.tree_hash) != (said.length, said.tree_hash):
        raise EvidenceError(
            "archive_differs",
            f"the archive held tree {word.tree_hash} at length {word.length}, the statement names {said.tree_hash} "
            f"at {said.length}",
        )


def proven_blocks(bundle: Bundle, stated: Predicate) -> VerifiedLog:
    """Return the log as proven: exactly the issue's blocks, under the statement's head or one that continues it.

    Raises EvidenceError: reason `head_differs`, `not_the_range`, or that of the proof.
    """
    log = verify_bundle(bundle.proof, stated.log_key)
    said = stated.log
    if log.length == said.length:
        if log.tree_hash != said.tree_hash:
            raise EvidenceError(
                "head_differs",
                f"length {log.length}: expected tree {said.tree_hash}, proven is {log.tree_hash}",
            )
    else:
        _check_growth(bundle, stated, log)
    _check_range(log, stated)
    return log


def _check_growth(bundle: Bundle, stated: Predicate, log: VerifiedLog) -> None:
    said = stated.log
    if bundle.consistency is None:
        raise EvidenceError(
            "head_differs",
            f"expected a proof at length {said.length}, or a consistency proof; got one at {log.length}",
        )
    grown = verify_consistency(bundle.consistency, stated.log_key)
    continued = (grown.old_length, grown.old_tree_hash) == (said.length, said.tree_hash)
    if not continued or (grown.length, grown.tree_hash) != (log.length, log.tree_hash):
        raise EvidenceError(
            "head_differs",
            f"the log at {log.length} is not shown to continue the statement's {said.length} blocks",
        )


def _check_range(log: VerifiedLog, stated: Predicate) -> None:
    expected = stated.log.seqs
    if tuple(sorted(log.blocks)) != expected:
        raise EvidenceError(
            "not_the_range",
            f"expected exactly the {len(expected)} records from {expected[0]} to {expected[-1]} that the statement "
            f"names, the proof has {len(log.blocks)}",
        )


def issue_records(blocks: dict[int, bytes], issue: IssueIdentity) -> tuple[Logged, ...]:
    """Parse the blocks; all must be well-formed records of the issue, with ids used once.

    Raises RemoteProtocolError, naming the record.
    """
    records: list[Logged] = []
    ids: set[str] = set()
    for seq, block in sorted(blocks.items()):
        with at_record(seq):
            record = read_record(block)
            if record.issue != issue:
                raise EvidenceError("other_issue", f"expected {issue}, is about {record.issue}")
            if record.id in ids:
                raise EvidenceError("repeated_id", f"id {record.id} was used before")
            ids.add(record.id)
            records.append(_typed(seq, record))
    return tuple(records)


def _typed(seq: int, record: Record) -> Logged:
    data = data_of(record) if record.kind in RECORD_DATA else None
    signed = None
    if isinstance(data, MessageSent):
        try:
            signed = signed_of(data)
        except NotAdmittedError:  # a type that a newer version added; kept and ignored
            signed = None
    return Logged(seq, record, data, signed)


def check_speakers(records: tuple[Logged, ...], owner: LogOwner, card: MembershipCard) -> int:
    """Check that every message is by the node that it names, a member when it was recorded; return how many spoke.

    Raises RemoteProtocolError, naming the record.
    """
    speakers = {card.node_id}
    for logged in records:
        with at_record(logged.seq):
            if logged.own:
                judge_card(card, logged.record.at, owner.revoked)
            if logged.signed is None:
                continue
            author = card
            if isinstance(logged.data, MessageReceived):
                author = read_card(logged.data.card.encode(), hive=owner.hive, hive_key=owner.hive_key)
                judge_card(author, logged.record.at, owner.revoked)
            check_author(logged.signed, author.node_id, author.peer_id)
            speakers.add(author.node_id)
    return len(speakers)


def check_chain(records: tuple[Logged, ...]) -> int:
    """Check each of the claimant's words for its place in the log and the word before it; return how many.

    Raises EvidenceError (reason broken_chain), naming the record.
    """
    previous: str | None = None
    words = 0
    for logged in records:
        message = logged.meta
        if message is None or not logged.own or logged.signed is None:
            continue
        if (message.log_seq, message.previous) != (logged.seq, previous):
            raise EvidenceError(
                "broken_chain",
                f"record {logged.seq}: {message.query_type} {message.msg_id} says that it is at {message.log_seq} "
                f"after {message.previous}; expected {logged.seq} after {previous}",
            )
        previous = logged.signed.digest
        words += 1
    return words


def check_plan_digests(records: tuple[Logged, ...]) -> int:
    """Check that every answer answers a plan that this log has proposed before it; return how many answers.

    Raises EvidenceError (reason other_plan), naming the message.
    """
    plans: set[str] = set()
    answers = 0
    for logged in records:
        message = logged.meta
        if message is None or logged.signed is None:
            continue
        parameters = message.parameters
        if logged.own and isinstance(parameters, PlanProposed):
            plans.add(logged.signed.digest)
        elif (
            isinstance(parameters, PlanAnswer | ClarificationNeeded | Answer)
            and parameters.plan_digest is not None
        ):
            if parameters.plan_digest not in plans:
                raise EvidenceError(
                    "other_plan",
                    f"record {logged.seq}: {message.query_type} {message.msg_id} by {message.node_id} answers plan "
                    f"{parameters.plan_digest}, which this log has not proposed",
                )
            answers += 1
    return answers


def fold_discussion(records: tuple[Logged, ...], owner: LogOwner, statement: Statement) -> Discussion:
    """Fold the records; the discussion must break no rule and end sealed, with the statement's digests.

    Raises EvidenceError: reason `not_claimed`, `violation`, `not_sealed` or `digest_differs`.
    """
    stated = statement.predicate
    observer = LogObserver(owner)
    for logged in records:
        observer.fold(logged.seq, logged.record)
    state = observer.discussions.get(stated.issue)
    if state is None or observer.first_seq[stated.issue] != stated.log.first:
        raise EvidenceError(
            "not_claimed", f"expected record {stated.log.first} to be the claim of {stated.issue}"
        )
    if state.violations:
        raise EvidenceError("violation", f"the claimant broke a rule: {excerpt(state.violations[0])}")
    sealed = records[-1].data
    if not isinstance(sealed, EvidenceSealed) or state.phase is not Phase.REPORTING or state.plan is None:
        raise EvidenceError(
            "not_sealed",
            f"expected evidence_sealed as the last record, in Reporting; got {records[-1].record.kind}",
        )
    _check_seal(sealed, statement, state)
    return state


def _check_seal(sealed: EvidenceSealed, statement: Statement, state: Discussion) -> None:
    stated = statement.predicate
    tests = None if state.execution is None else state.execution.tests
    pairs = {
        "repository": (f"git+{stated.issue.repository}", statement.subject[0].name),
        "first record": (sealed.first_seq, stated.log.first),
        "head": (sealed.head_sha, statement.head_sha),
        "base": (sealed.base_sha, stated.base_sha),
        "tree": (sealed.tree_sha, stated.tree_sha),
        "patch digest": (sealed.patch_digest, stated.patch_digest),
        "plan digest": (sealed.plan_digest, stated.plan_digest),
        "tests": (None if tests is None else TestOutcome.of(tests), stated.tests),
        "transcript link": (
            stated.transcript_url.rpartition("/logs/")[2],
            f"{stated.log_key}/{sealed.transcript_token}",
        ),
    }
    for what, (logged, said) in pairs.items():
        if logged != said:
            raise EvidenceError(
                "digest_differs", f"{what}: the log says {logged}, expected {excerpt(str(said))}"
            )


def check_statement(envelope: Envelope, card: MembershipCard) -> None:
    """Check that the claimant's own mesh key signed the statement. Raises SignatureError."""
    if envelope.key_id != card.peer_id:
        raise SignatureError(
            "other_signer", f"statement: expected the key of {card.peer_id}, got {excerpt(envelope.key_id)}"
        )
    envelope.verify_peer()
