"""From a task to a pushed commit, with a real runner, real git over HTTP and real commands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from bzzz_agent.execution import (
    CommandFailedError,
    Execution,
    ExecutionSettings,
    Feedback,
    FeedbackItem,
    GitError,
    LimitExceededError,
    PatchRefusedError,
    PlanFailedError,
    PushRefusedError,
    Task,
)
from bzzz_agent.execution.command import expand
from bzzz_agent.reasoning.model import ModelSettings, ReasoningModel
from bzzz_crds.hiveagent import Execution as ExecutionSpec
from hmmm.plan import Plan
from tests.support.git_http import GitServer, serving
from tests.support.openai_server import ScriptedModel, calls, says, scripted
from tests.support.workspace import Repository, Workspace

TOKEN = "a-github-token"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FILES = {
    "README.md": "# Widgets\n",
    "widgets/core.py": "def double(x):\n    return x + x\n",
    "widgets/other.py": "X = 1\n",
    "check.py": "from widgets.core import double\nassert double(2) == 4\n",
}
SHOUT = (  # a deterministic tool: puts a comment on top of every Python file of the package
    "import pathlib\n"
    "for p in sorted(pathlib.Path('widgets').glob('*.py')):\n"
    "    p.write_text('# checked\\n' + p.read_text())\n"
)


@dataclass
class World:
    """A served repository, and an agent's execution of it."""

    server: GitServer
    bare: Path
    task: Task
    workspace: Workspace
    state: Path

    def execution(
        self, model: ScriptedModel | None = None, *, name: str = "openai:scripted", **settings: Any
    ) -> Execution:
        given = {
            "type": "command",
            "plan": "dryRun",
            "command": ("python3", "-c", SHOUT),
            "timeout_s": 60.0,  # the first question imports the model's client, seconds on a busy machine
        } | settings
        if given["plan"] == "dryRun":
            given = {"outside_footprint": "revert"} | given
        thinks = (
            None if model is None else ReasoningModel(ModelSettings(name, base_url=model.url, timeout_s=30))
        )

        async def token() -> str:
            return TOKEN

        return Execution(
            ExecutionSettings(state_dir=self.state, **given), self.workspace.client(), thinks, token
        )

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.bare, check=True, capture_output=True, text=True
        ).stdout


@pytest.fixture
def world(tmp_path: Path, workspace: Workspace) -> Iterator[World]:
    repository = Repository.make(tmp_path / "user", FILES)
    (tmp_path / "served").mkdir()
    bare = repository.bare(tmp_path / "served" / "widgets.git")
    with serving(tmp_path / "served", TOKEN) as server:
        task = Task(
            "acme/widgets", 7, 1, "Mark it", "All of widgets.", repository.head, server.url("widgets.git")
        )
        yield World(server, bare, task, workspace, tmp_path / "state")


async def test_an_issue_becomes_a_commit_on_its_branch(world: World) -> None:
    execution = world.execution(test=("python3", "check.py"))
    plan = await execution.plan(world.task)
    assert plan.footprint == ("widgets/core.py", "widgets/other.py")
    assert plan.tests == ("python3 check.py",)
    executed = await execution.execute(world.task, plan)
    assert executed.files == plan.footprint
    tests = await execution.test(world.task, executed)
    assert (tests.outcome, tests.exit_code) == ("passed", 0)
    head = await execution.commit(world.task, executed, "Mark it\n\nFor #7.\n", AT)
    await execution.push(world.task, head, None)
    assert world.git("rev-parse", "bzzz/issue-7").strip() == head
    assert world.git("log", "-1", "--format=%s|%an|%aI|%cI|%P", head).strip() == (
        f"Mark it|Bzzz|2026-01-02T03:04:05+00:00|2026-01-02T03:04:05+00:00|{world.task.base_sha}"
    )
    assert world.git("show", f"{head}:widgets/core.py").startswith("# checked\n")


async def test_the_same_issue_ends_in_another_diff_when_a_peer_objects(world: World) -> None:
    execution = world.execution()
    plan = await execution.plan(world.task)
    alone = await execution.execute(world.task, plan)
    objection = FeedbackItem("bzzz-1", "footprint_overlap", "I am changing that file", ("widgets/other.py",))
    revised = await execution.plan(world.task, Feedback((objection,), plan))
    assert revised.footprint == ("widgets/core.py",)
    assert any("widgets/other.py" in step for step in revised.steps)
    after = await execution.execute(world.task, revised)
    assert after.files == ("widgets/core.py",)
    assert after.left_out == ("widgets/other.py",)
    assert alone.patch != after.patch


