"""Values with their past, so that a read can be answered as it would have been a moment ago.

GitHub's reads lag behind its writes; a client that trusts a fresh-looking read claims twice (docs/local-github.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

KEPT_S = 60.0
"""How far back the past reaches; no lag is longer."""


class History(Generic[K, V]):
    """A mapping that remembers for a minute what each key's value was. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._versions: dict[K, list[tuple[float, V | None]]] = {}

    def put(self, key: K, value: V | None) -> None:
        """Set a key's value from now on; None takes it away."""
        now = self._clock()
        with self._lock:
            versions = self._versions.setdefault(key, [])
            versions.append((now, value))
            # The newest version that is older than the limit still answers reads at the limit itself.
            while len(versions) > 1 and versions[1][0] <= now - KEPT_S:
                del versions[0]

    def replace(self, values: Mapping[K, V]) -> set[K]:
        """Set the whole mapping from now on; return the keys that changed."""
        before = self.all()
        changed = {key for key in before.keys() | values.keys() if before.get(key) != values.get(key)}
        for key in changed:
            self.put(key, values.get(key))
        return changed

    def get(self, key: K, lag_s: float = 0.0) -> V | None:
        """The value as it was `lag_s` seconds ago."""
        with self._lock:
            return self._at(self._versions.get(key, []), self._clock() - lag_s)

    def all(self, lag_s: float = 0.0) -> dict[K, V]:
        """The mapping as it was `lag_s` seconds ago."""
        with self._lock:
            then = self._clock() - lag_s
            values = {key: self._at(versions, then) for key, versions in self._versions.items()}
        return {key: value for key, value in values.items() if value is not None}

    @staticmethod
    def _at(versions: list[tuple[float, V | None]], then: float) -> V | None:
        for since, value in reversed(versions):
            if since <= then:
                return value
        return None
