"""Walking the chain of evidence, a link at a time, up to the first that does not hold (architecture §8)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from hmmm.discussion import Discussion
from hmmm.errors import EvidenceError, RemoteProtocolError
from hmmm.evidence.bundle import Bundle
from hmmm.evidence.chain import (
    check_chain,
    check_head,
    check_plan_digests,
    check_speakers,
    check_statement,
    claimant_card,
    fold_discussion,
    issue_records,
    newest_revocations,
    proven_blocks,
)
from hmmm.evidence.pull_request import check_pull_request, read_pull_request
from hmmm.evidence.statement import Predicate, Statement, read_statement
from hmmm.membership import MembershipCard, Revocations
from hmmm.observer import LogOwner
from hmmm.patch_digest import patch_digest

Status = Literal["holds", "fails", "moved", "not_checked"]

LINKS: Final = (
    "bundle",
    "hive key",
    "claimant's card",
    "revocations",
    "log key",
    "tree signature",
    "blocks",
    "records",
    "speakers",
    "claimant's chain",
    "plan digests",
    "discussion",
    "statement",
    "pull request",
    "head commit",
    "patch",
)
"""Names of the links, in the order in which they are walked."""


@dataclass(frozen=True)
class Link:
    """One link of the chain. `moved`: the pull request's head is another commit now, and nothing was forged."""

    name: str
    status: Status
    detail: str

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return self.status in {"holds", "not_checked"}


class _BrokenError(Exception):
    def __init__(self, link: Link) -> None:
        self.link = link


@contextmanager
def _link(name: str) -> Generator[None, None, None]:
    try:
        yield
    except RemoteProtocolError as error:
        raise _BrokenError(Link(name, "fails", str(error))) from error


def verify_evidence(
    bundle: object,
    pull_request: object,
    hive_key: bytes,
    diff: bytes | None = None,
    *,
    revocations: bytes | None = None,
) -> list[Link]:
    """Check a pull request's evidence against the pinned hive key; return the links walked, a failing one last.

    `bundle` is a parsed `bzzz-bundle/1`, `pull_request` the parsed answer of GitHub's API, `hive_key` the raw 32-byte
    Ed25519 key, `diff` the pull request's diff, `revocations` signed ones that the reader knows beside the
    bundle's. Never raises for anything that these hold.
    """
    links: list[Link] = []
    try:
        links.extend(_walk(bundle, pull_request, hive_key, diff, revocations))
    except _BrokenError as broken:
        links.append(broken.link)
    return links


def _walk(
    value: object, pull_request: object, hive_key: bytes, diff: bytes | None, revocations: bytes | None
) -> Iterator[Link]:
    with _link("bundle"):
        bundle = Bundle.read(value)
        statement, envelope = read_statement(bundle.statement.encode())
    stated = statement.predicate
    yield Link("bundle", "holds", f"{stated.issue} by {stated.node_id}, {len(stated.log.seqs)} records")

    with _link("hive key"):
        _check_pin(bundle, hive_key)
    yield Link("hive key", "holds", f"{hive_key.hex()} is the pinned one")

    with _link("claimant's card"):
        card = claimant_card(bundle, stated, hive_key)
    yield Link("claimant's card", "holds", f"{card.node_id}, serial {card.serial}, signed by the hive key")

    with _link("revocations"):
        known = newest_revocations(bundle, revocations, hive_key)
    yield _revocations_link(known, card)
    revoked = () if known is None else known.revoked

    with _link("log key"):
        if card.log_key != stated.log_key:
            raise EvidenceError(
                "other_log", f"the card's log is {card.log_key}, the statement's {stated.log_key}"
            )
    yield Link("log key", "holds", f"{stated.log_key} is the card's")

    blocks = yield from _walk_log(bundle, stated)
    owner = LogOwner(card.node_id, card.peer_id, bundle.hive, hive_key, revoked)
    yield from _walk_discussion(blocks, owner, card, statement)

    with _link("statement"):
        check_statement(envelope, card)
    yield Link("statement", "holds", f"signed by {card.node_id} as {card.peer_id}")

    yield from _walk_pull_request(pull_request, bundle, statement, diff)


