"""What a bench gives: rows, each with a figure and what it is to be held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


class BrokenError(Exception):
    """Something that must never happen did, whatever the figures: a double claim, a lost record."""


@dataclass(frozen=True)
class Promise:
    """A number of architecture §14."""

    bound: Literal["at most", "at least"]
    value: float

    def kept_by(self, figure: float) -> bool:
        """Whether a figure keeps it."""
        return figure <= self.value if self.bound == "at most" else figure >= self.value

    def __str__(self) -> str:
        """Return it as the table shows it."""
        return f"{'≤' if self.bound == 'at most' else '≥'} {plain(self.value)}"


def at_most(value: float) -> Promise:
    """Return a promise of an upper bound."""
    return Promise("at most", value)


def at_least(value: float) -> Promise:
    """Return a promise of a lower bound."""
    return Promise("at least", value)


@dataclass(frozen=True)
class Row:
    """One figure. `peers` are other programs' figures for the same work in the same run, by name."""

    name: str
    figure: float
    unit: str
    promise: Promise | None = None
    peers: dict[str, float] = field(default_factory=dict[str, float])
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    """Whatever else was measured; for the JSON only."""

    @property
    def ratios(self) -> list[float]:
        """The figure over each peer's, or over the promise where there is no peer."""
        beside = list(self.peers.values()) or ([self.promise.value] if self.promise else [])
        return [self.figure / other for other in beside if other]

    @property
    def verdict(self) -> str:
        """Whether the promise was kept in this run."""
        if self.promise is None:
            return ""
        return "kept" if self.promise.kept_by(self.figure) else "short of promise"

    def to_object(self) -> dict[str, Any]:
        """Return the row for the JSON."""
        promise = None if self.promise is None else asdict(self.promise)
        figure = None if math.isnan(self.figure) else self.figure  # JSON knows no nan
        fields = {"name": self.name, "figure": figure, "unit": self.unit, "note": self.note}
        beside = {"promise": promise, "peers": self.peers, "ratios": self.ratios, "verdict": self.verdict}
        return fields | beside | {"detail": self.detail}


@dataclass(frozen=True)
class Context:
    """What a bench is given: how much to do, and an empty folder that is removed afterwards."""

    scale: float
    folder: Path
    say: Callable[[str], None]

    def times(self, count: int, least: int = 1) -> int:
        """Scale a number of repetitions."""
        return max(least, round(count * self.scale))


def plain(figure: float) -> str:
    """Return a figure with three digits that mean something."""
    if math.isnan(figure):
        return "none"
    if figure == int(figure) or abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent are not above; nan of none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def histogram(values: Sequence[float], bounds: Sequence[float]) -> str:
    """Return how many values fall up to each bound, as words: `≤0.1: 3, ≤0.5: 1, more: 1`."""
    parts: list[str] = []
    below = 0
    for bound in bounds:
        count = sum(value <= bound for value in values)
        if count > below:
            parts.append(f"≤{bound:g}: {count - below}")
        below = count
    if len(values) > below:
        parts.append(f"more: {len(values) - below}")
    return ", ".join(parts)