async def test_objections_that_leave_nothing_to_do_end_the_plan(world: World) -> None:
    everything = FeedbackItem("bzzz-1", "protected_path", "hands off", ("widgets/**",))
    with pytest.raises(PlanFailedError, match=r"nothing is left without widgets/\*\*"):
        await world.execution().plan(world.task, Feedback((everything,)))


async def test_a_restarted_agent_makes_the_same_commit_and_does_not_execute_twice(world: World) -> None:
    counting = ("python3", "-c", "import time; open('stamp.txt', 'w').write(str(time.time_ns()))")
    plan = Plan(summary="s", footprint=("stamp.txt",))
    execution = world.execution(command=counting)
    first = await execution.execute(world.task, plan)
    again = await world.execution(command=counting).execute(world.task, plan)
    assert again.patch == first.patch
    heads = {await world.execution().commit(world.task, e, "m", AT) for e in (first, again)}
    assert len(heads) == 1
    other = await world.execution(command=counting).execute(replace(world.task, epoch=2), plan)
    assert other.patch != first.patch


async def test_a_push_moves_only_what_it_expects_and_may_be_repeated(world: World) -> None:
    execution = world.execution()
    plan = await execution.plan(world.task)
    executed = await execution.execute(world.task, plan)
    one, two = [await execution.commit(world.task, executed, message, AT) for message in ("one", "two")]
    await execution.push(world.task, one, None)
    await execution.push(world.task, one, None)
    with pytest.raises(PushRefusedError, match="somebody moved it"):
        await execution.push(world.task, two, None)
    with pytest.raises(PushRefusedError):
        await execution.push(world.task, two, "0" * 39 + "1")
    await execution.push(world.task, two, one)
    assert world.git("rev-parse", "bzzz/issue-7").strip() == two


async def test_a_wrong_token_is_an_error_that_does_not_show_it(world: World) -> None:
    world.server.token = "another"
    with pytest.raises(GitError) as problem:
        await world.execution().plan(world.task)
    assert TOKEN not in str(problem.value)
    assert "git fetch" in str(problem.value)


async def test_the_token_is_in_no_argument_and_no_file_of_the_clone(world: World) -> None:
    await world.execution().plan(world.task)
    files = [path for path in world.state.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
    assert not any(TOKEN in line for line in world.server.seen)


async def test_a_server_that_fails_for_a_moment_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bzzz_agent.execution.clone.RETRY_PAUSES_S", (0.01, 0.01))
    world.server.failures = 2
    plan = await world.execution().plan(world.task)
    assert plan.footprint
    assert world.server.failures == 0


async def test_a_command_is_told_the_issue_and_the_agreed_plan(world: World) -> None:
    tell = (
        "import json, os, sys\n"
        "issue, plan = json.load(open(sys.argv[1])), json.load(open(os.environ['BZZZ_PLAN_FILE']))\n"
        "assert sys.argv[2] == '$' + '(HOME)' + '$' + '(BZZZ_ISSUE_FILE)', sys.argv\n"
        "open('README.md', 'a').write(issue['title'] + ' / ' + plan['summary'] + '\\n')\n"
    )
    argv = ("python3", "-c", tell, "$(BZZZ_ISSUE_FILE)", "$(HOME)$$(BZZZ_ISSUE_FILE)")
    plan = Plan(summary="As agreed", footprint=("README.md",))
    executed = await world.execution(command=argv).execute(world.task, plan)
    assert b"+Mark it / As agreed\n" in executed.patch


def test_references_are_replaced_as_kubernetes_does() -> None:
    env = {"A": "1"}
    assert expand(["$(A)", "$$(A)", "$(B)", "$A", "x$(A)$(A)y", "$$$(A)"], env) == [
        "1", "$(A)", "$(B)", "$A", "x11y", "$1",
    ]  # fmt: skip


async def test_a_plan_command_prints_the_plan_and_hears_objections(world: World) -> None:
    planner = (
        "import json, os\n"
        "said = json.load(open(os.environ['BZZZ_PLAN_FILE']))\n"
        "files = ['README.md'] if said['feedback'] else ['README.md', 'check.py']\n"
        "print(json.dumps({'summary': 'by command', 'footprint': files, 'unknown': {'x': 1}}))\n"
    )
    execution = world.execution(plan="command", plan_command=("python3", "-c", planner))
    plan = await execution.plan(world.task)
    assert (plan.summary, plan.footprint) == ("by command", ("README.md", "check.py"))
    assert "unknown" not in plan.to_object()
    said = Feedback((FeedbackItem("bzzz-2", "suggestion", "smaller, please"),), plan)
    assert (await execution.plan(world.task, said)).footprint == ("README.md",)


@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        ("no json", "expected a plan as JSON"),
        ('{"summary": "s", "footprint": ["../x"]}', "footprint"),
        ('{"summary": "s", "footprint": [".git/config"]}', "footprint"),
        ('{"summary": "s"}', "names no file"),
        ('{"summary": "' + "s" * 70_000 + '"}', "at most 65536 bytes"),
    ],
)
async def test_a_bad_plan_of_a_command_is_refused(
    printed: str, problem: str, world: World, tmp_path: Path
) -> None:
    argv = ("python3", "-c", f"print({printed!r})")
    with pytest.raises(PlanFailedError, match=problem):
        await world.execution(plan="command", plan_command=argv).plan(world.task)