def _check_pin(bundle: Bundle, hive_key: bytes) -> None:
    if bundle.hive_key != hive_key.hex():
        raise EvidenceError(
            "other_hive_key",
            f"expected the pinned hive key {hive_key.hex()}, the evidence was made under {bundle.hive_key}",
        )


def _revocations_link(known: Revocations | None, card: MembershipCard) -> Link:
    if known is None:
        return Link("revocations", "not_checked", "the bundle carries none and none were given")
    note = ", the claimant's card is among them: judged at each record" if _lists(known, card) else ""
    return Link("revocations", "holds", f"version {known.version}, {len(known.revoked)} cards{note}")


def _lists(known: Revocations, card: MembershipCard) -> bool:
    return any(revocation.covers(card.serial) for revocation in known.revoked)


def _walk_log(bundle: Bundle, stated: Predicate) -> Generator[Link, None, dict[int, bytes]]:
    said = stated.log
    with _link("tree signature"):
        check_head(bundle, stated)
    yield Link("tree signature", "holds", f"the log's key signed {said.tree_hash} at length {said.length}")

    with _link("blocks"):
        log = proven_blocks(bundle, stated)
    grown = "" if log.length == said.length else f", as continued at length {log.length}"
    yield Link("blocks", "holds", f"{len(log.blocks)} hash to that tree{grown}")
    return log.blocks


def _walk_discussion(
    blocks: dict[int, bytes], owner: LogOwner, card: MembershipCard, statement: Statement
) -> Iterator[Link]:
    with _link("records"):
        records = issue_records(blocks, statement.predicate.issue)
    yield Link("records", "holds", f"{len(records)} well-formed records of {statement.predicate.issue}")

    with _link("speakers"):
        speakers = check_speakers(records, owner, card)
    yield Link("speakers", "holds", f"{speakers} members, each message signed by the one whom it names")

    with _link("claimant's chain"):
        words = check_chain(records)
    yield Link("claimant's chain", "holds", f"{words} words, each at its place after the one before")

    with _link("plan digests"):
        answers = check_plan_digests(records)
    yield Link("plan digests", "holds", f"{answers} answers, each to a plan that this log proposed")

    with _link("discussion"):
        state = fold_discussion(records, owner, statement)
    yield Link("discussion", "holds", _told(state))


def _told(state: Discussion) -> str:
    blocking = sum(1 for o in state.objections if o.severity == "blocking")
    human = f", a human said {state.verdict}" if state.verdict else ""
    helpers = ", ".join(help_.helper for help_ in state.helps if help_.helper is not None)
    helped = f", helped by {helpers}" if helpers else ", help asked for in vain" if state.helps else ""
    return (
        f"rounds {state.round}, participants {len(state.participants)}, objections {len(state.objections)} "
        f"(blocking {blocking}){human}{helped}; sealed, no rule broken"
    )


def _walk_pull_request(
    value: object, bundle: Bundle, statement: Statement, diff: bytes | None
) -> Iterator[Link]:
    with _link("pull request"):
        pull_request = read_pull_request(value)
        check_pull_request(pull_request, bundle, statement)
    yield Link("pull request", "holds", f"#{pull_request.number} shows this very statement and log head")

    if pull_request.head.sha != statement.head_sha:
        yield Link(
            "head commit",
            "moved",
            f"nothing was forged, but the head is {pull_request.head.sha} now; the evidence is about "
            f"{statement.head_sha}",
        )
        yield Link("patch", "not_checked", "the pull request's diff is no longer the one that was agreed")
        return
    yield Link("head commit", "holds", statement.head_sha)

    with _link("patch"):
        link = _check_patch(diff, statement.predicate)
    yield link


def _check_patch(diff: bytes | None, stated: Predicate) -> Link:
    if diff is None:
        return Link("patch", "not_checked", "no diff was given")
    digest = patch_digest(diff)
    if digest != stated.patch_digest:
        raise EvidenceError(
            "patch_differs", f"expected a diff with digest {stated.patch_digest}, got {digest}"
        )
    return Link("patch", "holds", f"the diff has digest {digest}")
