"""One way to GitHub: PyGithub behind a single-file queue, our own retries, errors by what to do next.

PyGithub is not thread-safe and its default retry repeats POST after 5xx, which turns a claim that was won into
"reference already exists" (facts: github). So requests run one at a time in a worker thread, nothing is retried
below this module, and here only what may be repeated: a write whose answer was lost is reported as
`UnavailableError`, and its caller reads the truth.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, cast
from urllib.parse import urlencode

import requests
import stamina
import trio
from github import Github
from github.GithubException import GithubException
from hmmm.errors import excerpt

from bzzz_agent.github.answers import Account, read
from bzzz_agent.github.credentials import read_credential
from bzzz_agent.github.errors import (
    ForbiddenError,
    GitHubError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    RetryableError,
    UnauthorizedError,
    UnavailableError,
)
from bzzz_agent.github.metrics import GitHubMetrics
from bzzz_agent.github.settings import GitHubSettings
from bzzz_agent.github.threads import in_thread

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

_API_VERSION: Final = "2022-11-28"
_JSON: Final = "application/vnd.github+json"
_SECONDARY_LIMIT_PAUSE_S: Final = 60.0
"""GitHub's advice for a secondary limit that names no time (REST best practices)."""


@dataclass(frozen=True)
class Answer:
    """A successful answer, 304 included (then `data` is None)."""

    status: int
    data: Any
    etag: str | None = None
    has_next: bool = False
    text: str = ""

    @property
    def unchanged(self) -> bool:
        """The caller's copy still holds; such an answer costs nothing of the rate limit."""
        return self.status == 304


class GitHubClient:
    """A credential's connection to one GitHub API. Use `open_client`; safe for many trio tasks."""

    def __init__(self, settings: GitHubSettings, metrics: GitHubMetrics) -> None:
        self.settings = settings
        self._metrics = metrics
        self._turn = trio.CapacityLimiter(1)
        self._writing = trio.Lock()
        self._next_write_s = 0.0
        self._github = self._connect()
        self._login: str | None = settings.account
        self._login_known = settings.account is not None or settings.app is not None

    async def login(self) -> str | None:
        """Return the account that can be assigned: configured, or the token's own; None for an App without one.

        Raises GitHubError.
        """
        if not self._login_known:
            answer = await self.request("GET", "/user", kind="user.read")
            self._login = read(Account, answer.data, what="the credential's account").login
            self._login_known = True
        return self._login

    async def git_token(self) -> str:
        """Return the token to give to git over HTTPS as a password; an App's is renewed when it nears its end."""

        def current() -> str:
            auth = self._github.requester.auth
            return "" if auth is None else auth.token

        try:
            return await in_thread(current, limiter=self._turn, abandon=True)
        except (requests.RequestException, GithubException) as error:
            raise UnavailableError(f"GitHub: no installation token: {type(error).__name__}") from error

    async def request(
        self,
        method: Method,
        path: str,
        *,
        kind: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        etag: str | None = None,
        accept: str = _JSON,
        repeatable: bool | None = None,
    ) -> Answer:
        """Send one request, repeated with back-off where that is safe, and return its answer.

        `kind` is a constant word for the metric. `repeatable` says that applying it twice equals once; reads
        are. Limits are waited out up to `patience_s`.
        Raises RetryableError (later; of a write: outcome unknown), PermanentError and their kinds.
        """
        may_repeat = method == "GET" if repeatable is None else repeatable
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": accept}
        if etag is not None:
            headers["If-None-Match"] = etag
        settings = self.settings

        def again(error: Exception) -> bool | float:
            if not may_repeat or not isinstance(error, RetryableError) or error.delay_s > settings.patience_s:
                return False
            return error.delay_s if error.delay_s > 0 else True

        async for attempt in stamina.retry_context(
            on=again,
            attempts=settings.attempts,
            timeout=max(settings.patience_s, 0.001),
            wait_initial=settings.first_pause_s,
            wait_jitter=settings.first_pause_s,
        ):
            with attempt:
                return await self._in_turn(method, target, kind, body, headers)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _in_turn(
        self, method: Method, path: str, kind: str, body: Mapping[str, object] | None, headers: dict[str, str]
    ) -> Answer:
        def send() -> Answer:
            return self._send(method, path, kind, body, headers)

        if method == "GET":
            return await in_thread(send, limiter=self._turn, abandon=True)
        async with self._writing:
            await trio.sleep(max(0.0, self._next_write_s - trio.current_time()))
            try:
                # A write under way is waited for even when cancelled: its outcome is worth knowing.
                return await in_thread(send, limiter=self._turn, abandon=False)
            finally:
                self._next_write_s = trio.current_time() + self.settings.spacing_s

    def _send(
        self, method: Method, path: str, kind: str, body: Mapping[str, object] | None, headers: dict[str, str]
    ) -> Answer:
        try:
            return self._send_once(method, path, kind, body, headers)
        except UnauthorizedError:
            fresh = self._connect()  # the credential's file may have been rotated since
            if fresh.requester.auth == self._github.requester.auth:
                fresh.close()
                raise
            self._github.close()
            self._github = fresh
            return self._send_once(method, path, kind, body, headers)

    def _send_once(
        self, method: Method, path: str, kind: str, body: Mapping[str, object] | None, headers: dict[str, str]
    ) -> Answer:
        outcome = "none"
        try:
            status, answered, text = self._github.requester.requestJson(
                method, path, headers=dict(headers), input=None if body is None else dict(body)
            )
            outcome = str(status)
        except (
            requests.RequestException,
            GithubException,
            RuntimeError,
            AssertionError,
            ValueError,
        ) as error:
            raise _without_answer(method, path, error) from error
        finally:
            self._metrics.requests.labels(method, kind, outcome).inc()
        remaining = answered.get("x-ratelimit-remaining")
        if remaining is not None and str(remaining).isdigit():
            self._metrics.remaining.set(float(remaining))
        return read_answer(method, path, status, cast("Mapping[str, str]", answered), text)

    def _connect(self) -> Github:
        return Github(
            auth=read_credential(self.settings),
            base_url=self.settings.api_url.rstrip("/"),
            timeout=max(1, round(self.settings.timeout_s)),
            user_agent="bzzz-agent",
            retry=None,  # see above: retries below this module would hide a won claim
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,
            api_version=_API_VERSION,
        )

    def close(self) -> None:
        """Close the connections."""
        self._github.close()