async def test_a_command_that_fails_says_how(world: World) -> None:
    argv = ("sh", "-c", "echo the reason >&2; exit 3")
    with pytest.raises(CommandFailedError, match=r"came 3: .*the reason"):
        await world.execution(command=argv).execute(world.task, Plan(summary="s", footprint=("**",)))


async def test_time_that_is_over_ends_the_run(world: World) -> None:
    execution = world.execution(command=("sleep", "60"), timeout_s=0.3)
    with pytest.raises(LimitExceededError) as problem:
        await execution.execute(world.task, Plan(summary="s", footprint=("**",)))
    assert problem.value.reason == "time"
    assert not (await world.workspace.client().health()).busy


async def test_a_command_that_changes_nothing_has_no_plan(world: World) -> None:
    with pytest.raises(PlanFailedError, match="changed nothing"):
        await world.execution(command=("true",)).plan(world.task)


async def test_a_patch_over_the_manifests_limit_is_refused(world: World) -> None:
    argv = ("python3", "-c", "open('README.md', 'a').write('more\\n' * 1000)")
    with pytest.raises(PatchRefusedError, match=r"limits\.patchBytes"):
        await world.execution(command=argv, patch_bytes=1000).execute(
            world.task, Plan(summary="s", footprint=("**",))
        )


@pytest.mark.parametrize(
    ("argv", "outcome", "code"),
    [
        ((), "not_configured", None),
        (("sh", "-c", "echo failed; exit 1"), "failed", 1),
        (("sleep", "60"), "timeout", None),
        (("no-such-test-program",), "failed", 127),
    ],
)
async def test_the_tests_outcome_is_stated_not_raised(
    argv: tuple[str, ...], outcome: str, code: int | None, world: World
) -> None:
    executed = await world.execution().execute(world.task, Plan(summary="s", footprint=("widgets/**",)))
    patience_s = (
        0.5 if outcome == "timeout" else 30.0
    )  # a busy machine needs half a second for a program's start
    tested = await world.execution(test=argv, timeout_s=patience_s).test(world.task, executed)
    assert (tested.outcome, tested.exit_code) == (outcome, code)


async def test_the_tests_run_on_what_is_committed_and_nothing_else(world: World) -> None:
    leaving = ("python3", "-c", SHOUT + "open('left.log', 'w').write('x')\nopen('README.md', 'w').write('y')")
    look = (
        "python3",
        "-c",
        "import os; assert not os.path.exists('left.log'); assert open('README.md').read() != 'y'",
    )
    execution = world.execution(command=leaving, test=look)
    executed = await execution.execute(world.task, Plan(summary="s", footprint=("widgets/**",)))
    assert (await execution.test(world.task, executed)).outcome == "passed"


async def test_cancelling_ends_the_command_and_empties_the_workspace(world: World) -> None:
    execution = world.execution(command=("sleep", "60"))
    runner = world.workspace.client()
    with trio.move_on_after(20) as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                while not (await runner.health()).busy:
                    await trio.sleep(0.01)
                scope.cancel()

            nursery.start_soon(cancel)
            await execution.execute(world.task, Plan(summary="s", footprint=("**",)))
    with trio.fail_after(10):
        while (await runner.health()).busy:
            await trio.sleep(0.01)
    assert list((world.workspace.root / "checkout").iterdir()) == []


