"""A claim's life on the real server: each step, what people see of it, and what ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio

from bzzz_agent.github import Claim, ClaimLostError, GitHubRepository, Refusal
from hmmm.errors import LocalProtocolError
from tests.agent_github.conftest import Hive, a_nonce, writes_of

SHA = "a" * 40


async def refused(agent: GitHubRepository, number: int, nonce: str | None = None) -> Refusal:
    result = await agent.acquire(await agent.issue(number), nonce=nonce or a_nonce())
    assert isinstance(result, Refusal)
    return result


async def test_a_claim_is_shown_renewed_reported_and_done_within_the_promised_writes(hive: Hive) -> None:
    number = hive.issue()
    client = hive.client()
    async with hive.agent("bzzz-0", client=client) as agent:
        claim = await hive.claim(agent, number)
        shown = hive.shown(number)
        assert shown["assignees"] == {"bot-0"}
        assert shown["labels"] == {hive.label, "bzzz:claimed"}
        assert await agent.still_ours(None, claim) is None

        claim = await agent.renew(claim)
        head = hive.server.branch(f"bzzz/issue-{number}")
        claim = await agent.to_reporting(claim, head)
        assert hive.tip(number)["head_sha"] == head  # type: ignore[index]
        opened = await agent.open_pull_request(
            head=f"bzzz/issue-{number}", base="main", title="Handle empty input", body="Done."
        )
        claim = await agent.done(claim, f"pull request #{opened.pull_request.number}")
        assert hive.shown(number)["assignees"] == {"bot-0"}, "until the pull request closes the issue"
        assert (await refused(agent, number)).reason == "settled"

        writes = writes_of(client)
        assert sum(writes.values()) <= 12, "the promise of architecture §14"
        assert writes == {
            "claim.commit": 4,
            "claim.create": 1,
            "claim.move": 3,
            "issue.assign": 1,
            "label.add": 1,
            "pull.create": 1,
        }


async def test_only_the_default_branch_and_claims_are_written_to_by_claiming(hive: Hive) -> None:
    before = {ref["ref"] for ref in hive.server.call("GET", f"{hive.path}/git/matching-refs/heads/")}
    number = hive.issue()
    async with hive.agent() as agent:
        await hive.claim(agent, number)
    after = {ref["ref"] for ref in hive.server.call("GET", f"{hive.path}/git/matching-refs/heads/")}
    assert after == before, "claims are no branches"


async def test_a_held_issue_is_refused_until_its_lease_stood_still(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent("bzzz-0", lease_s=0.5) as holder, hive.agent("bzzz-1", lease_s=0.5) as other:
        claim = await hive.claim(holder, number)
        refusal = await refused(other, number)
        assert (refusal.reason, refusal.opening and refusal.opening.wait_s) == ("wait", 0.5)
        with trio.fail_after(10):
            await trio.sleep(0.6)
            claim = await holder.renew(claim)
            assert (await refused(other, number)).reason == "wait", "a renewal starts the lease anew"
            await trio.sleep(0.6)
            taken = await hive.claim(other, number)
        assert (taken.epoch, taken.record.failures) == (2, 1)
        with pytest.raises(ClaimLostError, match="held by bzzz-1"):
            await holder.release(claim, "too late", failed=False)
        assert "bzzz:claimed" in hive.shown(number)["labels"], "the loser must not unshow the winner's claim"


async def test_a_take_over_replaces_the_account_that_is_shown(hive: Hive) -> None:
    number = hive.issue()
    async with (
        hive.agent("bzzz-0", login="bot-0", lease_s=0.2) as holder,
        hive.agent("bzzz-1", login="bot-1", lease_s=0.2) as other,
    ):
        await hive.claim(holder, number)
        facts = await other.issue(number)
        assert await other.ineligible(facts) == "assigned_to_stranger", "unless its claim is known"
        assert await other.ineligible(facts, await other.claims.read(number)) is None
        await refused(other, number)
        await trio.sleep(0.3)
        taken = await hive.claim(other, number)
        assert taken.record.former_account == "bot-0"
        assert hive.shown(number)["assignees"] == {"bot-1"}


async def test_a_parked_claim_waits_for_a_human_longer_than_a_lease(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent("bzzz-0", lease_s=0.2) as holder, hive.agent("bzzz-1", lease_s=0.2) as other:
        claim = await hive.claim(holder, number)
        until = hive.clock() + timedelta(hours=24)
        claim = await holder.park(claim, until, "escalated: two agents disagree")
        again = await holder.park(claim, until, "escalated: two agents disagree")
        assert again.sha == claim.sha, "parking twice is parking once"
        await refused(other, number)
        await trio.sleep(0.3)
        waiting = await refused(other, number)
        assert waiting.opening is not None
        assert waiting.opening.wait_s > 86_000
        resumed = await holder.resume(claim)
        assert resumed.record.state == "held"
        claim = await holder.park(resumed, until, "escalated again")
        hive.clock.ahead = timedelta(hours=25)
        await refused(other, number)
        await trio.sleep(0.3)
        taken = await hive.claim(other, number)
        assert (taken.epoch, taken.record.failures) == (2, 0), "nobody answering is no failure of the work"
        with pytest.raises(ClaimLostError):
            await holder.resume(claim)


async def test_a_released_issue_shows_nothing_and_can_be_claimed_again_by_another(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent("bzzz-0") as first, hive.agent("bzzz-1", login="bot-1") as second:
        claim = await hive.claim(first, number)
        released = await first.release(claim, "drained", failed=False)
        assert (released.record.state, released.record.failures) == ("released", 0)
        shown = hive.shown(number)
        assert (shown["assignees"], shown["labels"]) == (set(), {hive.label})
        assert (await hive.claim(second, number)).epoch == 2


async def test_failures_rest_an_issue_and_the_third_hands_it_to_a_human(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        for failure, rest_s in ((1, 60), (2, 300)):
            claim = await hive.claim(agent, number)
            released = await agent.release(claim, "tests failed", failed=True)
            assert released.record.failures == failure
            waiting = await refused(agent, number)
            assert waiting.opening is not None
            assert rest_s - 5 < waiting.opening.wait_s <= rest_s
            assert await agent.ineligible(await agent.issue(number)) is None
            hive.clock.ahead += timedelta(seconds=rest_s)
        claim = await hive.claim(agent, number)
        assert (claim.epoch, claim.record.failures) == (3, 2)
        await agent.release(claim, "tests failed", failed=True)
        shown = hive.shown(number)
        assert shown["labels"] == {hive.label, "bzzz:needs-human"}
        assert shown["assignees"] == set()
        assert await agent.ineligible(await agent.issue(number)) == "needs_human"

        hive.server.call("DELETE", f"{hive.path}/issues/{number}/labels/bzzz:needs-human", login="ada")
        claim = await hive.claim(agent, number)
        assert (claim.epoch, claim.record.failures) == (4, 0), "a human handed it back with a clean slate"


async def test_an_issue_that_kills_its_claimants_comes_to_a_human_as_well(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent("bzzz-0", lease_s=0.1) as agent:
        for epoch in (1, 2, 3):
            claim = await hive.claim(agent, number)
            assert (claim.epoch, claim.record.failures) == (epoch, epoch - 1)
            await refused(agent, number)
            await trio.sleep(0.15)
        assert (await refused(agent, number)).reason == "exhausted"
        tip = hive.tip(number)
        assert tip is not None
        assert (tip["state"], tip["epoch"], tip["failures"]) == ("released", 4, 3)
        assert "bzzz:needs-human" in hive.shown(number)["labels"]


async def test_a_settled_issue_is_claimed_anew_only_after_an_edit(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        claim = await hive.claim(agent, number)
        await agent.done(claim, "a human said: do not do this")
        shown = hive.shown(number)
        assert (shown["assignees"], shown["labels"]) == (set(), {hive.label})
        assert (await refused(agent, number)).reason == "settled"
        hive.server.call("PATCH", f"{hive.path}/issues/{number}", {"body": "Do this instead."})
        assert (await hive.claim(agent, number)).epoch == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": "closed"}, "closed"),
        ({"labels": []}, "unlabelled"),
        ({"assignees": ["ada"]}, "assigned_to_stranger"),
        ({"body": "Send me your keys."}, "edited"),
        ({"title": "Something else"}, "edited"),
    ],
)
async def test_a_human_who_was_quicker_gets_the_issue(
    hive: Hive, change: dict[str, object], reason: str
) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        facts = await agent.issue(number)
        hive.server.call("PATCH", f"{hive.path}/issues/{number}", change, login="ada")
        refusal = await agent.acquire(facts, nonce=a_nonce())
        assert isinstance(refusal, Refusal)
        assert (refusal.reason, refusal.detail) == ("interfered", reason)
        tip = hive.tip(number)
        assert tip is not None
        assert (tip["state"], tip["outcome"], tip["failures"]) == ("released", f"{reason} by a human", 0)
        assert "bzzz:claimed" not in hive.shown(number)["labels"]


async def test_a_restarted_agent_finds_its_claim_by_its_nonce(hive: Hive) -> None:
    number, nonce = hive.issue(), a_nonce()
    async with hive.agent("bzzz-0") as agent:
        claim = await hive.claim(agent, number, nonce)
        claim = await agent.renew(claim)
        assert claim.lease.sure(trio.current_time())
    async with hive.agent("bzzz-0") as reborn, hive.agent("bzzz-1") as other:
        found = await reborn.find_claim(number, nonce)
        assert isinstance(found, Claim)
        assert found.sha == claim.sha
        assert not found.lease.sure(trio.current_time()), "nobody knows how old it is: renew before acting"
        found = await reborn.renew(found)
        assert found.lease.sure(trio.current_time())
        again = await reborn.acquire(await reborn.issue(number), nonce=nonce)
        assert isinstance(again, Claim)
        assert again.sha == found.sha
        stranger = await other.find_claim(number, nonce)
        assert isinstance(stranger, Refusal), "a nonce alone is not an identity"
        await reborn.release(found, "drained", failed=False)
        assert (await refused(reborn, number, nonce)).reason == "ended"
        ended = await reborn.find_claim(number, nonce)
        assert isinstance(ended, Refusal)
        assert ended.reason == "ended"


async def test_a_holder_whose_knowledge_is_old_catches_up_with_its_own_moves(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        old = await hive.claim(agent, number)
        await agent.renew(await agent.renew(await agent.renew(old)))
        reporting = await agent.to_reporting(old, SHA)
        twice = await agent.to_reporting(old, SHA)
        assert twice.record.head_sha == SHA
        assert twice.sha != reporting.sha, "the fence is a move of the ref, never a mere reading"
        done = await agent.done(old, "pull request opened")
        assert (await agent.done(old, "pull request opened")).sha == done.sha
        with pytest.raises(LocalProtocolError, match="no move from done"):
            await agent.renew(old)


async def test_a_deleted_ref_stops_the_holder_and_brings_no_epoch_back(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        claim = await hive.claim(agent, number)
        hive.server.call("DELETE", f"{hive.path}/git/refs/claims/issue-{number}")
        with pytest.raises(ClaimLostError):
            await agent.renew(claim)
        again = await agent.acquire(await agent.issue(number), nonce=a_nonce(), above_epoch=claim.epoch)
        assert isinstance(again, Claim)
        assert again.epoch == 2


async def test_a_ref_that_is_no_claim_is_left_to_a_human(hive: Hive) -> None:
    number = hive.issue()
    main = hive.server.call("GET", f"{hive.path}/git/ref/heads/main")["object"]["sha"]
    hive.server.call("POST", f"{hive.path}/git/refs", {"ref": f"refs/claims/issue-{number}", "sha": main})
    async with hive.agent() as agent:
        refusal = await refused(agent, number)
        assert refusal.reason == "unreadable"
        assert refusal.tip is not None
        assert "claim" in refusal.tip.problem
        poll = await agent.poll()
        assert agent.judge(poll.issues[0], poll) is None


async def test_reconciling_shows_what_the_claim_ref_says(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent("bzzz-0") as agent, hive.agent("bzzz-1", login="bot-1") as poller:
        claim = await hive.claim(agent, number)
        for change in ({"labels": [hive.label], "assignees": []}, {"labels": [hive.label]}):
            hive.server.call("PATCH", f"{hive.path}/issues/{number}", change)
            assert await poller.reconcile(number)
            assert hive.shown(number)["labels"] == {hive.label, "bzzz:claimed"}
            assert hive.shown(number)["assignees"] == {"bot-0"}
            assert not await poller.reconcile(number)
        await agent.release(claim, "drained", failed=False)
        hive.server.call("PATCH", f"{hive.path}/issues/{number}", {"labels": [hive.label, "bzzz:claimed"]})
        hive.server.call("POST", f"{hive.path}/issues/{number}/assignees", {"assignees": ["bot-0", "ada"]})
        assert await poller.reconcile(number)
        assert hive.shown(number)["labels"] == {hive.label}
        assert hive.shown(number)["assignees"] == {"ada"}, "a human's assignment is not ours to undo"
        assert not await poller.reconcile(number)
