"""What a small model can do for an issue: write one paragraph of documentation."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, create_model

from bzzz_agent.reasoning.errors import ModelNonsenseError
from bzzz_agent.reasoning.model import Answered, ReasoningModel
from bzzz_agent.reasoning.prose import one_line, problem_with, strays
from bzzz_agent.reasoning.usage import Budget, Usage

MAX_FACTS: Final = 600
_PROSE: Final = r"[A-Za-z0-9 ,.'();:_-]"

TEMPERATURES: Final = (0.2, 0.5, 0.7, 0.9)
"""One a try: a small model's text is often no prose, and at one temperature it would write the same again."""

_EXAMPLES: Final = """\
Facts: The parser reads lines from a file. It skips comments.
{"paragraph": "The parser reads lines from a file and skips comments."}

Facts: The tests run with pytest from the top folder. They take a minute.
{"paragraph": "The tests run with pytest from the top folder and take about a minute."}
"""
"""Tried on six issues with these weights: without examples it writes URLs. Any penalty on repetition keeps it from the
very words of the facts."""

_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_FILE: Final = re.compile(r"\b[\w-]+/[\w./-]+|\b[\w-]+\.(md|rst|txt)\b")


def facts_of(title: str, body: str) -> str:
    """Return what an issue says, without the sentences that only say where it belongs."""
    sentences = [s for s in _SENTENCE.split(one_line(body, MAX_FACTS)) if s and not _FILE.search(s)]
    return " ".join(sentences) or one_line(title, MAX_FACTS)


def paragraph_shape(facts: str) -> type[BaseModel]:
    """Return the shape of a paragraph that begins with the first words of the facts.

    Forced to begin so, the model restates the facts in nine of ten tries; left alone it restates the examples in
    every second.
    """
    start = " ".join(facts.split()[:2])
    plain = re.fullmatch(r"[A-Za-z0-9 ,.'();:_-]+", start) is not None
    # each sign in brackets of its own: then none means anything to a pattern, here or at the server
    opening = re.sub(r"([.();'-])", r"[\1]", start) if plain else "The"
    text: Any = Annotated[str, Field(pattern=f"^{opening} {_PROSE}{{20,400}}[.]$")]
    return create_model("Paragraph", paragraph=(text, ...))


async def write_paragraph(
    model: ReasoningModel, title: str, body: str, budget: Budget | None, timeout_s: float
) -> Answered[str]:
    """Have one paragraph written for an issue. Whether it is true is not checked, only that it is prose and on the
    subject.

    Raises ReasoningError; ModelNonsenseError when no try was usable.
    """
    facts = facts_of(title, body)
    shape = paragraph_shape(facts)
    prompt = f"{_EXAMPLES}\nFacts: {facts}"
    spent, problem = Usage(), ""
    for temperature in TEMPERATURES:
        left = budget.less(spent) if budget else None
        try:
            answered = await model.ask(
                shape, "", prompt, budget=left, timeout_s=timeout_s, temperature=temperature
            )
        except ModelNonsenseError as error:
            spent, problem = spent + error.usage, str(error)
            continue
        spent += answered.usage
        text = one_line(str(getattr(answered.value, "paragraph", "")), 500)
        problem = problem_with(text) or strays(text, f"{title} {facts}") or ""
        if not problem:
            return Answered(text, spent)
    raise ModelNonsenseError(
        f"model {model.name}: wrote no usable paragraph in {len(TEMPERATURES)} tries: {problem}", spent
    )
