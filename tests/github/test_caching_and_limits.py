"""ETags, rate limits by GitHub's rules, and the secondary limit."""

from __future__ import annotations

import httpx
import pytest

from bzzz_github_server.errors import Refusal
from bzzz_github_server.limits import Limits
from bzzz_github_server.settings import LimitSettings
from tests.github.conftest import WIDGETS, Start, open_issue


@pytest.mark.parametrize(
    "path", ["/issues", "/issues/1", "/git/matching-refs/heads/", "", "/contents/README.md"]
)
def test_an_answer_that_did_not_change_is_304_and_one_that_did_is_not(bot: httpx.Client, path: str) -> None:
    first = bot.get(f"{WIDGETS}{path}")
    again = bot.get(f"{WIDGETS}{path}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = bot.get(f"{WIDGETS}{path}", headers={"If-None-Match": 'W/"something-else"'})
    assert (other.status_code, other.content) == (200, first.content)


def test_a_changed_issue_changes_the_lists_etag(bot: httpx.Client) -> None:
    number = open_issue(bot)
    etag = bot.get(f"{WIDGETS}/issues").headers["ETag"]
    bot.post(f"{WIDGETS}/issues/{number}/labels", json={"labels": ["changed"]})
    assert bot.get(f"{WIDGETS}/issues", headers={"If-None-Match": etag}).status_code == 200


def test_head_answers_as_get_without_a_body(bot: httpx.Client) -> None:
    get, head = bot.get(f"{WIDGETS}/issues/1"), bot.head(f"{WIDGETS}/issues/1")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.content))


def remaining(answer: httpx.Response) -> int:
    return int(answer.headers["X-RateLimit-Remaining"])


def test_a_304_costs_nothing_and_the_limit_ends_in_403(start_server: Start) -> None:
    server = start_server(limits={"requestsPerHour": 4})
    with server.as_user("bot") as bot, server.as_user("ada") as ada:
        first = bot.get(WIDGETS)
        assert (remaining(first), first.headers["X-RateLimit-Limit"]) == (3, "4")
        for _ in range(3):
            assert remaining(bot.get(WIDGETS, headers={"If-None-Match": first.headers["ETag"]})) == 3
        assert [bot.get(WIDGETS).status_code for _ in range(4)] == [200, 200, 200, 403]
        refused = bot.get(WIDGETS)
        assert "API rate limit exceeded" in refused.json()["message"]
        assert remaining(refused) == 0
        assert bot.get("/rate_limit").json()["resources"]["core"]["remaining"] == 0
        assert ada.get(WIDGETS).status_code == 200


def test_too_many_writes_in_a_minute_meet_the_secondary_limit(start_server: Start) -> None:
    server = start_server(limits={"writesPerMinute": 2})
    with server.as_user("bot") as bot:
        answers = [bot.post(f"{WIDGETS}/issues", json={"title": "x"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 403]
        assert "secondary rate limit" in answers[2].json()["message"]
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 61
        assert bot.get(WIDGETS).status_code == 200


def test_windows_pass() -> None:
    now = 1000.0
    limits = Limits(LimitSettings(requests_per_hour=1, writes_per_hour=1), clock=lambda: now)
    limits.admit("bot", anonymous=False, writes=True)
    limits.charge("bot", anonymous=False, free=False)
    with pytest.raises(Refusal, match="rate limit exceeded"):
        limits.admit("bot", anonymous=False, writes=False)
    now += 3601
    limits.admit("bot", anonymous=False, writes=True)
    with pytest.raises(Refusal, match="secondary"):
        limits.admit("bot", anonymous=False, writes=True)
