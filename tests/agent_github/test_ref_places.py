"""Where claim refs live: refs/claims, or branches on a host that refuses refs outside refs/heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bzzz_agent.github import GitHubClient, RefusedError
from tests.agent_github.conftest import Hive, a_nonce


class NarrowHost(GitHubClient):
    """Talks to the real server, and answers for a host that knows branches and tags only."""

    async def request(
        self, method: Any, path: str, *, body: Mapping[str, object] | None = None, **rest: Any
    ) -> Any:
        if method == "POST" and body is not None and str(body.get("ref", "")).startswith("refs/claims/"):
            raise RefusedError("refused", reason="Reference name must start with refs/heads/ or refs/tags/")
        return await super().request(method, path, body=body, **rest)


def narrow(hive: Hive) -> NarrowHost:
    ordinary = hive.client()
    return NarrowHost(ordinary.settings, ordinary._metrics)


async def test_a_host_that_refuses_refs_outside_heads_gets_branches(hive: Hive) -> None:
    hive = Hive(hive.server, hive.label, repository="acme/narrow")
    first, second = hive.issue(), hive.issue()
    async with (
        hive.agent("bzzz-0", client=narrow(hive)) as agent,
        hive.agent("bzzz-1", client=narrow(hive)) as other,
    ):
        claim = await hive.claim(agent, first)
        claim = await agent.renew(claim)
        refs = hive.server.call("GET", f"{hive.path}/git/matching-refs/heads/claims/")
        assert [ref["ref"] for ref in refs] == [f"refs/heads/claims/issue-{first}"]
        refusal = await other.acquire(await other.issue(first), nonce=a_nonce())
        assert getattr(refusal, "reason", "won") == "wait", "every agent of the hive looks at the same place"
        await hive.claim(other, second)
        poll = await agent.poll()
        assert set(poll.claims) == {first, second}

    async with hive.agent("bzzz-0", client=narrow(hive)) as reborn:
        renewed = await reborn.renew(claim)
        assert renewed.sha != claim.sha, "a restarted agent finds the place before it moves the ref"


async def test_another_issue_with_a_longer_number_is_not_mistaken(hive: Hive) -> None:
    numbers = [hive.issue(f"issue {n}") for n in range(2)]
    main = hive.server.call("GET", f"{hive.path}/git/ref/heads/main")["object"]["sha"]
    for suffix in ("0", "²", "-x"):
        name = f"refs/claims/issue-{numbers[0]}{suffix}-{hive.label}"
        hive.server.call("POST", f"{hive.path}/git/refs", {"ref": name, "sha": main})
    async with hive.agent() as agent:
        assert (await agent.poll()).claims == {}
        claim = await hive.claim(agent, numbers[0])
        assert set((await agent.poll()).claims) == {claim.number}
