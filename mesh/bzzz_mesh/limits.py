"""Token buckets: how much of something is allowed a second, with a burst."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic


class TokenBucket:
    """Allows `rate` a second on average and `burst` at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self) -> bool:
        """Take a token if there is one."""
        if self.wait_s() > 0:
            return False
        self._tokens -= 1
        return True

    def wait_s(self) -> float:
        """Return the seconds until there is a token; 0 when there is one now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        # a hair below one: what rounding leaves must not make waiting for a token endless
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / self._rate

    @property
    def full(self) -> bool:
        """Whether nothing was taken lately, so that the bucket need not be remembered."""
        return self.wait_s() == 0 and self._tokens >= self._burst


class TokenBuckets:
    """A bucket a key, forgotten once it is full again: bounded by what was busy in the last seconds."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str) -> bool:
        """Take a token of a key if it has one."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget_full()
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, self._clock)
        return bucket.take()

    def __len__(self) -> int:
        return len(self._buckets)

    def _forget_full(self) -> None:
        for key in [key for key, bucket in self._buckets.items() if bucket.full]:
            del self._buckets[key]
