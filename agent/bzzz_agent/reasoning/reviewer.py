"""Reviews by a model: a verdict of four words, with what it rests on quoted word for word."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from bzzz_agent.reasoning.model import ReasoningModel
from bzzz_agent.reasoning.prose import one_line, problem_with
from bzzz_agent.reasoning.untrusted import RULE, fenced
from bzzz_agent.reasoning.usage import Usage
from bzzz_agent.review.judge import Judgement
from hmmm.plan import Plan

MAX_ISSUE: Final = 8_000
MAX_PLAN: Final = 8_000
MAX_EARLIER: Final = 3_000
KNOWN: Final = (
    "What was said about these files on other issues; it may be outdated, or wrong. Where your answer rests on it, "
    "name its reference, as [log …#…]:"
)

INSTRUCTIONS: Final = (
    "You review a peer's plan for one issue before it is executed. Object only to what would make the result wrong, "
    "harmful or other than the issue asks: 'blocking' where it must not be done like this, 'advisory' where it is a "
    "risk. Quote, word for word, the part of the issue or plan that your objection rests on. Suggest what would make "
    "it better; ask where the issue leaves open what is meant. If nothing is wrong, say no_objection. "
) + RULE


_SMALL_EXAMPLES: Final = """\
Issue: Say how the tests are run
Plan: Add a paragraph to CONTRIBUTING.md: how the tests are run
{"verdict": "no_objection", "reason": "The plan does what the issue asks."}

Issue: The parser crashes on empty lines
Plan: Skip empty lines
{"verdict": "suggestion", "reason": "Add a test with an empty line."}
"""


class ReviewDraft(BaseModel):
    """A review of a plan."""

    verdict: Literal["no_objection", "objection", "suggestion", "question"]
    severity: Literal["blocking", "advisory"]
    reason: Annotated[str, Field(max_length=1500)]
    quoted: Annotated[str, Field(max_length=1000)] | None


class SmallReview(BaseModel):
    """What a small model is asked: whether it would add something, and a few words."""

    verdict: Literal["no_objection", "suggestion"]
    reason: Annotated[str, Field(max_length=120)]


class ModelJudge:
    """The reviewer's model. `spent` adds up what its reviews used."""

    def __init__(self, model: ReasoningModel) -> None:
        self._model = model
        self.spent = Usage()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def decides(self) -> bool:
        """Whether its blocking objections block; a small model's words are only shown."""
        return not self._model.settings.small

    async def judge(
        self, title: str, body: str, plan: Plan, timeout_s: float, earlier: tuple[str, ...] = ()
    ) -> Judgement:
        """Return the model's word within so many seconds; `earlier` is what was said about the same files on other
        issues, a line each, with its reference. Raises ReasoningError."""
        if self._model.settings.small:
            return await self._small(title, plan, timeout_s)
        said = "\n".join(earlier)
        material = f"{title}\n\n{body}\n\n{plan.to_json().decode()}\n\n{said}"
        known = (KNOWN, fenced("earlier discussions", said, MAX_EARLIER)) if earlier else ()
        prompt = "\n\n".join(
            (
                fenced("issue", f"{title}\n\n{body}", MAX_ISSUE),
                fenced("plan", plan.to_json().decode(), MAX_PLAN),
                *known,
            )
        )
        answered = await self._model.ask(
            ReviewDraft,
            INSTRUCTIONS,
            prompt,
            check=lambda draft: _problem(draft, material),
            timeout_s=timeout_s,
        )
        self.spent += answered.usage
        draft = answered.value
        return Judgement(draft.verdict, draft.severity, draft.reason.strip(), draft.quoted)

    async def _small(self, title: str, plan: Plan, timeout_s: float) -> Judgement:
        prompt = f"{_SMALL_EXAMPLES}\nIssue: {one_line(title, 120)}\nPlan: {one_line(plan.summary, 200)}"
        answered = await self._model.ask(SmallReview, "", prompt, timeout_s=timeout_s)
        self.spent += answered.usage
        said = one_line(answered.value.reason, 120)
        if answered.value.verdict == "no_objection" or problem_with(said) is not None:
            return Judgement(
                "no_objection", reason=f"{self.name} (a small model) has nothing against the plan."
            )
        return Judgement("suggestion", reason=f"{self.name} (a small model) says: {said}")


def _problem(draft: ReviewDraft, material: str) -> str | None:
    if draft.verdict != "no_objection" and not draft.reason.strip():
        return "reason: expected why"
    if draft.quoted and " ".join(draft.quoted.split()) not in " ".join(material.split()):
        return (
            "quoted: expected words that stand in issue, plan or earlier discussions, word for word, or null"
        )
    return None
