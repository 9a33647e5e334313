"""Plans by a model: shaped by a schema, checked against the repository, bounded everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError, create_model

from bzzz_agent.reasoning.errors import ModelNonsenseError
from bzzz_agent.reasoning.model import Answered, ReasoningModel
from bzzz_agent.reasoning.prose import one_line, problem_with
from bzzz_agent.reasoning.untrusted import RULE, fenced
from bzzz_agent.reasoning.usage import Budget
from bzzz_agent.review.paths import matches
from hmmm.plan import Plan

MAX_LISTED: Final = 400
"""Paths of the repository that a prompt lists, those that the issue names first."""
MAX_ISSUE: Final = 12_000
MAX_EARLIER: Final = 3_000
MAX_SHOWN: Final = 6_000
"""Characters of a file that the issue names, put before the model."""
SMALL_CHOICES: Final = 12
PROSE_FILES: Final = (".md", ".rst", ".txt")

_PATH: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*\.[A-Za-z0-9]{1,8}\b")


@dataclass(frozen=True)
class Question:
    """What a plan is wanted for. Everything but `paths` and `excluded` may be by strangers."""

    title: str
    body: str
    paths: tuple[str, ...]
    """The repository's files at the base commit."""
    shown: dict[str, str]
    """Contents of files that the issue names."""
    feedback: tuple[str, ...] = ()
    """What was said about the previous plan."""
    previous: Plan | None = None
    excluded: tuple[str, ...] = ()
    """Paths and globs that the plan must leave alone."""
    earlier: tuple[str, ...] = ()
    """What was said about the same files on other issues, a line each, with its reference."""
    test_command: str | None = None


class PlanDraft(BaseModel):
    """A plan for an issue."""

    summary: Annotated[str, Field(min_length=10, max_length=600)] = Field(
        description="What will be done, in one or two sentences."
    )
    steps: Annotated[list[Annotated[str, Field(max_length=300)]], Field(min_length=1, max_length=12)]
    footprint: Annotated[list[Annotated[str, Field(max_length=240)]], Field(min_length=1, max_length=60)] = (
        Field(
            description="Every file to change or add, as path from the repository's root. No other may be touched."
        )
    )
    tests: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=12)] = Field(
        description="Tests that will show that it works."
    )
    failing_test: Annotated[str, Field(max_length=300)] | None = Field(
        description="The failing test that the issue names, if any."
    )


INSTRUCTIONS: Final = (
    "You plan a small, careful change of a code repository for one issue. Name every file that you will touch and "
    "no other; prefer the smallest change that solves the issue, with a test. Peers review your plan before anything "
    "is done. "
) + RULE


_SMALL_EXAMPLES: Final = """\
Issue: Say how the tests are run
Files: README.md, CONTRIBUTING.md
{"file": "CONTRIBUTING.md", "summary": "Add how the tests are run."}

Issue: The parser's comments are not explained
Files: docs/parser.md, README.md
{"file": "docs/parser.md", "summary": "Explain the parser's comments."}
"""


