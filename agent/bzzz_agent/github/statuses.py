"""What an HTTP answer of GitHub's means: a value, or the error that says what to do next.

Sources: GitHub's REST documentation, "Rate limits", "Best practices" and "Troubleshooting".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import requests
from github.GithubException import GithubException
from jwt import PyJWTError

from bzzz_agent.github.errors import (
    ForbiddenError,
    GitHubError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)
from hmmm.errors import excerpt

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


def read_answer(
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    text: str,
    *,
    expects_json: bool = True,
    now: Callable[[], float] = time.time,
) -> Answer:
    """Turn status, lower-cased headers and body into an answer.

    Raises RetryableError or PermanentError for everything that is not a success.
    """
    data = _parsed(text)
    if status == 304 or 200 <= status < 300:
        if (
            text and data is None and expects_json
        ):  # some proxy's page: of a write, nobody knows what became of it
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
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        # The server's own clock, where it tells: ours may be off.
        return max(1.0, float(reset) - _server_time(headers, now))
    if status == 429 or "rate limit" in message.lower() or "abuse" in message.lower():
        return _SECONDARY_LIMIT_PAUSE_S
    return None


def _retry_after_s(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
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


def without_answer(method: str, path: str, error: Exception) -> GitHubError:
    """Turn what PyGithub or requests raised, when no answer came or no token could be had, into our error."""
    what = f"{method} {path.partition('?')[0]}"
    if isinstance(error, GithubException):  # an App's installation token was refused
        status = error.status
        if status is not None and status < 500 and status != 429:  # pyright: ignore[reportUnnecessaryComparison]
            return UnauthorizedError(f"{what}: GitHub gave no installation token: {status}", status=status)
        return UnavailableError(f"{what}: no installation token yet: {status}", status=status)
    if isinstance(error, PyJWTError):
        return UnauthorizedError(f"{what}: expected the App's private key (PEM, RSA): {type(error).__name__}")
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
