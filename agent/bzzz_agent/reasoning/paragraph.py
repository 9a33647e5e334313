"""What a small model can do for an issue: write one paragraph of documentation."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from bzzz_agent.reasoning.errors import ModelNonsenseError
from bzzz_agent.reasoning.model import Answered, ReasoningModel
from bzzz_agent.reasoning.prose import one_line, problem_with
from bzzz_agent.reasoning.usage import Budget, Usage

MAX_NOTES: Final = 600
ATTEMPTS: Final = 4
"""A small model's text is often no prose; a new try costs a few seconds."""

_EXAMPLES: Final = """\
Requests for documentation, the notes that came with them, and the paragraphs that were written from the notes.

Request: Say how to run the tests
Notes: pytest from the top folder; takes less than a minute.
{"paragraph": "Run the tests with pytest from the top folder of the project. They take less than a minute."}

Request: README does not explain the configuration file
Notes: config.toml in the current folder. Every setting has a default. Unknown settings are errors.
{"paragraph": "The program reads config.toml in the current folder. Every setting has a default, unknown ones are \
errors."}
"""


class Paragraph(BaseModel):
    """A paragraph of plain English."""

    paragraph: Annotated[str, Field(min_length=60, max_length=600)]


async def write_paragraph(
    model: ReasoningModel, title: str, body: str, budget: Budget | None, timeout_s: float
) -> Answered[str]:
    """Have one paragraph written for an issue. What it says is not checked, only that it is prose.

    Raises ReasoningError; ModelNonsenseError after `ATTEMPTS` texts that were no prose.
    """
    prompt = f"{_EXAMPLES}\nRequest: {one_line(title, 160)}\nNotes: {one_line(body, MAX_NOTES)}\n"
    spent, problem = Usage(), ""
    for _attempt in range(ATTEMPTS):
        answered = await model.ask(
            Paragraph, "", prompt, budget=budget.less(spent) if budget else None, timeout_s=timeout_s
        )
        spent += answered.usage
        text = one_line(answered.value.paragraph, 600)
        found = problem_with(text)
        if found is None:
            return Answered(text, spent)
        problem = found
    raise ModelNonsenseError(f"model {model.name}: wrote no paragraph in {ATTEMPTS} tries: {problem}", spent)
