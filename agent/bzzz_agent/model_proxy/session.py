"""One run of a command at the proxy: its token, and what it may still use."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import structlog
import trio

from bzzz_agent.model_proxy.errors import LimitReachedError
from bzzz_agent.model_proxy.upstream import Upstream
from bzzz_agent.model_proxy.wire import Count, Question
from bzzz_agent.reasoning.model import ModelSettings, price
from bzzz_agent.reasoning.usage import Tally, Usage

MILLION = 1_000_000
CONCURRENT = 8
"""Requests of one run at a time where nothing is limited. With a limit they take turns: two at once could each use
up what is left."""

log = structlog.get_logger("bzzz.agent.model_proxy")


@dataclass
class Session:
    """A run's account. `spent` is set once a limit is reached: the run is to be stopped."""

    upstream: Upstream
    meter: Tally
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    spent: trio.Event = field(default_factory=trio.Event)
    problem: str = ""
    requests: Counter[str] = field(default_factory=Counter[str])
    """By model, for the log: commands may ask for another model of the same provider."""

    def __post_init__(self) -> None:
        """Make room for as many requests as may be under way."""
        self.places = trio.CapacityLimiter(1 if self.limited else CONCURRENT)

    @property
    def limited(self) -> bool:
        """Whether there is a limit to keep."""
        return self.meter.budget.tokens is not None or self.meter.budget.usd is not None

    def may_answer(self, question: Question) -> int | None:
        """Return how many tokens the answer may have, None for no bound.

        Raises LimitReachedError when nothing is left, or money is limited and the model's price not known.
        """
        if self.spent.is_set():
            raise LimitReachedError(self.problem)
        left = self.meter.left
        bounds: list[int] = [] if left.tokens is None else [left.tokens - question.estimated_input // 2]
        if left.usd is not None:
            cost = self._price(question.model, 0, MILLION)
            if cost is None:
                raise LimitReachedError(
                    f"model {question.model}: its price is not known, so that a limit in dollars cannot be kept; "
                    "use the manifest's model, or limit tokens"
                )
            read = self._price(question.model, question.estimated_input // 2, 0) or Decimal(0)
            if cost > 0:
                bounds.append(int((left.usd - read) * MILLION / cost))
        if not bounds:
            return None
        if min(bounds) < 1:
            self._stop(f"nothing is left for a further answer ({self._allowed()})")
            raise LimitReachedError(self.problem)
        return min(bounds)

    def over(self, question: Question, count: Count) -> bool:
        """Whether an answer that is still coming has already used more than is left."""
        return self.meter.budget.exceeded_by(self.meter.used + self._usage(question, count)) is not None

    def settle(self, question: Question, count: Count) -> None:
        """Add what an answer used, whole or broken off; sets `spent` when that was too much."""
        usage = self._usage(question, count)
        self.requests[question.model] += 1
        self.meter.used += usage
        log.info("model asked by the command", model=question.model, tokens=usage.tokens)
        problem = self.meter.budget.exceeded_by(self.meter.used)
        if problem is not None:
            self._stop(problem)

    def _stop(self, problem: str) -> None:
        if not self.spent.is_set():
            self.problem = f"the model's limit is reached: {problem}; stopped"
            self.spent.set()
            log.warning("model limit reached by the command", problem=problem)

    def _allowed(self) -> str:
        budget = self.meter.budget
        parts = [
            f"{budget.tokens} tokens" if budget.tokens is not None else "",
            f"${budget.usd}" if budget.usd else "",
        ]
        return f"allowed: {', '.join(p for p in parts if p)}"

    def _usage(self, question: Question, count: Count) -> Usage:
        read = question.estimated_input if count.input_tokens is None else count.input_tokens
        own = count.output_tokens if count.complete else None
        written = count.output_so_far if own is None else own
        return Usage(read, written, 1, self._price(question.model, read, written))

    def _price(self, model: str, read: int, written: int) -> Decimal | None:
        named = self.upstream.model
        name = named.name if model == named.model else f"{named.provider}:{model}"
        return price(ModelSettings(name=name), read, written)
