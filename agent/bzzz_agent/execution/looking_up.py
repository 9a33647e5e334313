"""Looking an answer up in an issue and the files that it, or the question, names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from bzzz_agent.execution.clone import SYMLINK, Clone
from bzzz_agent.execution.errors import ExecutionError
from bzzz_agent.execution.limits import Meter
from bzzz_agent.execution.task import Task
from bzzz_agent.reasoning.answerer import look_up, source_of
from bzzz_agent.reasoning.errors import BudgetSpentError, ReasoningError
from bzzz_agent.reasoning.model import ReasoningModel
from bzzz_agent.reasoning.planner import named_paths

MAX_FILES: Final = 5
MAX_FILE_BYTES: Final = 64 * 1024
ALWAYS: Final = ("README.md", "CONTRIBUTING.md")
"""Files that say how things are done, whether or not somebody names them."""
ISSUE: Final = "issue"


@dataclass(frozen=True)
class FoundAnswer:
    """An answer with the words that it rests on."""

    text: str
    quoted: str
    source: Literal["issue", "repository"]


async def look_up_answer(
    model: ReasoningModel, clone: Clone, task: Task, question: str, meter: Meter
) -> FoundAnswer | None:
    """Return the answer that issue or repository give to a question, None if neither does. Raises ExecutionError."""
    sources = {ISSUE: f"{task.title}\n\n{task.body}"} | await _files(clone, task, question)
    try:
        answered = await look_up(model, question, sources, meter.left)
    except (BudgetSpentError, ReasoningError) as error:
        meter.spend(error.usage)
        raise ExecutionError("not_looked_up", f"{model.name} did not look the answer up: {error}") from error
    meter.spend(answered.usage)
    draft = answered.value
    where = source_of(draft.quoted, sources) if draft.answered else None
    if where is None or draft.quoted is None:
        return None
    if where == ISSUE:
        return FoundAnswer(draft.answer.strip(), draft.quoted, "issue")
    return FoundAnswer(f"{draft.answer.strip()} ({where})", draft.quoted, "repository")


async def _files(clone: Clone, task: Task, question: str) -> dict[str, str]:
    entries = {
        e.path: e for e in await clone.entries(task.base_sha) if e.mode != SYMLINK and e.path.isprintable()
    }
    named = named_paths(f"{question}\n{task.title}\n{task.body}", tuple(entries))
    wanted = list(dict.fromkeys([*named, *(path for path in ALWAYS if path in entries)]))[:MAX_FILES]
    sizes = await clone.sizes(entries[path].sha for path in wanted)
    return {
        path: (await clone.read(entries[path].sha)).decode(errors="replace")
        for path in wanted
        if sizes.get(entries[path].sha, 0) <= MAX_FILE_BYTES
    }
