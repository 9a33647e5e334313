"""One way to GitHub: PyGithub behind a single-file queue, our own retries, errors by what to do next.

PyGithub is not thread-safe and its default retry repeats POST after 5xx, which turns a claim that was won into
"reference already exists" (facts: github). So requests run one at a time in a worker thread, nothing is retried
below this module, and here only what may be repeated: a write whose answer was lost is reported as
`UnavailableError`, and its caller reads the truth.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, cast
from urllib.parse import urlencode

import requests
import stamina
import trio
from github import Github
from github.GithubException import GithubException
from jwt import PyJWTError

from bzzz_agent.github.answers import Account, read
from bzzz_agent.github.credentials import Credential, Stamp, read_credential, stamp_of
from bzzz_agent.github.errors import (
    RetryableError,
    UnauthorizedError,
)
from bzzz_agent.github.metrics import GitHubMetrics
from bzzz_agent.github.settings import GitHubSettings
from bzzz_agent.github.statuses import Answer, read_answer, without_answer

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

_API_VERSION: Final = "2022-11-28"
_JSON: Final = "application/vnd.github+json"


class GitHubClient:
    """A credential's connection to one GitHub API. Use `open_client`; safe for many trio tasks."""

    def __init__(self, settings: GitHubSettings, metrics: GitHubMetrics) -> None:
        self.settings = settings
        self._metrics = metrics
        self._turn = trio.CapacityLimiter(1)
        self._writing = trio.Lock()
        self._next_write_s = 0.0
        self._credential: Credential | None = None
        self._connection: Github | None = None
        self._stamp: Stamp | None = None
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
            try:
                return self._git_token()
            except UnauthorizedError:
                if not self._reread():
                    raise
                return self._git_token()

        return await trio.to_thread.run_sync(current, limiter=self._turn, abandon_on_cancel=True)

    def _git_token(self) -> str:
        auth = self._github().requester.auth
        try:
            return "" if auth is None else auth.token
        except (requests.RequestException, GithubException, PyJWTError, ValueError) as error:
            raise without_answer("POST", "/app/installations", error) from error

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
            return await trio.to_thread.run_sync(send, limiter=self._turn, abandon_on_cancel=True)
        async with self._writing:
            await trio.sleep(max(0.0, self._next_write_s - trio.current_time()))
            try:
                # A write under way is waited for even when cancelled: its outcome is worth knowing.
                return await trio.to_thread.run_sync(send, limiter=self._turn)
            finally:
                self._next_write_s = trio.current_time() + self.settings.spacing_s

    def _send(
        self, method: Method, path: str, kind: str, body: Mapping[str, object] | None, headers: dict[str, str]
    ) -> Answer:
        try:
            return self._send_once(method, path, kind, body, headers)
        except UnauthorizedError:
            if not self._reread():
                raise
            return self._send_once(method, path, kind, body, headers)

    def _github(self) -> Github:
        """Return the connection; the credential is read when it is first needed, and again until it can be."""
        stamp = stamp_of(self.settings)
        if self._connection is None:
            self._credential = read_credential(self.settings)
            self._connection = self._connect(self._credential)
            self._stamp = stamp
        elif stamp != self._stamp:
            # Replaced, as kubelet does when its Secret changes: the next one is used before the last one ends.
            with suppress(
                UnauthorizedError
            ):  # in the middle of being replaced, or gone: the last one goes on
                self._reread()
                self._stamp = stamp
        return self._connection

    def _reread(self) -> bool:
        """Take up a credential whose file was replaced since; return whether it was."""
        before, fresh = self._credential, read_credential(self.settings)
        if before is not None and fresh.digest == before.digest:
            return False
        self.close()
        self._credential, self._connection = fresh, self._connect(fresh)
        return True

    def _send_once(
        self, method: Method, path: str, kind: str, body: Mapping[str, object] | None, headers: dict[str, str]
    ) -> Answer:
        outcome = "none"
        try:
            status, answered, text = self._github().requester.requestJson(
                method, path, headers=dict(headers), input=None if body is None else dict(body)
            )
            outcome = str(status)
        except (
            requests.RequestException,
            GithubException,
            PyJWTError,
            RuntimeError,
            AssertionError,
            ValueError,
        ) as error:
            raise without_answer(method, path, error) from error
        finally:
            self._metrics.requests.labels(method, kind, outcome).inc()
        remaining = answered.get("x-ratelimit-remaining")
        if remaining is not None and str(remaining).isdecimal():
            self._metrics.remaining.set(float(remaining))
        return read_answer(
            method,
            path,
            status,
            cast("Mapping[str, str]", answered),
            text,
            expects_json=headers["Accept"] == _JSON,
        )

    def _connect(self, credential: Credential) -> Github:
        return Github(
            auth=credential.auth,
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
        if self._connection is not None:
            self._connection.close()


@asynccontextmanager
async def open_client(settings: GitHubSettings, metrics: GitHubMetrics) -> AsyncGenerator[GitHubClient]:
    """Open a client for the length of a block. A credential that cannot be read is each request's UnauthorizedError."""
    client = GitHubClient(settings, metrics)
    try:
        yield client
    finally:
        client.close()
