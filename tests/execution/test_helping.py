"""What a helper makes of a peer's trouble, and what a claimant makes of the suggestion: real runner, real git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bzzz_agent.execution import Advice, CommandFailedError, ExecutionError, PatchRefusedError, Trouble
from bzzz_agent.execution.helping import MAX_PATCH, MAX_TEXT, words
from hmmm.plan import Plan
from tests.execution.test_executing import World, world
from tests.support.openai_server import calls, says, scripted

__all__ = ["world"]

PLAN = Plan(summary="Double properly", footprint=("widgets/core.py",), tests=("check.py",))
TROUBLE = Trouble("AssertionError in check.py", ("lang:python",), ("multiply\n\nThen: still wrong",))
PATCH = """diff --git a/widgets/core.py b/widgets/core.py
--- a/widgets/core.py
+++ b/widgets/core.py
@@ -1,2 +1,2 @@
 def double(x):
-    return x + x
+    return 2 * x
"""
TOLD = (  # writes down what it was told, into a file of the plan
    "import json, os, pathlib\n"
    "told = {n: json.loads(pathlib.Path(os.environ[n]).read_text()) for n in os.environ if n.startswith('BZZZ_')}\n"
    "p = pathlib.Path('widgets/core.py')\n"
    "p.write_text(p.read_text() + '# ' + json.dumps(told) + '\\n')\n"
)
WRITE = "import pathlib; p = pathlib.Path('widgets/core.py')\n"


def added(path: str, line: str, mode: str = "100644") -> str:
    """A patch that adds a file of one line."""
    head = f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1 @@\n+{line}\n\\ No newline at end of file\n"


def advice(text: str = "multiply", patch: str | None = None) -> Advice:
    return Advice("bzzz-0", "bzzz-1", text, patch, "it failed")


def told_in(patch: bytes | str) -> dict[str, Any]:
    text = patch if isinstance(patch, str) else patch.decode()
    (line,) = [line[3:] for line in text.splitlines() if line.startswith("+# {")]
    return json.loads(line)


# --- the claimant's next try


async def test_the_next_try_is_told_what_failed_and_what_a_helper_says(world: World) -> None:
    execution = world.execution(command=("python3", "-c", TOLD), outside_footprint="refuse")
    executed = await execution.execute(world.task, PLAN, advice=advice())
    plan = told_in(executed.patch)["BZZZ_PLAN_FILE"]
    assert plan["summary"] == PLAN.summary
    assert plan["feedback"] == [
        {"from": "bzzz-0", "kind": "failure", "text": "it failed", "paths": []},
        {"from": "bzzz-1", "kind": "help", "text": "multiply", "paths": []},
    ]
    assert plan["excluded"] == []


async def test_a_suggested_patch_is_where_the_next_try_begins(world: World) -> None:
    seen = "import pathlib; p = pathlib.Path('widgets/core.py'); p.write_text(p.read_text() + '# seen\\n')"
    execution = world.execution(command=("python3", "-c", seen))
    executed = await execution.execute(world.task, PLAN, advice=advice(patch=PATCH))
    assert b"+    return 2 * x\n+# seen\n" in executed.patch, "on the base, not on the helper's patch"
    alone = await world.execution(command=("true",)).execute(world.task, PLAN, advice=advice("x", PATCH))
    assert alone.files == ("widgets/core.py",), "a patch alone is enough"


async def test_other_advice_is_another_try_and_the_same_is_not_repeated(world: World, tmp_path: Path) -> None:
    counting = (
        "sh",
        "-c",
        "date +%s%N > widgets/core.py",
    )
    execution = world.execution(command=counting)
    first = await execution.execute(world.task, PLAN, advice=advice("one"))
    again = await world.execution(command=counting).execute(world.task, PLAN, advice=advice("one"))
    other = await execution.execute(world.task, PLAN, advice=advice("two"))
    without = await execution.execute(world.task, PLAN)
    assert first.tree_sha == again.tree_sha
    assert len({first.tree_sha, other.tree_sha, without.tree_sha}) == 3


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (PATCH.replace("core.py", "other.py").replace("def double(x):", "X = 1"), "does_not_apply"),
        (PATCH.replace("return x + x", "return y"), "does_not_apply"),
        ("no patch at all\n", "does_not_apply"),
        (added("new.py", "x"), "outside_footprint"),
        (added("x", "/etc/passwd", "120000"), "outside_footprint"),
        (PATCH.replace("widgets/core.py", "../core.py"), "does_not_apply"),
        (PATCH.replace("widgets/core.py", ".git/config"), "does_not_apply"),
    ],
)
async def test_a_suggested_patch_is_held_to_every_rule(world: World, patch: str, reason: str) -> None:
    execution = world.execution(command=("true",), outside_footprint="revert")
    with pytest.raises(PatchRefusedError) as refusal:
        await execution.execute(world.task, PLAN, advice=advice(patch=patch))
    assert refusal.value.reason == reason


async def test_a_suggested_patch_may_not_touch_what_is_protected_or_link_out(world: World) -> None:
    everything = Plan(summary="All", footprint=("**",))
    link = added("widgets/l", "/etc", "120000")
    for patch, protected, reason in (
        (PATCH, ("widgets/**",), "protected_path"),
        (link, (), "symlink"),
    ):
        execution = world.execution(command=("true",), protected_paths=protected)
        with pytest.raises(PatchRefusedError) as refusal:
            await execution.execute(world.task, everything, advice=advice(patch=patch))
        assert refusal.value.reason == reason


async def test_a_builtin_execution_reads_what_a_peer_suggests(world: World) -> None:
    replies = (
        calls("write_file", path="widgets/core.py", content="def double(x):\n    return 2 * x\n"),
        says("Done."),
    )
    with scripted(*replies) as model:
        execution = world.execution(model, type="builtin", plan="model", command=())
        await execution.execute(world.task, PLAN, advice=advice("multiply by two"))
    assert "bzzz-1 (help): multiply by two" in model.prompt(0)
    assert "bzzz-0 (failure): it failed" in model.prompt(0)


async def test_the_tests_can_be_run_on_what_was_there_before(world: World) -> None:
    execution = world.execution(test=("python3", "check.py"))
    assert (await execution.test_base(world.task)).outcome == "passed"


# --- the helper's suggestion


async def test_a_help_command_is_told_everything_and_its_changes_are_the_patch(world: World) -> None:
    command = TOLD + "pathlib.Path('elsewhere.txt').write_text('junk')\nprint('multiply')\n"
    execution = world.execution(help_command=("python3", "-c", command))
    assert execution.can_help
    suggestion = await execution.suggest(world.task, PLAN, TROUBLE)
    assert suggestion is not None
    assert suggestion.text == "multiply"
    assert suggestion.patch is not None
    assert "elsewhere" not in suggestion.patch
    told = told_in(suggestion.patch)
    assert told["BZZZ_PROBLEM_FILE"] == {
        "problem": TROUBLE.problem,
        "wants": ["lang:python"],
        "tried": list(TROUBLE.tried),
    }
    assert told["BZZZ_ISSUE_FILE"]["title"] == "Mark it"
    assert told["BZZZ_PLAN_FILE"]["footprint"] == ["widgets/core.py"]
    tried = await world.execution(command=("true",)).execute(
        world.task, PLAN, advice=advice("x", suggestion.patch)
    )
    assert told_in(tried.patch) == told, "what was suggested is what is tried"


@pytest.mark.parametrize(
    ("command", "text", "has_patch"),
    [
        ("print('look at the parser')", "look at the parser", False),
        (WRITE + "p.write_text('x' * 20_000)\nprint('all new')", "all new", False),
        (WRITE + "p.write_bytes(bytes(range(256)))\nprint('b')", "b", False),
        (WRITE + "p.write_text('\\x1b[2J')\nprint('c')", "c", False),
    ],
    ids=["words alone", "too long a patch", "binary", "control characters"],
)
async def test_what_cannot_be_sent_as_a_patch_is_left_out(
    world: World, command: str, text: str, has_patch: bool
) -> None:
    suggestion = await world.execution(help_command=("python3", "-c", command)).suggest(
        world.task, PLAN, TROUBLE
    )
    assert suggestion is not None
    assert (suggestion.text, suggestion.patch is not None) == (text, has_patch)


async def test_a_help_command_that_fails_or_finds_nothing_is_no_help(world: World) -> None:
    assert await world.execution(help_command=("true",)).suggest(world.task, PLAN, TROUBLE) is None
    with pytest.raises(CommandFailedError, match="helpCommand false: expected exit code 0"):
        await world.execution(help_command=("false",)).suggest(world.task, PLAN, TROUBLE)


async def test_a_model_helps_with_words_and_whole_files(world: World) -> None:
    mended = {"path": "widgets/core.py", "content": "def double(x):\n    return 2 * x\n"}
    wrong = {"can_help": True, "suggestion": "multiply", "files": [{**mended, "path": "check.py"}]}
    right = {"can_help": True, "suggestion": "multiply", "files": [mended]}
    with scripted(says(wrong), says(right)) as model:
        execution = world.execution(model)
        assert execution.can_help
        suggestion = await execution.suggest(world.task, PLAN, TROUBLE)
        assert execution.usage(world.task).tokens == 240, "the issue's limits hold for help as well"
    assert suggestion is not None
    assert suggestion.text == "multiply"
    assert suggestion.patch is not None
    assert "+    return 2 * x" in suggestion.patch
    prompt = model.prompt(0)
    for known in (
        "Mark it",
        "Double properly",
        "AssertionError in check.py",
        "def double(x)",
        "Then: still wrong",
    ):
        assert known in prompt
    assert "not of the plan's footprint" in model.prompt(1)


async def test_a_model_that_does_not_know_says_so_and_one_that_is_away_is_an_error(world: World) -> None:
    with scripted(says({"can_help": False, "suggestion": "", "files": []})) as model:
        assert await world.execution(model).suggest(world.task, PLAN, TROUBLE) is None
    with scripted(says("", status=500)) as model, pytest.raises(ExecutionError, match="suggests nothing"):
        await world.execution(model).suggest(world.task, PLAN, TROUBLE)


async def test_without_command_and_model_there_is_nothing_to_help_with(world: World) -> None:
    assert not world.execution().can_help
    with scripted(says("")) as model:
        assert not world.execution(model, name="openai:gemma-3-270m").can_help, (
            "a small model is not believed"
        )
    with pytest.raises(ExecutionError, match="helpCommand"):
        await world.execution().suggest(world.task, PLAN, TROUBLE)


def test_words_are_cut_to_what_fits_an_envelope() -> None:
    assert words("a\x00b\x1b[31mc\td\n") == "ab[31mc\td"
    assert len(words("ü" * 5000).encode()) <= MAX_TEXT
    assert words("ok \ud800") == "ok ?"
    assert MAX_PATCH + MAX_TEXT < 12_288 * 0.7
