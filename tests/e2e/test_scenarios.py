"""The stories of docs/scenarios.md end as they should, told by the very code that `make scenario-…` runs."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tools.scenarios import clarification, debugging
from tools.scenarios.stage import staged

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as name:
        yield Path(name)


def test_a_question_changes_the_plan(folder: Path) -> None:
    told = io.StringIO()
    with staged("clarification", folder, Console(file=told, width=200)) as stage:
        clarification.play(stage, model=None)
    for part in ("clarification_needed", "plan_revised", "Export to src/export.csv", "verified"):
        assert part in told.getvalue()


def test_a_peer_s_suggestion_mends_what_failed(folder: Path) -> None:
    told = io.StringIO()
    with staged("debugging", folder, Console(file=told, width=200)) as stage:
        debugging.play(stage, model=None)
    for part in (
        "task_help_request",
        "help_suggestion",
        "**knower-0** suggested",
        "helped by knower-0",
        "verified",
    ):
        assert part in told.getvalue()