async def test_progress_is_told_while_a_command_runs(world: World) -> None:
    told: list[str] = []

    async def tell(line: str) -> None:
        told.append(line)

    argv = (
        "python3",
        "-u",
        "-c",
        "import time; print('half way'); time.sleep(1.5); open('README.md', 'a').write('x')",
    )
    await world.execution(command=argv).execute(world.task, Plan(summary="s", footprint=("**",)), tell)
    assert told == ["half way"]


# --- the built-in executor -------------------------------------------------------------------------------------------

PLAN = Plan(summary="Make double faster", footprint=("widgets/core.py",))
FASTER = "def double(x):\n    return 2 * x\n"


async def test_a_model_works_with_tools_in_the_workspace(world: World) -> None:
    replies = (
        calls("read_file", path="widgets/core.py"),
        calls("search", pattern="double"),
        calls("write_file", path="widgets/core.py", content=FASTER),
        calls("run", argv=["python3", "check.py"]),
        says("It multiplies now."),
    )
    with scripted(*replies) as model:
        executed = await world.execution(model, type="builtin", plan="model").execute(world.task, PLAN)
    assert executed.files == ("widgets/core.py",)
    assert executed.output_tail == "It multiplies now."
    assert (executed.usage.requests, executed.usage.tokens) == (5, 600)
    answers = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "tool"]
    assert "return x + x" in answers[0]
    assert "check.py:1:" in answers[1]
    assert answers[3].startswith("exit: 0")


async def test_tools_refuse_what_is_outside_and_say_so_to_the_model(world: World) -> None:
    replies = (
        calls("read_file", path="/etc/passwd"),
        calls("read_file", path="../files/plan.json"),
        calls("write_file", path="README.md", content="x"),
        calls("write_file", path=".git/config", content="x"),
        calls("write_file", path="widgets/core.py", content=FASTER),
        says("Done."),
    )
    with scripted(*replies) as model:
        executed = await world.execution(model, type="builtin", plan="model").execute(world.task, PLAN)
    answers = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "tool"]
    assert [answer.split(":")[0] for answer in answers[:4]] == ["refused"] * 4
    assert executed.files == ("widgets/core.py",)


async def test_a_program_that_the_model_runs_cannot_smuggle_a_change(world: World) -> None:
    replies = (calls("run", argv=["sh", "-c", "echo evil > README.md"]), says("Done."))
    with scripted(*replies) as model, pytest.raises(PatchRefusedError) as refusal:
        await world.execution(model, type="builtin", plan="model").execute(world.task, PLAN)
    assert refusal.value.reason == "outside_footprint"


async def test_tokens_that_are_spent_stop_the_work(world: World) -> None:
    with scripted(calls("list_files")) as model, pytest.raises(LimitExceededError, match="limit") as problem:
        await world.execution(model, type="builtin", plan="model", tokens=500).execute(world.task, PLAN)
    assert problem.value.reason == "model_budget"
    assert len(model.requests) <= 6


async def test_dollars_that_cannot_be_counted_stop_the_work(world: World) -> None:
    execution_of = {"type": "builtin", "plan": "model", "usd": Decimal("1.00")}
    replies = (calls("write_file", path="widgets/core.py", content=FASTER), says("Done."))
    with scripted(*replies) as model, pytest.raises(LimitExceededError, match="price is not known"):
        await world.execution(model, **execution_of).execute(world.task, PLAN)


async def test_dollars_are_counted_where_the_price_is_known(world: World) -> None:
    settings = {"type": "builtin", "plan": "model", "usd": Decimal("1.00")}
    replies = (calls("write_file", path="widgets/core.py", content=FASTER), says("Done."))
    with scripted(*replies) as model:
        executed = await world.execution(model, name="openai:gpt-4o", **settings).execute(world.task, PLAN)
    assert executed.usage.usd is not None
    assert Decimal(0) < executed.usage.usd < Decimal("0.01")


PROSE = (
    "The package doubles numbers. It adds a number to itself, which is exact for integers and fast enough."
)


ABOUT = "The package doubles numbers. It adds each number to itself. That is exact for integers."


