"""Rate limits by GitHub's rules: 5,000 requests an hour, free 304s, and the secondary limit on writes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bzzz_github_server.errors import Refusal
from bzzz_github_server.settings import LimitSettings
from bzzz_github_server.wire import Json

HOUR_S = 3600
MINUTE_S = 60

SECONDARY = (
    "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. "
    "Please retry your request again later."
)


@dataclass
class _Window:
    used: int
    reset: float


class Limits:
    """Counts by caller. Safe to use from many threads."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._writes: dict[str, deque[float]] = {}

    def admit(self, caller: str, *, anonymous: bool, writes: bool) -> None:
        """Let a request in; `charge` counts it later.

        Raises:
            Refusal: 403 with the primary limit's reset, or with the secondary's Retry-After.
        """
        with self._lock:
            window = self._window(caller)
            if window.used >= self._limit(anonymous=anonymous):
                message = f"API rate limit exceeded for {caller}."
                raise Refusal(403, message, headers=self._headers(window, anonymous=anonymous))
            if writes:
                self._admit_write(caller)

    def charge(self, caller: str, *, anonymous: bool, free: bool) -> dict[str, str]:
        """Count a request unless it was `free` (an authorised 304) and return the headers that tell."""
        with self._lock:
            window = self._window(caller)
            window.used += 0 if free else 1
            return self._headers(window, anonymous=anonymous)

    def describe(self, caller: str, *, anonymous: bool) -> Json:
        """`GET /rate_limit`, which costs nothing."""
        with self._lock:
            window, limit = self._window(caller), self._limit(anonymous=anonymous)
            core = {
                "limit": limit,
                "used": min(window.used, limit),
                "remaining": max(0, limit - window.used),
                "reset": int(window.reset),
            }
            search = {"limit": 30, "used": 0, "remaining": 30, "reset": int(self._clock()) + MINUTE_S}
        return {"resources": {"core": core, "search": search}, "rate": core}

    def _admit_write(self, caller: str) -> None:
        """The secondary limit, by the times of the last hour's writes."""
        now = self._clock()
        writes = self._writes.setdefault(caller, deque())
        while writes and writes[0] <= now - HOUR_S:
            writes.popleft()
        limits = ((self._settings.writes_per_minute, MINUTE_S), (self._settings.writes_per_hour, HOUR_S))
        for most, span in limits:
            recent = [then for then in writes if then > now - span]
            if most is not None and len(recent) >= most:
                wait = max(1, int(recent[0] + span - now + 1))
                raise Refusal(403, SECONDARY, headers={"Retry-After": str(wait)})
        writes.append(now)

    def _limit(self, *, anonymous: bool) -> int:
        return self._settings.anonymous_per_hour if anonymous else self._settings.requests_per_hour

    def _window(self, caller: str) -> _Window:
        now = self._clock()
        window = self._windows.get(caller)
        if window is None or window.reset <= now:
            window = self._windows[caller] = _Window(0, now + HOUR_S)
        return window

    def _headers(self, window: _Window, *, anonymous: bool) -> dict[str, str]:
        limit = self._limit(anonymous=anonymous)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - window.used)),
            "X-RateLimit-Used": str(min(window.used, limit)),
            "X-RateLimit-Reset": str(int(window.reset)),
            "X-RateLimit-Resource": "core",
        }
