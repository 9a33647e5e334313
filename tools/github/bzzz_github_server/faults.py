"""Faults on order: what GitHub and the way to it do wrong, by rule, from a seeded source of chance.

A rule names its kind, the requests it applies to, how likely it bites and how often at most. All rules that
match a request are drawn; `Faults.draw` adds them up into one `Outcome` that the gateway carries out.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from bzzz_github_server.history import KEPT_S
from bzzz_github_server.wire import Request

Kind = Literal[
    "latency",
    "staleReads",
    "lostAnswer",
    "secondaryLimit",
    "tooManyRequests",
    "unavailable",
    "drop",
    "dropAnswer",
]

_READS = frozenset({"GET", "HEAD"})


class FaultRule(BaseModel):
    """One rule. `latency` waits `seconds` plus up to `jitter`; `staleReads` answers GETs of issues, pulls and
    refs as of up to `seconds` ago; `lostAnswer` applies the request, then says `status`; `secondaryLimit` (403)
    and `tooManyRequests` (429) refuse with Retry-After `seconds`; `unavailable` says `status` and applies
    nothing; `drop` closes the connection before, `dropAnswer` after applying.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    kind: Kind
    probability: float = Field(default=1.0, ge=0.0, le=1.0)
    methods: tuple[Literal["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"], ...] | None = None
    path: str = Field(default="", max_length=512)
    """A regular expression searched in the path; empty matches all."""
    plane: Literal["rest", "git", "any"] = "rest"
    seconds: float = Field(default=1.0, ge=0.0, le=KEPT_S)
    jitter: float = Field(default=0.0, ge=0.0, le=KEPT_S)
    status: int = Field(default=502, ge=500, le=599)
    skip: int = Field(default=0, ge=0)
    """Requests that match but are let through first."""
    times: int | None = Field(default=None, ge=1)
    """How often it bites at most."""

    @field_validator("path")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as problem:
            raise ValueError(f"expected a regular expression, got {problem}") from problem
        return pattern

    def matches(self, request: Request, plane: str) -> bool:
        """Whether the rule is about this request."""
        if self.plane not in ("any", plane) or (self.kind == "staleReads" and request.method not in _READS):
            return False
        if self.methods is not None and request.method not in self.methods:
            return False
        return re.search(self.path, request.path) is not None


class FaultSettings(BaseModel):
    """All rules and the seed of their chance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    rules: tuple[FaultRule, ...] = Field(default=(), max_length=64)


@dataclass
class Outcome:
    """What is to happen to one request."""

    delay_s: float = 0.0
    lag_s: float = 0.0
    refusal: FaultRule | None = None
    """The rule that refuses it before it is applied."""
    lost: int | None = None
    """The status said instead of the answer, after it was applied."""
    drop: bool = False
    drop_answer: bool = False
    kinds: list[str] = field(default_factory=list[str])


class Faults:
    """The rules in force and their counts. Safe to use from many threads."""

    def __init__(self, settings: FaultSettings) -> None:
        self._lock = threading.Lock()
        self._settings = settings
        self._reset(settings)

    def _reset(self, settings: FaultSettings) -> None:
        self._settings = settings
        self._chance = random.Random(settings.seed)  # noqa: S311 - chance that can be repeated, no secret
        self._matched: Counter[int] = Counter()
        self._bitten: Counter[int] = Counter()

    def replace(self, settings: FaultSettings) -> None:
        """Put other rules in force; counts and chance start anew."""
        with self._lock:
            self._reset(settings)

    def describe(self) -> dict[str, object]:
        """The rules in force, each with how often it matched and bit."""
        with self._lock:
            rules = [
                {
                    **rule.model_dump(mode="json", by_alias=True),
                    "matched": self._matched[number],
                    "bitten": self._bitten[number],
                }
                for number, rule in enumerate(self._settings.rules)
            ]
            return {"seed": self._settings.seed, "rules": rules}

    def draw(self, request: Request, plane: str) -> Outcome:
        """Decide what happens to this request."""
        outcome = Outcome()
        with self._lock:
            for number, rule in enumerate(self._settings.rules):
                if rule.matches(request, plane) and self._bites(number, rule):
                    outcome.kinds.append(rule.kind)
                    self._apply(rule, outcome)
        return outcome

    def _bites(self, number: int, rule: FaultRule) -> bool:
        self._matched[number] += 1
        if self._matched[number] <= rule.skip:
            return False
        if rule.times is not None and self._bitten[number] >= rule.times:
            return False
        # Always drawn, so that a rule of probability 1 does not shift the chance of the others.
        if self._chance.random() >= rule.probability:
            return False
        self._bitten[number] += 1
        return True

    def _apply(self, rule: FaultRule, outcome: Outcome) -> None:
        if rule.kind == "latency":
            outcome.delay_s += rule.seconds + self._chance.random() * rule.jitter
        elif rule.kind == "staleReads":
            outcome.lag_s = max(outcome.lag_s, self._chance.random() * rule.seconds)
        elif rule.kind == "lostAnswer":
            outcome.lost = rule.status
        elif rule.kind == "drop":
            outcome.drop = True
        elif rule.kind == "dropAnswer":
            outcome.drop_answer = True
        elif outcome.refusal is None:
            outcome.refusal = rule