async def test_a_model_too_small_for_tools_writes_a_paragraph_and_the_result_says_so(world: World) -> None:
    plan = Plan(summary="Describe it", footprint=("README.md",))
    with scripted(says({"paragraph": PROSE})) as model:
        execution = world.execution(model, name="openai:gemma-3-270m", type="builtin", plan="model")
        executed = await execution.execute(replace(world.task, body=ABOUT), plan)
    assert b"+" + PROSE.encode() in executed.patch
    assert "gemma-3-270m" in executed.notes
    assert "nobody has checked" in executed.notes
    assert "tools" not in model.requests[0]


async def test_a_model_whose_tool_calls_are_nonsense_falls_back_to_a_paragraph(world: World) -> None:
    def nonsense_or_prose(request: dict[str, Any]) -> Any:
        return calls("no_such_tool") if "tools" in request else says({"paragraph": PROSE})

    plan = Plan(summary="Describe it", footprint=("README.md",))
    with scripted(nonsense_or_prose) as model:
        task = replace(world.task, body=ABOUT)
        executed = await world.execution(model, type="builtin", plan="model").execute(task, plan)
    assert "cannot call tools" in executed.notes


async def test_a_small_model_is_not_let_near_code(world: World) -> None:
    with (
        scripted(says({"paragraph": PROSE})) as model,
        pytest.raises(CommandFailedError, match="larger model") as problem,
    ):
        await world.execution(model, name="openai:gemma-3-270m", type="builtin", plan="model").execute(
            world.task, PLAN
        )
    assert problem.value.reason == "beyond_model"
    assert model.requests == []


async def test_a_model_that_is_too_slow_is_stopped(world: World) -> None:
    with scripted(says("late", delay_s=3)) as model, pytest.raises(LimitExceededError) as problem:
        await world.execution(model, type="builtin", plan="model", timeout_s=0.5).execute(world.task, PLAN)
    assert problem.value.reason == "time"


# --- plans by a model ------------------------------------------------------------------------------------------------

DRAFT = {
    "summary": "Double by multiplication.",
    "steps": ["change it"],
    "footprint": ["widgets/core.py"],
    "tests": ["check.py"],
    "failing_test": None,
}


async def test_a_model_plans_with_the_issue_and_its_files_before_it(world: World) -> None:
    task = replace(world.task, title="Faster", body="double in widgets/core.py could multiply")
    with scripted(says(DRAFT)) as model:
        plan = await world.execution(model, type="builtin", plan="model").plan(task)
    assert plan.footprint == ("widgets/core.py",)
    assert "return x + x" in model.prompt()
    assert "widgets/other.py" in model.prompt()


async def test_a_revised_plan_hears_the_objection_and_must_leave_the_file_alone(world: World) -> None:
    objection = FeedbackItem("bzzz-1", "footprint_overlap", "That file is mine!", ("widgets/core.py",))
    other = DRAFT | {"footprint": ["widgets/other.py"]}
    with scripted(says(DRAFT), says(other)) as model:
        execution = world.execution(model, type="builtin", plan="model")
        plan = await execution.plan(world.task, Feedback((objection,), Plan(summary="old", footprint=("x",))))
    assert plan.footprint == ("widgets/other.py",)
    assert "That file is mine!" in model.prompt(0)
    assert "must be left alone" in json.dumps(model.requests[1]["messages"])


async def test_a_model_that_plans_nonsense_is_given_up_in_bounded_tries(world: World) -> None:
    with scripted(says("I'd rather write poetry")) as model, pytest.raises(PlanFailedError) as problem:
        await world.execution(model, type="builtin", plan="model").plan(world.task)
    assert problem.value.reason == "model_nonsense"
    assert len(model.requests) == 3


async def test_without_a_model_a_plan_by_model_says_what_to_set(world: World) -> None:
    with pytest.raises(PlanFailedError, match=r"spec\.model"):
        await world.execution(plan="model").plan(world.task)


def test_settings_follow_the_manifest(tmp_path: Path) -> None:
    spec = ExecutionSpec.model_validate(
        {"type": "command", "command": ["x"], "plan": "dryRun", "timeout": "2m", "limits": {"patchBytes": 9}}
    )
    settings = ExecutionSettings.from_spec(spec, tmp_path)
    assert (settings.timeout_s, settings.patch_bytes, settings.outside_footprint) == (120.0, 9, "revert")
    assert settings.protected_paths == (".github/workflows/**",)
