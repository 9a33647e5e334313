"""The stages of `make test`: all run, the last line is a total, a failure (in CI a skip too) makes the exit code 1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three suites: two tests pass, one fails, one is skipped."""
    suites = {
        "alpha": "def test_one(): pass\ndef test_two(): pass\n",
        "beta": "def test_three(): assert False\n",
        "gamma": "import pytest\n@pytest.mark.skip\ndef test_four(): pass\n",
        "support": "def test_never(): assert False\n",
    }
    for name, text in suites.items():
        (tmp_path / "tests" / name).mkdir(parents=True)
        (tmp_path / "tests" / name / f"test_{name}.py").write_text(text)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "stages.py", tmp_path / "tools")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def stages(project: Path, *names: str, ci: str = "") -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "tools/stages.py", *names],
        cwd=project,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_all_stages_run_and_the_last_line_is_the_total(project: Path) -> None:
    code, lines = stages(project, "alpha", "beta", "gamma")
    assert code == 1
    assert lines[-1].startswith("==== 1 failed, 2 passed, 1 skipped in ")
    assert lines[-2] == "failed stages: beta"


def test_a_suite_that_passes_exits_0(project: Path) -> None:
    code, lines = stages(project, "alpha")
    assert code == 0
    assert lines[-1].startswith("==== 2 passed in ")


def test_in_ci_a_skipped_test_is_a_failure(project: Path) -> None:
    assert stages(project, "gamma")[0] == 0
    code, lines = stages(project, "gamma", ci="true")
    assert code == 1
    assert "  gamma: expected no skipped test in CI, got 1" in lines


def test_an_unknown_stage_exits_2_and_names_those_there_are(project: Path) -> None:
    code, lines = stages(project, "delta")
    assert code == 2
    assert lines == ["stages: expected some of lint, build, alpha, beta, gamma; got delta"]
