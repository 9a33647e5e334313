"""What `bzzz local` makes of its command line, the manifest and the environment before anything starts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bzzz_cli.errors import UsageError
from bzzz_cli.local.issues import load_issues
from bzzz_cli.local.models import choose_model
from bzzz_cli.local.plan import HivePlan, LocalOptions, make_plan
from bzzz_crds.hiveagent import ReasoningModel

AGENT = """
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  github: {{repositories: [{repository}]{more}}}
  execution: {{type: command, plan: dryRun, command: [ruff]}}
"""


def manifest(folder: Path, *agents: str) -> Path:
    path = folder / "hive.yaml"
    path.write_text("---".join(agents))
    return path


def agent(name: str = "ruff", replicas: int = 1, repository: str = "acme/widgets", more: str = "") -> str:
    return AGENT.format(name=name, replicas=replicas, repository=repository, more=more)


def plan(path: Path, environ: dict[str, str] | None = None, **options: Any) -> HivePlan:
    return make_plan(LocalOptions(manifest=path, **options), environ or {})


def test_replicas_become_agents_named_like_pods_that_share_an_account(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, agent("ruff", 2), agent("mend")))
    assert [(a.node_id, a.account) for a in made.agents] == [
        ("ruff-0", "ruff-bot"),
        ("ruff-1", "ruff-bot"),
        ("mend-0", "mend-bot"),
    ]


def test_a_long_name_gives_an_account_that_github_allows(tmp_path: Path) -> None:
    (one,) = plan(manifest(tmp_path, agent("a" * 34 + "-" + "b" * 10))).agents
    assert one.account == "a" * 34 + "-bot"
    assert len(one.account) <= 39


def test_without_a_credential_the_local_server_is_used(tmp_path: Path) -> None:
    assert plan(manifest(tmp_path, agent())).github_token is None


def test_with_a_credential_the_real_github_is_used_unless_a_checkout_is_given(tmp_path: Path) -> None:
    path = manifest(tmp_path, agent())
    environ = {"GITHUB_TOKEN": "ghp_x"}
    assert plan(path, environ).github_token == "ghp_x"
    assert plan(path, environ, repo=tmp_path).github_token is None


def test_the_window_may_be_overridden_for_all_agents(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, agent("ruff"), agent("mend")), window=timedelta(seconds=3))
    assert {a.spec.discussion.window for a in made.agents} == {timedelta(seconds=3)}


def test_programs_beside_the_manifest_are_found(tmp_path: Path) -> None:
    path = manifest(tmp_path, agent())
    assert plan(path).tools == ()
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    assert plan(path).tools == (tmp_path / "tools",)


def test_a_suspended_agent_is_not_started(tmp_path: Path) -> None:
    made = plan(manifest(tmp_path, agent("ruff") + "  suspend: true\n", agent("mend")))
    assert [a.node_id for a in made.agents] == ["mend-0"]


REFUSED: dict[str, tuple[list[str], dict[str, Any], dict[str, str], str]] = {
    "no agents": ([agent(replicas=0)], {}, {}, "expected at least one agent"),
    "too many agents": ([agent(replicas=33)], {}, {}, "expected at most 32 agents on one machine, came 33"),
    "several repositories to serve one checkout as": (
        [agent("a"), agent("b", repository="acme/gadgets")],
        {"repo": Path()},
        {},
        "expected one repository in the manifest",
    ),
    "two GitHubs": (
        [agent("a"), agent("b", more=", apiUrl: 'https://git.example.org/api/v3'")],
        {},
        {},
        "expected one spec.github.apiUrl",
    ),
    "issues for the real GitHub": (
        [agent()],
        {"issues": Path("issues.yaml")},
        {"GITHUB_TOKEN": "x"},
        "issues are not opened on the real GitHub",
    ),
    "tools that are none": ([agent()], {"tools": (Path("/no/such"),)}, {}, "expected a folder with programs"),
    "a failpoint of nobody": (
        [agent()],
        {"failpoints": (("bee-0", "x"),)},
        {},
        "expected one of ruff-0, came bee-0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_make_sense_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    agents, options, environ, wanted = REFUSED[case]
    with pytest.raises(UsageError, match=wanted):
        plan(manifest(tmp_path, *agents), environ, **options)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"hive\.yaml: cannot be read"):
        plan(tmp_path / "hive.yaml")


CLAUDE = ReasoningModel(name="anthropic:claude-opus-4")
LOCAL = ReasoningModel.model_validate({"name": "openai:qwen", "baseUrl": "http://127.0.0.1:8000/v1"})


@pytest.mark.parametrize(
    ("wanted", "override", "environ", "name", "embedded"),
    [
        (CLAUDE, None, {"ANTHROPIC_API_KEY": "k"}, "anthropic:claude-opus-4", False),
        (CLAUDE, None, {}, "anthropic:claude-opus-4", True),
        (CLAUDE, None, {"OPENAI_API_KEY": "k"}, "anthropic:claude-opus-4", True),
        (CLAUDE, "openai:gpt-5", {"OPENAI_API_KEY": "k"}, "openai:gpt-5", False),
        (CLAUDE, "embedded:gemma-3-270m", {"ANTHROPIC_API_KEY": "k"}, "embedded:gemma-3-270m", True),
        (LOCAL, None, {}, "openai:qwen", False),
        (LOCAL, "openai:gpt-5", {}, "openai:gpt-5", True),
    ],
)
def test_a_model_without_a_key_gives_way_to_the_embedded_one(
    wanted: ReasoningModel, override: str | None, environ: dict[str, str], name: str, embedded: bool
) -> None:
    choice = choose_model(wanted, override, environ)
    assert choice is not None
    assert (choice.name, choice.embedded) == (name, embedded)
    assert bool(choice.notice) == (embedded and not name.startswith("embedded:"))


def test_an_agent_without_a_model_stays_without_one() -> None:
    assert choose_model(None, "openai:gpt-5", {"OPENAI_API_KEY": "k"}) is None


def test_issues_are_read_with_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "issues.yaml"
    path.write_text(
        "- title: One\n- {title: Two, body: b, labels: [bzzz, 'tool:ruff'], author_association: NONE}\n"
    )
    one, two = load_issues(path)
    assert (one.body, one.labels, one.author_association) == ("", (), "OWNER")
    assert (two.body, two.labels, two.author_association) == ("b", ("bzzz", "tool:ruff"), "NONE")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("title: One", "issues: expected a list"),
        ("- body: x", r"issues\[0\].title: expected a value, came nothing"),
        ("- title: ''", r"issues\[0\].title: expected at least 1 characters"),
        ("- {title: x, label: [a]}", r"issues\[0\].label: expected labels, came an unknown field"),
        ("- {title: x, author_association: BOSS}", r"issues\[0\].author_association: expected 'OWNER'"),
        ("- {title: &a x}", "expected no anchors"),
        ("- title: x\n---\n- title: y", "issues: expected a list"),
        ("", "issues: expected a list"),
    ],
)
def test_bad_issues_are_refused_by_the_fields_path(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "issues.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=wanted):
        load_issues(path)
