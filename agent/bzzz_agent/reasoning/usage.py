"""What a model's answers used up, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True)
class Usage:
    """Tokens and money of one or several calls."""

    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    usd: Decimal | None = None
    """None where no price is known for the model; the embedded model costs nothing and says 0."""

    @property
    def tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """Add up; money stays known only where it is known on both sides, or one side did nothing."""
        known = [u.usd for u in (self, other) if u.requests]
        usd = (
            None if None in known else sum((u for u in known if u is not None), Decimal(0)) if known else None
        )
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.requests + other.requests,
            usd,
        )


@dataclass(frozen=True)
class Budget:
    """What may be used up; None is no limit."""

    tokens: int | None = None
    usd: Decimal | None = None

    def exceeded_by(self, usage: Usage) -> str | None:
        """Say what is spent, or None. Unknown prices count as spent where money is limited."""
        if self.tokens is not None and usage.tokens > self.tokens:
            return f"{usage.tokens} tokens used, {self.tokens} allowed"
        if self.usd is not None and usage.requests:
            if usage.usd is None:
                return "the model's price is not known, so that a limit in dollars cannot be kept; limit tokens instead"
            if usage.usd > self.usd:
                return f"${usage.usd:.4f} used, ${self.usd} allowed"
        return None

    def less(self, usage: Usage) -> Budget:
        """Return what is left after a use."""
        tokens = None if self.tokens is None else max(0, self.tokens - usage.tokens)
        usd = None if self.usd is None else max(Decimal(0), self.usd - (usage.usd or Decimal(0)))
        return Budget(tokens, usd)


@dataclass
class Tally:
    """What has been used, against what may be."""

    budget: Budget
    used: Usage = field(default_factory=Usage)

    @property
    def left(self) -> Budget:
        """What may still be used."""
        return self.budget.less(self.used)