@asynccontextmanager
async def open_client(settings: GitHubSettings, metrics: GitHubMetrics) -> AsyncGenerator[GitHubClient]:
    """Open a client for the length of a block. Raises UnauthorizedError when the credential cannot be read."""
    client = GitHubClient(settings, metrics)
    try:
        yield client
    finally:
        client.close()


def read_answer(
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    text: str,
    *,
    now: Callable[[], float] = time.time,
) -> Answer:
    """Turn status, lower-cased headers and body into an answer.

    Raises RetryableError or PermanentError for everything that is not a success.
    """
    data = _parsed(text)
    if status == 304 or 200 <= status < 300:
        is_json = headers.get("content-type", "").partition(";")[0].strip().endswith("json")
        if text and data is None and is_json:
            raise UnavailableError(f"{method} {path}: expected JSON, got {excerpt(text[:80])}", status=status)
        has_next = 'rel="next"' in headers.get("link", "")
        return Answer(status, data, headers.get("etag"), has_next, text)
    raise _error_of(f"{method} {path.partition('?')[0]}", status, headers, _message_of(data), now)


def _error_of(
    what: str, status: int, headers: Mapping[str, str], message: str, now: Callable[[], float]
) -> GitHubError:
    said = f"{what}: GitHub answered {status}: {excerpt(message)}"
    limited = _limit_delay_s(status, headers, message, now)
    if limited is not None:
        return RateLimitedError(f"{said}; again in {limited:.0f} s", status=status, delay_s=limited)
    if status == 401:
        return UnauthorizedError(f"{said}; expected a valid credential, check its file", status=status)
    if status == 403:
        return ForbiddenError(f"{said}; the credential lacks a permission that this needs", status=status)
    if status in (404, 410):
        return NotFoundError(f"{said}; check the name and that the credential may see it", status=status)
    if status == 422:
        return RefusedError(said, reason=message)
    if status == 409 and "empty" in message.lower():
        return PermanentError(f"{said}; push a first commit to the repository", status=status)
    if status >= 500 or status in (408, 409):
        return UnavailableError(said, status=status, delay_s=_retry_after_s(headers, now) or 0.0)
    return PermanentError(said, status=status)


def _limit_delay_s(
    status: int, headers: Mapping[str, str], message: str, now: Callable[[], float]
) -> float | None:
    """Return the seconds to wait if an answer is a rate limit, by GitHub's rules for telling so; else None."""
    if status not in (403, 429):
        return None
    after = _retry_after_s(headers, now)
    if after is not None:
        return after
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        # The server's own clock, where it tells: ours may be off.
        return max(1.0, float(reset) - _server_time(headers, now))
    if status == 429 or "rate limit" in message.lower() or "abuse" in message.lower():
        return _SECONDARY_LIMIT_PAUSE_S
    return None


def _retry_after_s(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return min(float(value), 86_400.0)
    try:
        return (
            max(0.0, parsedate_to_datetime(value).timestamp() - _server_time(headers, now)) if value else None
        )
    except ValueError:
        return None


def _server_time(headers: Mapping[str, str], now: Callable[[], float]) -> float:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return now()


def _without_answer(method: str, path: str, error: Exception) -> GitHubError:
    what = f"{method} {path.partition('?')[0]}"
    if isinstance(error, GithubException):  # an App's installation token was refused
        status = error.status
        if status is not None and status < 500 and status != 429:  # pyright: ignore[reportUnnecessaryComparison]
            return UnauthorizedError(f"{what}: GitHub gave no installation token: {status}", status=status)
        return UnavailableError(f"{what}: no installation token yet: {status}", status=status)
    if isinstance(error, requests.RequestException):
        return UnavailableError(f"{what}: no answer: {type(error).__name__}")
    return PermanentError(f"{what}: {excerpt(str(error) or type(error).__name__)}; check apiUrl")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _message_of(data: Any) -> str:
    if not isinstance(data, dict):
        return "no explanation"
    known = cast("dict[str, Any]", data)
    words = [str(known.get("message", ""))]
    errors = known.get("errors")
    if isinstance(errors, list):
        for item in cast("list[Any]", errors)[:5]:
            words.append(
                str(cast("dict[str, Any]", item).get("message", "")) if isinstance(item, dict) else str(item)
            )
    return " ".join(word for word in words if word) or "no explanation"
