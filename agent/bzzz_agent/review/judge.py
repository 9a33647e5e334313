"""What a reviewer asks of a model, as the rest of the agent sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from hmmm.meta import Severity
from hmmm.plan import Plan


@dataclass(frozen=True)
class Judgement:
    """A model's word on a plan."""

    verdict: Literal["no_objection", "objection", "suggestion", "question"]
    severity: Severity = "advisory"
    reason: str = ""
    quoted: str | None = None


class Judge(Protocol):
    """Thinks about a plan. Raises ReasoningError when it cannot."""

    async def judge(
        self, title: str, body: str, plan: Plan, timeout_s: float, earlier: tuple[str, ...] = ()
    ) -> Judgement:
        """Return the model's word within so many seconds; `earlier` is what was said about the files before."""
        ...

    @property
    def name(self) -> str:
        """The model's name, for what is said in its name."""
        ...

    @property
    def decides(self) -> bool:
        """Whether its blocking objections block; a small model's are only shown."""
        ...
