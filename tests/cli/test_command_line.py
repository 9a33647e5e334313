"""The command line itself: help, wrong use, bad manifests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bzzz_cli.main import app

GOOD = """
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {name: ruff}
spec:
  github: {repositories: [acme/widgets]}
  execution: {type: command, plan: dryRun, command: [ruff]}
"""


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bzzz_cli", "local", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "local" in result.output
    assert "verify" in result.output


def test_help_of_local_names_its_options_and_hides_those_for_tests() -> None:
    result = CliRunner().invoke(app, ["local", "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for option in (
        "--file",
        "--repo",
        "--issues",
        "--once",
        "--report",
        "--model",
        "--timeout",
        "--window",
        "--state",
    ):
        assert option in result.output
    assert "failpoint" not in result.output


def test_a_bad_manifest_exits_2_with_a_line_a_field(tmp_path: Path) -> None:
    path = tmp_path / "hive.yaml"
    path.write_text(GOOD.replace("plan: dryRun", "plan: guess").replace("acme/widgets", "widgets"))
    done = local("-f", str(path))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "bzzz: spec.github.repositories[0]: expected text like ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$, came 'widgets'",
        "bzzz: spec.execution.plan: expected 'model', 'command' or 'dryRun', came 'guess'",
    ]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--timeout", "soon"], "--timeout: expected a duration like 30s, 20m or 1h30m, came 'soon'"),
        (["--window", "3"], "--window: expected a duration like 30s, 20m or 1h30m, came '3'"),
        (["--failpoint", "x"], "--failpoint: expected NODE=POINT, came 'x'"),
        (["--repo", "/no/such/folder"], "--repo /no/such/folder: expected a folder, found none"),
        (["--issues", "/no/such/file"], "--issues /no/such/file: cannot be read"),
    ],
)
def test_wrong_use_exits_2_and_says_what_was_expected(
    tmp_path: Path, arguments: list[str], wanted: str
) -> None:
    path = tmp_path / "hive.yaml"
    path.write_text(GOOD)
    done = local("-f", str(path), *arguments)
    assert done.returncode == 2
    assert wanted in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--escalation-url", "http://127.0.0.1:1/hook"], "expected both, or neither"),
        (["--escalation-url", "ftp://x", "--escalation-secret", "."], "expected an http or https address"),
        (
            ["--escalation-url", "http://x", "--escalation-secret", "."],
            "expected a file token and hmac in it",
        ),
    ],
)
def test_a_webhook_that_cannot_be_used_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hive.yaml").write_text(GOOD)
    result = local("-f", str(tmp_path / "hive.yaml"), "--repo", str(tmp_path), *options)
    assert result.returncode == 2
    assert problem in result.stderr
