"""What was made of a plan, written down: a restarted agent does not do the same work twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import trio

from bzzz_agent.execution.clone import Clone
from bzzz_agent.execution.task import Advice, Executed, Task
from hmmm.plan import Plan


def kept_file(state_dir: Path, task: Task, plan: Plan, advice: Advice | None) -> Path:
    """Return where it is kept what came of a plan with some advice, on one claim."""
    issue = f"{task.repository}#{task.number}@{task.epoch} {task.base_sha}\n".encode()
    said = b"" if advice is None else json.dumps([advice.text, advice.patch, advice.problem]).encode()
    name = hashlib.sha256(issue + plan.to_json() + said).hexdigest()
    return state_dir / "executed" / f"{name}.json"


async def recall(clone: Clone, kept: Path, patch_bytes: int) -> Executed | None:
    """Return what an earlier life of this agent made of the same plan, if its tree is still here."""
    try:
        found: dict[str, Any] = json.loads(await trio.Path(kept).read_text())
        tree = str(found["tree_sha"])
        if not await clone.has_tree(tree):
            return None
        diff = await clone.diff(str(found["base_sha"]), tree, patch_bytes)
    except (OSError, ValueError, KeyError):
        return None
    return Executed(
        patch=diff,
        tree_sha=tree,
        files=tuple(found["files"]),
        left_out=tuple(found["left_out"]),
        seconds=float(found["seconds"]),
        output_tail=str(found["output_tail"]),
        notes=str(found["notes"]),
    )


def keep(kept: Path, base: str, executed: Executed) -> None:
    """Write down what was made of a plan; whole or not at all."""
    data = {
        "base_sha": base,
        "tree_sha": executed.tree_sha,
        "files": executed.files,
        "left_out": executed.left_out,
        "seconds": executed.seconds,
        "output_tail": executed.output_tail,
        "notes": executed.notes,
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    new = kept.with_suffix(".new")
    new.write_text(json.dumps(data))
    new.replace(kept)
