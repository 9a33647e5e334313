"""What each answer of GitHub's means for the caller, from the table and from the real server."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from bzzz_agent.github import (
    ForbiddenError,
    GitHubError,
    GitHubSettings,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    RetryableError,
    UnauthorizedError,
    UnavailableError,
)
from bzzz_agent.github.statuses import read_answer
from tests.agent_github.conftest import REPOSITORY, Hive

NOW = 1_000_000.0
DATE = "Mon, 12 Jan 1970 13:46:40 GMT"  # NOW

TABLE: list[tuple[str, int, dict[str, str], str, type[GitHubError], float | None]] = [
    ("a bad credential", 401, {}, '{"message": "Bad credentials"}', UnauthorizedError, None),
    ("a missing permission", 403, {}, '{"message": "Resource not accessible"}', ForbiddenError, None),
    ("a private repository", 404, {}, '{"message": "Not Found"}', NotFoundError, None),
    ("a deleted issue", 410, {}, '{"message": "This issue was deleted"}', NotFoundError, None),
    ("a transferred issue", 301, {}, "", PermanentError, None),
    ("a refusal", 422, {}, '{"message": "Reference already exists"}', RefusedError, None),
    (
        "a second limit with a time",
        403,
        {"retry-after": "7"},
        '{"message": "secondary rate"}',
        RateLimitedError,
        7,
    ),
    (
        "a second limit without",
        403,
        {},
        '{"message": "You have exceeded a secondary rate limit"}',
        RateLimitedError,
        60,
    ),
    ("too many requests", 429, {"retry-after": "3"}, "{}", RateLimitedError, 3),
    ("too many requests without a time", 429, {}, "", RateLimitedError, 60),
    (
        "a time as a date",
        429,
        {"retry-after": "Mon, 12 Jan 1970 13:47:10 GMT", "date": DATE},
        "",
        RateLimitedError,
        30,
    ),
    (
        "an hour used up",
        403,
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000100", "date": DATE},
        '{"message": "API rate limit exceeded"}',
        RateLimitedError,
        100,
    ),
    (
        "an hour used up, by the server's clock and not ours",
        403,
        {
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": "1000100",
            "date": "Mon, 12 Jan 1970 13:48:10 GMT",
        },
        "{}",
        RateLimitedError,
        10,
    ),
    ("a bad gateway", 502, {}, "<html>", UnavailableError, 0),
    ("a planned outage", 503, {"retry-after": "120"}, "", UnavailableError, 120),
    ("a conflict", 409, {}, '{"message": "Conflict"}', UnavailableError, 0),
    ("an empty repository", 409, {}, '{"message": "Git Repository is empty."}', PermanentError, None),
    (
        "a page of some proxy's",
        200,
        {"content-type": "text/html"},
        "<html>log in</html>",
        UnavailableError,
        0,
    ),
    ("half an answer", 200, {"content-type": "application/json"}, '{"number": 1', UnavailableError, 0),
]


@pytest.mark.parametrize(
    ("status", "headers", "text", "kind", "delay_s"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_an_answer_says_what_to_do_next(
    status: int, headers: dict[str, str], text: str, kind: type[GitHubError], delay_s: float | None
) -> None:
    with pytest.raises(GitHubError) as caught:
        read_answer("GET", "/repos/acme/widgets?page=1", status, headers, text, now=lambda: NOW)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert (caught.value.delay_s if isinstance(caught.value, RetryableError) else None) == delay_s


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(
            ["retry-after", "x-ratelimit-reset", "x-ratelimit-remaining", "date", "link", "etag"]
        ),
        st.text(max_size=20) | st.sampled_from(["0", "-1", "1e9", "９", DATE]),
    ),
    st.text(max_size=40)
    | st.sampled_from(['{"message": 1}', '{"errors": [null, 1, {"message": []}]}', "[" * 9999]),
)
def test_no_answer_makes_reading_it_fail_otherwise(status: int, headers: dict[str, str], text: str) -> None:
    with suppress(GitHubError):
        answer = read_answer("POST", "/x", status, headers, text, now=lambda: NOW)
        assert answer.status == status


def test_a_refusal_carries_githubs_details() -> None:
    text = '{"message": "Validation Failed", "errors": [{"message": "A pull request already exists for x."}]}'
    with pytest.raises(RefusedError) as caught:
        read_answer("POST", "/repos/acme/widgets/pulls", 422, {}, text)
    assert caught.value.says("Already Exists")
    assert not caught.value.says("draft")


async def test_a_stranger_to_a_repository_learns_that_it_is_not_found(hive: Hive) -> None:
    with pytest.raises(NotFoundError, match="acme/nothing"):
        async with hive.agent(repository="acme/nothing"):
            pass


async def test_a_wrong_token_is_named_without_being_shown(hive: Hive) -> None:
    path = hive.server.folder / "wrong-token"
    path.write_text("token-wrong")
    client = hive.client(token_file=path)
    with pytest.raises(UnauthorizedError) as caught:
        async with hive.agent(client=client):
            pass
    assert "token-wrong" not in str(caught.value)


async def test_no_log_line_shows_the_token(hive: Hive, capfd: pytest.CaptureFixture[str]) -> None:
    path = hive.server.folder / "credential"
    path.write_text("token-bot-0")
    client = hive.client(token_file=path, attempts=3)
    async with hive.agent(client=client) as agent:
        hive.server.faults({"kind": "unavailable", "status": 500})
        with pytest.raises(UnavailableError):
            await agent.poll()
    shown = capfd.readouterr()
    logged = shown.out + shown.err
    assert "retry" in logged
    assert "token-bot-0" not in logged
    assert "token-bot-0" not in repr(client.settings)


async def test_a_rotated_token_is_read_again(hive: Hive) -> None:
    path = hive.server.folder / "rotated-token"
    path.write_text("token-revoked")
    client = hive.client(token_file=path)
    with pytest.raises(UnauthorizedError):
        await client.login()
    path.write_text("token-bot-1")
    assert await client.login() == "bot-1"
    assert await client.git_token() == "token-bot-1"
    client.close()


@pytest.mark.parametrize("content", ["", "  \n", None])
async def test_a_missing_or_empty_token_file_is_named_until_it_holds_one(
    hive: Hive, content: str | None
) -> None:
    path = hive.server.folder / "empty-token"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    client = hive.client(token_file=path)
    with pytest.raises(UnauthorizedError, match="empty-token"):
        await client.login()
    with pytest.raises(UnauthorizedError, match="empty-token"):
        await client.git_token()
    path.write_text("token-bot-1")
    assert await client.login() == "bot-1"
    client.close()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tokenFile": "t", "app": {"appId": 1, "installationId": 1, "privateKeyFile": "k"}},
        {"tokenFile": "t", "apiUrl": "ftp://x"},
        {"tokenFile": "t", "token": "secret"},
    ],
)
def test_settings_take_one_credential_by_file(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"credential|apiUrl|token"):
        GitHubSettings.model_validate(settings)


def test_writes_are_paced_on_github_and_not_elsewhere() -> None:
    assert GitHubSettings.model_validate({"tokenFile": "t"}).spacing_s == 1.0
    assert GitHubSettings.model_validate({"tokenFile": "t", "apiUrl": "http://127.0.0.1:1"}).spacing_s == 0
    assert GitHubSettings.model_validate({"tokenFile": "t", "writeSpacingS": 0.5}).spacing_s == 0.5


async def test_two_writes_keep_their_distance_and_reads_do_not_wait(hive: Hive) -> None:
    number = hive.issue()
    client = hive.client(write_spacing_s=0.3)
    path = f"{hive.path}/issues/{number}/labels"
    started = trio.current_time()
    times: list[tuple[str, float]] = []

    async def write(label: str) -> None:
        await client.request("POST", path, kind="label.add", body={"labels": [label]}, repeatable=True)
        times.append(("write", trio.current_time() - started))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, "a")
        nursery.start_soon(write, "b")
        await trio.sleep(0.1)
        await client.request("GET", path, kind="labels.list")
        times.append(("read", trio.current_time() - started))
    client.close()
    assert [what for what, _ in sorted(times, key=lambda t: t[1])] == ["write", "read", "write"]
    assert max(t for _, t in times) >= 0.3


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "secondaryLimit", "seconds": 1, "times": 1},
        {"kind": "tooManyRequests", "seconds": 1, "times": 1},
        {"kind": "unavailable", "status": 500, "times": 3},
        {"kind": "unavailable", "status": 503, "times": 3},
        {"kind": "drop", "times": 3},
        {"kind": "dropAnswer", "times": 3},
        {"kind": "lostAnswer", "times": 3},
    ],
    ids=lambda fault: fault["kind"],
)
async def test_reads_and_repeatable_writes_outlast_passing_trouble(
    hive: Hive, fault: dict[str, object]
) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        facts = await agent.issue(number)
        hive.server.faults(fault)
        assert await agent.issue(number) == facts
        assert hive.server.bitten() == fault["times"]
        hive.server.faults(fault)
        await agent.needs_human(number)
        hive.server.faults()
        assert "bzzz:needs-human" in hive.shown(number)["labels"]


@pytest.mark.parametrize("kind", ["secondaryLimit", "tooManyRequests"])
async def test_a_limit_longer_than_our_patience_is_handed_to_the_caller_at_once(
    hive: Hive, kind: str
) -> None:
    number = hive.issue()
    client = hive.client(patience_s=5)
    async with hive.agent(client=client) as agent:
        hive.server.faults({"kind": kind, "seconds": 60})
        with trio.fail_after(2), pytest.raises(RateLimitedError) as caught:
            await agent.issue(number)
        assert caught.value.delay_s == 60


async def test_an_outage_longer_than_our_patience_is_said(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent(client=hive.client(attempts=3)) as agent:
        hive.server.faults({"kind": "unavailable", "status": 503})
        with pytest.raises(UnavailableError, match="503"):
            await agent.issue(number)
        assert hive.server.bitten() == 3


async def test_a_server_that_is_not_there_is_unavailable(hive: Hive) -> None:
    client = hive.client(api_url="http://127.0.0.1:9", attempts=2)
    with pytest.raises(UnavailableError, match="no answer"):
        await client.login()
    client.close()


async def test_who_may_only_read_is_forbidden_to_write(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent(login="reader") as agent:
        with pytest.raises(ForbiddenError, match="permission"):
            await hive.claim(agent, number)
    assert hive.tip(number) is None
    assert REPOSITORY in hive.path
