"""A model looks whether a question is answered by what is there to read: only words that stand there count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, Field

from bzzz_agent.reasoning.model import Answered, ReasoningModel
from bzzz_agent.reasoning.untrusted import RULE, fenced
from bzzz_agent.reasoning.usage import Budget

MAX_QUESTION: Final = 4_000
MAX_SOURCE: Final = 12_000
TIMEOUT_S: Final = 60.0

INSTRUCTIONS: Final = (
    "A peer asks a question about an issue. Answer it only if the issue or one of the files answers it in so many "
    "words, and quote those words exactly. What you would guess is no answer: then say answered false. "
) + RULE


class AnswerDraft(BaseModel):
    """Whether what is there to read answers a question."""

    answered: bool
    answer: Annotated[str, Field(max_length=1500)]
    quoted: Annotated[str, Field(max_length=1000)] | None = Field(
        description="The words that say so, exactly as they stand there."
    )


async def look_up(
    model: ReasoningModel, question: str, sources: Mapping[str, str], budget: Budget | None
) -> Answered[AnswerDraft]:
    """Ask the model whether one of the sources (name → text) answers a question. Raises ReasoningError."""
    prompt = "\n\n".join(
        (
            fenced("question", question, MAX_QUESTION),
            *(fenced(name, text, MAX_SOURCE) for name, text in sources.items()),
        )
    )
    return await model.ask(
        AnswerDraft,
        INSTRUCTIONS,
        prompt,
        budget=budget,
        check=lambda draft: _problem(draft, sources),
        timeout_s=TIMEOUT_S,
    )


def source_of(quoted: str | None, sources: Mapping[str, str]) -> str | None:
    """Return the name of the first source in which words stand, white space aside; None if they stand in none."""
    words = " ".join((quoted or "").split())
    return next((name for name, text in sources.items() if words and words in " ".join(text.split())), None)


def _problem(draft: AnswerDraft, sources: Mapping[str, str]) -> str | None:
    if not draft.answered:
        return None
    if not draft.answer.strip():
        return "answer: expected the answer, or answered false"
    if source_of(draft.quoted, sources) is None:
        return "quoted: expected words that stand in the issue or a file, word for word, or answered false"
    return None
