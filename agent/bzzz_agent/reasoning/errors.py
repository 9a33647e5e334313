"""What can go wrong with a model. Each names the model and what to do, never the key or the whole prompt."""

from __future__ import annotations

from bzzz_agent.reasoning.usage import Usage
from hmmm.errors import BzzzError


class ReasoningError(BzzzError):
    """Root: a model gave no answer that can be used. `reason` is a constant word; `usage` was spent all the same."""

    reason = "model"

    def __init__(self, message: str, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage or Usage()


class ModelUnavailableError(ReasoningError):
    """It does not answer: not there, overloaded, too slow, or the credential is refused."""

    reason = "model_unavailable"


class ModelNonsenseError(ReasoningError):
    """It answers, but not what was asked for, however often it was asked."""

    reason = "model_nonsense"


class BudgetSpentError(ReasoningError):
    """The tokens or dollars that this work was allowed are spent."""

    reason = "budget_spent"
