"""The story of the escalation ends as it should, told by the very code that `make scenario-escalation` runs."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from hmmm.meta import Verdict
from tests.n8n.conftest import SECRET, TOKEN
from tests.support.n8n import N8n
from tests.support.recorder import Recorder
from tools.scenarios import escalation
from tools.scenarios.stage import staged

pytestmark = pytest.mark.timeout(600)  # the first test starts n8n, which a busy machine takes minutes for


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.parametrize(
    ("verdict", "ends"),
    [("proceed", "A human decided: **proceed**"), ("abandon", "a human decided to abandon it")],
)
def test_people_are_asked_and_obeyed(
    folder: Path, n8n: N8n, recorder: Recorder, verdict: Verdict, ends: str
) -> None:
    told = io.StringIO()
    people = escalation.People(f"{n8n.url}/webhook/bzzz-escalation", recorder, TOKEN, SECRET.decode())
    with staged("escalation", folder, Console(file=told, width=200)) as stage:
        escalation.play(stage, people, verdict)
    assert "blocking objection by guard-0" in told.getvalue()
    assert ends in told.getvalue()