def named_paths(text: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the repository's files that a text names, by full path or by a name that is no other file's."""
    words = set(_PATH.findall(text))
    found = [path for path in paths if path in words]
    for word in sorted(words):
        same = [path for path in paths if path.endswith("/" + word)]
        if len(same) == 1:
            found.append(same[0])
    return tuple(dict.fromkeys(found))


async def make_plan(model: ReasoningModel, question: Question, budget: Budget | None) -> Answered[Plan]:
    """Ask the model for a plan. Raises ReasoningError."""
    if model.settings.small:
        return await _small_plan(model, question, budget)
    answered = await model.ask(
        PlanDraft,
        INSTRUCTIONS,
        _prompt(question),
        budget=budget,
        check=lambda draft: _problem(draft, question.excluded),
    )
    draft = answered.value
    plan = Plan(
        summary=one_line(draft.summary, 600),
        steps=tuple(one_line(step, 300) for step in draft.steps),
        footprint=tuple(dict.fromkeys(draft.footprint)),
        tests=tuple(one_line(test, 300) for test in draft.tests),
        failing_test=draft.failing_test,
    )
    return Answered(plan, answered.usage)


def _problem(draft: PlanDraft, excluded: tuple[str, ...]) -> str | None:
    try:
        Plan(summary="x", footprint=tuple(draft.footprint))
    except ValidationError as error:
        return f"footprint: {error.errors()[0]['msg']}"
    hit = [path for path in draft.footprint if any(matches(path, glob) for glob in excluded)]
    return f"footprint: {', '.join(hit)} must be left alone; plan without" if hit else None


def _prompt(question: Question) -> str:
    named = named_paths(f"{question.title}\n{question.body}", question.paths)
    listed = list(dict.fromkeys([*named, *question.paths]))[:MAX_LISTED]
    parts = [
        fenced("issue", f"{question.title}\n\n{question.body}", MAX_ISSUE),
        fenced("files of the repository", "\n".join(listed), 40_000),
        *(fenced(f"content of {path}", text, MAX_SHOWN) for path, text in question.shown.items()),
    ]
    if question.earlier:
        parts.append("What was said about these files on other issues; it may be outdated, or wrong:")
        parts.append(fenced("earlier discussions", "\n".join(question.earlier), MAX_EARLIER))
    if question.test_command:
        parts.append(f"The repository's tests are run by: {question.test_command}")
    if question.previous is not None:
        parts.append(fenced("your previous plan", question.previous.to_json().decode(), 8_000))
    if question.feedback:
        parts.append("Your new plan must meet what was said about the previous one:")
        parts.append(fenced("feedback", "\n".join(f"- {text}" for text in question.feedback), 8_000))
    if question.excluded:
        parts.append("Leave these files alone: " + ", ".join(question.excluded))
    return "\n\n".join(parts)


async def _small_plan(model: ReasoningModel, question: Question, budget: Budget | None) -> Answered[Plan]:
    """Plan with a model that can only choose: the files come from the issue by rule, the model picks one and
    says what for. A saying that is no prose is replaced by the issue's title."""
    choices = small_choices(question)
    if not choices:
        raise ModelNonsenseError(
            f"model {model.name}: is too small to find the files of an issue; name a documentation file in the issue"
        )
    chosen: Any = Literal[choices]  # choices of a model that must not be able to name another file
    said_of_it: Any = Annotated[str, Field(min_length=10, max_length=120)]
    shape = create_model("SmallPlan", file=(chosen, ...), summary=(said_of_it, ...))
    prompt = f"{_SMALL_EXAMPLES}\nIssue: {one_line(question.title, 120)}\nFiles: {', '.join(choices)}"
    try:
        answered = await model.ask(shape, "", prompt, budget=budget)
        draft: Any = answered.value
        said = one_line(str(draft.summary), 120).split(". ")[0]
        path, usage = str(draft.file), answered.usage
    except ModelNonsenseError as error:
        path, said, usage = choices[0], "", error.usage
    believable = problem_with(said) is None
    title = one_line(question.title, 200) or "the issue"
    plan = Plan(
        summary=f"Add a paragraph to {path}: {title}",
        steps=(f"Write one paragraph that answers the issue and add it to the end of {path}.",),
        footprint=(path,),
        notes=f"{model.name} is a small model: it chose among files found by rule."
        + (f" In its words: {said}" if believable else ""),
    )
    return Answered(plan, usage)


def small_choices(question: Question) -> tuple[str, ...]:
    """Return the documentation files that an issue may mean: those it names, else all of them, few enough to choose."""
    named = named_paths(f"{question.title}\n{question.body}", question.paths)
    prose = [path for path in named if path.lower().endswith(PROSE_FILES)]
    if not prose:
        prose = sorted(
            (p for p in question.paths if p.lower().endswith(PROSE_FILES)), key=lambda p: (p.count("/"), p)
        )
    allowed = [path for path in prose if not any(matches(path, glob) for glob in question.excluded)]
    return tuple(allowed[:SMALL_CHOICES])
