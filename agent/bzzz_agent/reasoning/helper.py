"""A model helps a peer whose work failed: what to do differently, and where it is sure, the files as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, Field

from bzzz_agent.reasoning.model import Answered, ReasoningModel
from bzzz_agent.reasoning.untrusted import RULE, fenced
from bzzz_agent.reasoning.usage import Budget
from bzzz_agent.review.paths import matches
from hmmm.plan import Plan

MAX_ISSUE: Final = 8_000
MAX_SHOWN: Final = 8_000

INSTRUCTIONS: Final = (
    "A peer carried out an agreed plan for an issue of a code repository and failed. Say what it should do "
    "differently, concretely enough to be followed without you; keep to the plan's files. If you are sure of the "
    "whole content of a file of the plan, give it as well; else give no files. If you do not know what is wrong, say "
    "can_help false: nobody is served by a guess. "
) + RULE


@dataclass(frozen=True)
class HelpQuestion:
    """What help is wanted for. All of it is by strangers."""

    title: str
    body: str
    plan: Plan
    problem: str
    tried: tuple[str, ...]
    """Earlier suggestions, each with what failed."""
    shown: Mapping[str, str]
    """Files of the repository at the claim's base, path → content."""


class FileDraft(BaseModel):
    """A file as it should be."""

    path: Annotated[str, Field(min_length=1, max_length=240)]
    content: Annotated[str, Field(max_length=20_000)]


class HelpDraft(BaseModel):
    """A suggestion for a peer that is stuck."""

    can_help: bool
    suggestion: Annotated[str, Field(max_length=2000)] = Field(
        description="What to do differently, concretely."
    )
    files: Annotated[list[FileDraft], Field(max_length=3)] = Field(
        description="Whole files as they should be, only of the plan's footprint, only where you are sure; else empty."
    )


async def advise(model: ReasoningModel, question: HelpQuestion, budget: Budget | None) -> Answered[HelpDraft]:
    """Ask the model for a suggestion. Raises ReasoningError."""
    return await model.ask(
        HelpDraft,
        INSTRUCTIONS,
        _prompt(question),
        budget=budget,
        check=lambda draft: _problem(draft, question.plan),
    )


def _prompt(question: HelpQuestion) -> str:
    parts = [
        fenced("issue", f"{question.title}\n\n{question.body}", MAX_ISSUE),
        "The agreed plan:",
        fenced("plan", question.plan.to_json().decode(), 8_000),
        "What failed:",
        fenced("problem", question.problem, 6_000),
        *(fenced(f"content of {path}", text, MAX_SHOWN) for path, text in question.shown.items()),
    ]
    if question.tried:
        parts.append("You suggested before, and it did not work:")
        parts.append(fenced("tried", "\n\n".join(question.tried), 8_000))
    return "\n\n".join(parts)


def _problem(draft: HelpDraft, plan: Plan) -> str | None:
    if not draft.can_help:
        return None
    if not draft.suggestion.strip():
        return "suggestion: expected what to do differently, or can_help false"
    outside = [f.path for f in draft.files if not any(matches(f.path, glob) for glob in plan.footprint)]
    if outside:
        return f"files: {', '.join(outside)} are not of the plan's footprint; leave them out"
    return None
