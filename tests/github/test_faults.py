"""Faults on order: what each does to a request, to which requests, and how often."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzz_github_server.faults import FaultRule, Faults, FaultSettings
from bzzz_github_server.wire import Request
from tests.github.conftest import WIDGETS, Server, git, numbers, open_issue, unique
from tests.support.processes import eventually


@pytest.fixture(autouse=True)
def lifted(boss: httpx.Client) -> Iterator[None]:
    yield
    boss.put("/_faults", json={})


def order(boss: httpx.Client, *rules: dict[str, object], seed: int = 1) -> None:
    answer = boss.put("/_faults", json={"seed": seed, "rules": rules})
    assert answer.status_code == 200, answer.text


def bitten(boss: httpx.Client) -> list[int]:
    return [rule["bitten"] for rule in boss.get("/_faults").json()["rules"]]


def test_only_administrators_order_faults(
    bot: httpx.Client, nobody: httpx.Client, boss: httpx.Client
) -> None:
    assert bot.put("/_faults", json={}).status_code == 403
    assert nobody.get("/_faults").status_code == 401
    assert boss.get("/_faults").json() == {"seed": 0, "rules": []}


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "explosion"},
        {"kind": "drop", "probability": 2},
        {"kind": "drop", "path": "("},
        {"kind": "latency", "seconds": 3600},
        {"kind": "unavailable", "status": 200},
        {"kind": "drop", "unknown": 1},
    ],
)
def test_a_bad_rule_is_422_and_changes_nothing(boss: httpx.Client, rule: dict[str, object]) -> None:
    order(boss, {"kind": "latency", "seconds": 0})
    answer = boss.put("/_faults", json={"rules": [rule]})
    assert answer.status_code == 422
    assert "rules.0" in answer.json()["message"]
    assert len(boss.get("/_faults").json()["rules"]) == 1


REFUSALS = [
    ({"kind": "unavailable", "status": 503}, 503, "Server Error", None),
    ({"kind": "unavailable"}, 502, "Server Error", None),
    ({"kind": "secondaryLimit", "seconds": 7}, 403, "secondary rate limit", "7"),
    ({"kind": "tooManyRequests", "seconds": 3}, 429, "Too many requests", "3"),
]


@pytest.mark.parametrize(("rule", "status", "words", "wait"), REFUSALS)
def test_a_refused_write_is_not_applied(
    boss: httpx.Client, bot: httpx.Client, rule: dict[str, object], status: int, words: str, wait: str | None
) -> None:
    title = unique("refused")
    order(boss, {**rule, "methods": ["POST"], "times": 1})
    answer = bot.post(f"{WIDGETS}/issues", json={"title": title})
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, wait)
    assert words in answer.json()["message"]
    assert title not in [issue["title"] for issue in bot.get(f"{WIDGETS}/issues?per_page=100").json()]
    assert bot.post(f"{WIDGETS}/issues", json={"title": title}).status_code == 201


def test_a_lost_answer_was_applied(boss: httpx.Client, bot: httpx.Client) -> None:
    sha = bot.get(f"{WIDGETS}/git/ref/heads/trunk").json()["object"]["sha"]
    name = f"refs/claims/{unique('lost')}"
    order(boss, {"kind": "lostAnswer", "path": "/git/refs", "times": 1})
    assert bot.post(f"{WIDGETS}/git/refs", json={"ref": name, "sha": sha}).status_code == 502
    again = bot.post(f"{WIDGETS}/git/refs", json={"ref": name, "sha": sha})
    assert (again.status_code, again.json()["message"]) == (422, "Reference already exists")


@pytest.mark.parametrize(("kind", "applied"), [("drop", False), ("dropAnswer", True)])
def test_a_dropped_connection_has_no_answer(
    boss: httpx.Client, server: Server, kind: str, applied: bool
) -> None:
    title = unique("dropped")
    order(boss, {"kind": kind, "methods": ["POST"], "times": 1})
    with server.as_user("bot") as bot:
        with pytest.raises(httpx.RemoteProtocolError):
            bot.post(f"{WIDGETS}/issues", json={"title": title})
        titles = [issue["title"] for issue in bot.get(f"{WIDGETS}/issues?per_page=100").json()]
    assert (title in titles) is applied


def test_latency_delays_what_it_names_and_nothing_else(boss: httpx.Client, bot: httpx.Client) -> None:
    order(boss, {"kind": "latency", "seconds": 0.3, "jitter": 0.1, "path": "/issues/1$"})

    def took(path: str) -> float:
        start = time.monotonic()
        assert bot.get(f"{WIDGETS}{path}").status_code == 200
        return time.monotonic() - start

    assert took("/issues/1") >= 0.3
    assert bitten(boss) == [1]
    took("/issues/2")
    assert bitten(boss) == [1]


def test_stale_reads_show_the_past_of_issues_pulls_and_refs(boss: httpx.Client, bot: httpx.Client) -> None:
    number, name = open_issue(bot), unique("lagging")
    sha = bot.get(f"{WIDGETS}/git/ref/heads/trunk").json()["object"]["sha"]
    order(boss, {"kind": "staleReads", "seconds": 30})
    bot.post(f"{WIDGETS}/issues/{number}/assignees", json={"assignees": ["bot"]})
    bot.post(f"{WIDGETS}/git/refs", json={"ref": f"refs/claims/{name}", "sha": sha})
    # Thirty reads, each of a moment up to 30 s ago: nearly all see the time before the writes.
    seen = {bot.get(f"{WIDGETS}/issues/{number}").status_code for _ in range(30)}
    assert 404 in seen
    refs = [bot.get(f"{WIDGETS}/git/matching-refs/claims/{name}").json() for _ in range(30)]
    assert [] in refs
    assert 404 in {bot.get(f"{WIDGETS}/git/ref/claims/{name}").status_code for _ in range(30)}
    lists = [numbers(bot.get(f"{WIDGETS}/issues")) for _ in range(30)]
    assert any(number not in listed for listed in lists)
    order(boss)
    assert bot.get(f"{WIDGETS}/issues/{number}").json()["assignee"]["login"] == "bot"
    assert len(bot.get(f"{WIDGETS}/git/matching-refs/claims/{name}").json()) == 1


def test_a_stale_read_catches_up(boss: httpx.Client, bot: httpx.Client) -> None:
    number = open_issue(bot)
    order(boss, {"kind": "staleReads", "seconds": 0.3})
    bot.post(f"{WIDGETS}/issues/{number}/labels", json={"labels": ["late"]})

    def settled() -> bool:
        return all(bot.get(f"{WIDGETS}/issues/{number}/labels").json() for _ in range(5))

    eventually(settled, within=5, what="reads of the label")


def test_of_many_claims_with_stale_reads_and_lost_answers_one_holds(
    boss: httpx.Client, bot: httpx.Client, server: Server
) -> None:
    name = f"claims/{unique('storm')}"
    tree = bot.get(f"{WIDGETS}/git/trees/trunk").json()["sha"]
    order(
        boss,
        {"kind": "staleReads", "seconds": 0.2},
        {"kind": "lostAnswer", "probability": 0.3, "methods": ["POST"]},
    )

    def claim(number: int) -> str | None:
        with server.as_user("bot") as client:
            body = {"message": f"{name} {number}", "tree": tree, "parents": []}
            while (made := client.post(f"{WIDGETS}/git/commits", json=body)).status_code != 201:
                assert made.status_code == 502
            sha = made.json()["sha"]
            client.post(f"{WIDGETS}/git/refs", json={"ref": f"refs/{name}", "sha": sha})
            return sha

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(claim, range(8)))
    order(boss)
    assert bot.get(f"{WIDGETS}/git/ref/{name}").json()["object"]["sha"] in claims


def test_rules_for_git_leave_rest_alone(
    boss: httpx.Client, bot: httpx.Client, server: Server, tmp_path: Path
) -> None:
    clone = server.clone("acme/widgets", tmp_path / "clone")
    branch = unique("lost-push")
    git(clone, "checkout", "-q", "-b", branch)
    git(clone, "commit", "-q", "--allow-empty", "-m", branch)
    order(boss, {"kind": "lostAnswer", "plane": "git", "path": "git-receive-pack$", "times": 1})
    assert "failed:" in git(clone, "push", "-q", "origin", branch, check=False)
    assert bot.get(f"{WIDGETS}/git/ref/heads/{branch}").json()["object"]["sha"] == git(
        clone, "rev-parse", "HEAD"
    )
    order(boss, {"kind": "unavailable", "plane": "git", "status": 503, "times": 1})
    assert "503" in git(clone, "fetch", "-q", "origin", check=False)
    git(clone, "fetch", "-q", "origin")


def request(method: str = "GET", path: str = "/repos/a/b/issues") -> Request:
    return Request(method, path, "", {}, b"")


def test_skip_and_times_bound_when_a_rule_bites() -> None:
    rule = FaultRule(kind="drop", skip=2, times=3, methods=("POST",))
    faults = Faults(FaultSettings(rules=(rule,)))
    faults.draw(request("GET"), "rest")
    assert [faults.draw(request("POST"), "rest").drop for _ in range(7)] == [
        False,
        False,
        True,
        True,
        True,
        False,
        False,
    ]


@given(seed=st.integers(0, 2**32), probability=st.floats(0, 1))
def test_the_same_seed_brings_the_same_faults(seed: int, probability: float) -> None:
    rules = (FaultRule(kind="drop", probability=probability), FaultRule(kind="latency", jitter=1.0))

    def drawn() -> list[tuple[bool, float]]:
        faults = Faults(FaultSettings(seed=seed, rules=rules))
        return [
            (outcome.drop, outcome.delay_s) for outcome in (faults.draw(request(), "rest") for _ in range(20))
        ]

    assert drawn() == drawn()
