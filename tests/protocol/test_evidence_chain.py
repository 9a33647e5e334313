"""The chain of evidence: what holds, and at which link each break is found (architecture §8)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from hmmm.envelope import SigningKey
from hmmm.errors import LocalProtocolError
from hmmm.evidence import LINKS, Link, make_statement, ranges_of, sign_statement, verify_evidence
from hmmm.identity import IssueIdentity
from hmmm.messages import MetaMessage
from hmmm.meta import NoObjection, Objection, PlanProposed, TestRun
from hmmm.records import Claimed, EvidenceSealed, PullRequestOpened, SafeguardBit
from tests.support.discussions import (
    DIFF,
    HEAD,
    START,
    Claimant,
    Hive,
    Sealed,
    agreed,
    debate,
    evidence_of,
    sealed_discussion,
)


@cache
def honest() -> Sealed:
    return sealed_discussion()


def check(sealed: Sealed, **changes: Any) -> list[Link]:
    """Walk the chain of a sealed discussion, with parts of the bundle replaced."""
    bundle = copy.deepcopy(sealed.bundle) | changes.pop("bundle", {})
    pull_request = copy.deepcopy(sealed.pull_request) | changes.pop("pull_request", {})
    return verify_evidence(bundle, pull_request, sealed.claimant.hive.key.public, **changes)


def broken(links: list[Link]) -> Link:
    """The one link that does not hold, which must be the last."""
    assert [link for link in links if not link.ok] == [links[-1]]
    return links[-1]


def test_an_honest_pull_request_holds_at_every_link() -> None:
    links = check(honest(), diff=DIFF)
    assert tuple(link.name for link in links) == LINKS
    assert {link.name for link in links if link.status != "holds"} == {"revocations"}


def test_without_a_diff_the_patch_is_said_to_be_unchecked() -> None:
    assert check(honest())[-1].status == "not_checked"


def test_evidence_holds_after_the_log_has_grown_if_the_growth_is_shown() -> None:
    claimant = sealed_discussion().claimant
    stated = len(claimant.blocks)
    claimant.record(PullRequestOpened(number=7, url="http://x/7", head_sha=HEAD))
    claimant.record(SafeguardBit(safeguard="over_hopped"))
    grown = evidence_of(claimant, length=len(claimant.blocks))
    assert broken(check(grown)).name == "blocks"
    paper = grown.paper
    links = check(grown, bundle={"consistency": paper.consistency(stated)})
    assert links[-1].name == "patch"
    assert "as continued at length" in next(link.detail for link in links if link.name == "blocks")
    assert broken(check(grown, bundle={"consistency": paper.consistency(stated - 1)})).name == "blocks"


def test_a_log_rewritten_after_the_statement_is_found_out() -> None:
    sealed = sealed_discussion()
    claimant = sealed.claimant
    claimant.blocks[7] = claimant.blocks[7].replace(b"n2", b"n3")  # a record of the other issue
    claimant.record(SafeguardBit(safeguard="over_hopped"))
    rewritten = evidence_of(claimant, length=len(claimant.blocks))
    bundle = rewritten.bundle | {
        "statement": sealed.bundle["statement"],
        "consistency": rewritten.paper.consistency(len(claimant.blocks) - 1),
    }
    link = broken(check(sealed, bundle=bundle))
    assert link.name == "blocks"
    assert "not shown to continue" in link.detail


@pytest.mark.parametrize("field", ["length", "tree_hash", "signature"])
def test_a_statement_that_quotes_a_head_the_log_never_signed_is_refused(field: str) -> None:
    claimant = honest().claimant
    paper = honest().paper
    quoted = {
        "length": len(claimant.blocks) + 1,
        "tree_hash": "0" * 64,
        "signature": paper.head(3)["signature"],
    }
    link = broken(check(evidence_of(claimant, quoted={field: quoted[field]})))
    assert link.name == "tree signature"


# --- keys and cards


def test_another_hive_s_key_is_refused_first_of_all() -> None:
    sealed = honest()
    links = verify_evidence(sealed.bundle, sealed.pull_request, bytes(32))
    assert broken(links).name == "hive key"


def test_a_bundle_that_claims_the_pinned_key_but_carries_another_s_card_is_refused() -> None:
    impostor = Hive(key=SigningKey.hive(bytes(32)))
    forged = sealed_by(impostor)
    links = verify_evidence(
        forged.bundle | {"hiveKey": honest().claimant.hive.key.public.hex()},
        forged.pull_request,
        honest().claimant.hive.key.public,
    )
    assert broken(links).name == "claimant's card"


def sealed_by(hive: Hive) -> Sealed:
    claimant, first, _ = debate(hive)
    claimant.no_objection(first)
    agreed(claimant, first)
    claimant.seal()
    return evidence_of(claimant)


def test_another_member_s_card_does_not_vouch_for_the_claimant() -> None:
    sealed = honest()
    other = sealed.claimant.hive.node("bzzz-5")
    assert broken(check(sealed, bundle={"card": other.card_bytes.decode()})).name == "claimant's card"


def test_a_card_that_names_another_log_is_refused_at_the_log_key() -> None:
    sealed = honest()
    other = sealed.claimant.hive.node("bzzz-0", log_key="0" * 64)
    assert broken(check(sealed, bundle={"card": other.card_bytes.decode()})).name == "log key"


def test_revocations_count_from_their_own_moment() -> None:
    sealed = honest()
    hive = sealed.claimant.hive
    before = hive.revoke(1, at=START, version=1).decode()
    after = hive.revoke(1, at=START + timedelta(days=1), version=2).decode()
    assert broken(check(sealed, bundle={"revocations": before})).name == "speakers"
    links = check(sealed, bundle={"revocations": after})
    assert links[-1].name == "patch"
    assert "judged at each record" in next(link.detail for link in links if link.name == "revocations")


def test_a_reader_s_newer_revocations_win_over_the_bundle_s() -> None:
    sealed = honest()
    hive = sealed.claimant.hive
    carried = hive.revoke(version=1).decode()
    known = hive.revoke(1, at=START, version=2)
    assert broken(check(sealed, bundle={"revocations": carried}, revocations=known)).name == "speakers"
    assert check(sealed, bundle={"revocations": hive.revoke(version=3).decode()}, revocations=known)[-1].ok


def test_a_reviewer_revoked_before_it_spoke_is_named_by_its_record() -> None:
    sealed = honest()
    link = broken(check(sealed, revocations=sealed.claimant.hive.revoke(2, at=START)))
    assert link.name == "speakers"
    assert "record 2" in link.detail


def test_revocations_by_anybody_else_are_refused() -> None:
    forged = Hive(key=SigningKey.hive(bytes(32))).revoke().decode()
    assert broken(check(honest(), bundle={"revocations": forged})).name == "revocations"


# --- what the claimant logged


Story = Callable[[Claimant, Any, Any], None]


def told(story: Story) -> Sealed:
    """Evidence of a claimant that did what the story tells between its plan and its seal."""
    chair, first, second = debate()
    story(chair, first, second)
    return evidence_of(chair)


def test_an_objection_that_answers_another_plan_is_refused_naming_the_message() -> None:
    def story(chair: Claimant, first: Any, second: Any) -> None:
        foreign = Objection(plan_digest="7" * 64, severity="blocking", reason="no")
        chair.hear(first, foreign, msg_id="stray-7")
        chair.pass_time(30)
        chair.close(silent=("bzzz-1", "bzzz-2"))
        chair.pass_time(5)
        chair.execute()
        chair.finish()
        chair.seal()

    link = broken(check(told(story)))
    assert link.name == "plan digests"
    assert "stray-7" in link.detail
    assert "bzzz-1" in link.detail


def test_an_objection_overridden_unseen_is_refused_at_the_discussion() -> None:
    def story(chair: Claimant, first: Any, second: Any) -> None:
        chair.objection(first)
        chair.pass_time(30)
        chair.close(next="execute")
        chair.countersign(first)
        chair.execute()
        chair.finish()
        chair.seal()

    link = broken(check(told(story)))
    assert link.name == "discussion"
    assert "expected revise" in link.detail


def test_a_record_left_out_of_the_statement_s_ranges_is_missed_by_the_account() -> None:
    claimant, first, second = debate()
    claimant.no_objection(first)
    heard = len(claimant.blocks) - 1
    claimant.no_objection(second)
    agreed(claimant, first, second)
    claimant.seal()
    link = broken(check(evidence_of(claimant, leave_out={heard})))
    assert link.name == "discussion"
    assert "was not said in this round" in link.detail


def test_a_word_of_the_claimant_s_left_out_breaks_its_chain() -> None:
    claimant, first, _ = debate()
    claimant.no_objection(first)
    agreed(claimant, first)
    claimant.seal()
    (started,) = (
        s.message.log_seq
        for s in claimant.sent
        if isinstance(s.message, MetaMessage) and s.message.query_type == "execution_started"
    )
    assert started is not None
    assert broken(check(evidence_of(claimant, leave_out={started}))).name == "claimant's chain"


def test_a_forged_message_in_the_log_is_refused_at_its_speaker() -> None:
    def story(chair: Claimant, first: Any, second: Any) -> None:
        forged = chair.word_of(second, NoObjection(plan_digest=chair.plan_digest), node_id="bzzz-1")
        chair.hear_signed(forged, first)
        agreed(chair)
        chair.seal()

    link = broken(check(told(story)))
    assert link.name == "speakers"
    assert "record 2" in link.detail


def test_records_that_are_no_records_are_refused_by_number() -> None:
    sealed = sealed_discussion()
    claimant = sealed.claimant
    claimant.blocks[3] = b'{"id": "x"}'
    link = broken(check(evidence_of(claimant)))
    assert link.name == "records"
    assert "record 3" in link.detail


def test_a_record_of_another_issue_does_not_belong() -> None:
    claimant, first, _ = debate()
    claimant.no_objection(first)
    other = IssueIdentity(repository="acme/widgets", number=9, epoch=1)
    claimant.record(Claimed(claim_sha="e" * 40, nonce="n2", body_digest="0" * 64), issue=other)
    agreed(claimant, first)
    claimant.seal()
    link = broken(check(evidence_of(claimant, take_in={3})))
    assert link.name == "records"
    assert "acme/widgets#9@1" in link.detail


def test_a_discussion_that_goes_on_after_its_seal_is_not_sealed() -> None:
    claimant = sealed_discussion().claimant
    claimant.record(SafeguardBit(safeguard="over_hopped"))
    link = broken(
        check(evidence_of(claimant, take_in={len(claimant.blocks) - 1}, length=len(claimant.blocks)))
    )
    assert link.name == "discussion"
    assert "evidence_sealed as the last record" in link.detail


@pytest.mark.parametrize("field", ["tree_sha", "base_sha", "patch_digest", "plan_digest", "transcript_token"])
def test_a_statement_whose_digests_are_not_the_seal_s_is_refused(field: str) -> None:
    sealed = sealed_discussion()
    width = {"transcript_token": 32, "tree_sha": 40, "base_sha": 40}.get(field, 64)
    link = broken(check(evidence_of(sealed.claimant, said={field: "9" * width})))
    assert link.name == "discussion"


def test_a_statement_that_tells_of_better_tests_than_the_log_is_refused() -> None:
    better = TestRun(outcome="passed", exit_code=0, seconds=0.1)
    link = broken(check(evidence_of(honest().claimant, quoted={"tests": better})))
    assert (link.name, "tests" in link.detail) == ("discussion", True)


def test_an_archive_that_held_something_else_speaks_against_the_statement() -> None:
    word = {"length": 15, "treeHash": honest().paper.tree_hash(15), "acknowledgedAt": "2026-01-01T00:02:00Z"}
    assert check(honest(), bundle={"archive": word})[-1].name == "patch"
    for change in ({"length": 14}, {"treeHash": "0" * 64}):
        assert broken(check(honest(), bundle={"archive": word | change})).name == "tree signature"


def test_a_statement_that_somebody_else_signed_is_refused() -> None:
    sealed = honest()
    other = SigningKey.mesh(bytes(32))
    link = broken(check(evidence_of(sealed.claimant, signer=other)))
    assert link.name == "statement"


# --- the pull request


def changed_body(sealed: Sealed, before: str, after: str) -> dict[str, Any]:
    body = sealed.pull_request["body"]
    assert before in body
    return {"body": body.replace(before, after)}


def test_a_head_that_moved_since_is_told_apart_from_forgery() -> None:
    sealed = honest()
    links = check(sealed, pull_request={"head": {"sha": "9" * 40, "ref": "x"}}, diff=DIFF)
    assert [(link.name, link.status) for link in links[-3:]] == [
        ("pull request", "holds"),
        ("head commit", "moved"),
        ("patch", "not_checked"),
    ]
    assert not all(link.ok for link in links)


@pytest.mark.parametrize("field", ["log key", "tree hash", "tree signature"])
def test_a_pull_request_that_shows_another_value_is_forged(field: str) -> None:
    sealed = honest()
    line = next(line for line in sealed.pull_request["body"].splitlines() if line.startswith(f"| {field} "))
    digit = line[line.index("`") + 1]
    other = line.replace(f"`{digit}", f"`{'0' if digit != '0' else '1'}")
    link = broken(check(sealed, pull_request=changed_body(sealed, line, other)))
    assert link.name == "pull request"
    assert link.detail.startswith("forged")


def test_a_pull_request_with_somebody_else_s_statement_is_forged() -> None:
    sealed, other = honest(), sealed_by(Hive())
    body = changed_body(sealed, sealed.signed_statement.decode(), other.signed_statement.decode())
    assert broken(check(sealed, pull_request=body)).detail.startswith("forged")


@pytest.mark.parametrize(
    "body", [None, "", "Closes #42", "<!-- bzzz:evidence/1 -->\nnothing\n<!-- /bzzz:evidence/1 -->"]
)
def test_a_pull_request_without_readable_evidence_is_refused(body: str | None) -> None:
    assert broken(check(honest(), pull_request={"body": body})).name == "pull request"


def test_a_pull_request_with_two_evidence_blocks_is_refused() -> None:
    sealed = honest()
    twice = sealed.pull_request["body"] * 2
    assert "exactly one" in broken(check(sealed, pull_request={"body": twice})).detail


def test_a_pull_request_edited_around_the_evidence_still_holds() -> None:
    sealed = honest()
    body = "A human says hello.\r\n" + sealed.pull_request["body"].replace("\n", "\r\n") + "\r\nbye"
    assert check(sealed, pull_request={"body": body})[-1].name == "patch"


def test_a_pull_request_of_another_repository_is_refused() -> None:
    link = broken(check(honest(), pull_request={"base": {"repo": {"full_name": "acme/other"}}}))
    assert link.name == "pull request"


def test_a_diff_that_is_not_the_agreed_one_is_refused() -> None:
    assert broken(check(honest(), diff=DIFF + b"+more\n")).name == "patch"


# --- making statements


def test_ranges_are_the_stretches_of_the_log() -> None:
    assert ranges_of([5, 1, 2, 3, 9, 8]) == ((1, 3), (5, 5), (8, 9))
    assert ranges_of([]) == ()


def test_a_statement_is_not_made_of_records_beyond_the_log_s_length() -> None:
    sealed = honest()
    stated = sealed.statement.predicate
    seal = EvidenceSealed.from_object(sealed.claimant.entries[-1].record.data, what="seal")
    fields: dict[str, Any] = {
        "issue": stated.issue,
        "hive": stated.hive,
        "node_id": stated.node_id,
        "peer_id": stated.peer_id,
        "log_key": stated.log_key,
        "length": stated.log.length,
        "tree_hash": stated.log.tree_hash,
        "signature": stated.log.signature,
        "seqs": stated.log.seqs,
        "sealed": seal,
        "tests": None,
        "transcript_url": stated.transcript_url,
    }
    assert make_statement(**fields).head_sha == HEAD
    for wrong in ({"length": 3}, {"seqs": ()}, {"seqs": (1, 2)}):
        with pytest.raises(LocalProtocolError):
            make_statement(**fields | wrong)
    with pytest.raises(LocalProtocolError, match="expected the key of"):
        sign_statement(make_statement(**fields), SigningKey.mesh(bytes(32)))


def test_plans_of_the_claimant_are_what_answers_are_held_against() -> None:
    def story(chair: Claimant, first: Any, second: Any) -> None:
        claimed = chair.word_of(first, PlanProposed.from_object(_a_proposal(chair), what="plan"))
        assert "only the claimant" in chair.hear_signed(claimed, first).refused
        chair.hear(second, NoObjection(plan_digest=claimed.digest))
        agreed(chair)
        chair.seal()

    assert broken(check(told(story))).name == "plan digests"


def _a_proposal(chair: Claimant) -> dict[str, Any]:
    message: Any = chair.sent[-1].message
    return message.content.parameters
