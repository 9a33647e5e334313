"""One n8n with both workflows for all tests here; Slack, tracker and hive's address are a recorder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.n8n import N8n, install
from tests.support.recorder import Recorder, recording

TOKEN = "token-of-the-tests-0123456789"
SECRET = b"hmac-secret-of-the-tests-0123456789"
ENVIRON = {"BZZZ_TOKEN": TOKEN, "BZZZ_HMAC": SECRET.decode(), "TRACKER_TOKEN": "tracker-token-of-the-tests"}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install n8n before the first test's time begins to count."""
    if not session.config.option.collectonly:
        install()


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture(scope="session")
def n8n(recorder: Recorder) -> Iterator[N8n]:
    """A real n8n, prepared by the commands of docs/escalation.md."""
    program = install()
    with tempfile.TemporaryDirectory(prefix="bn", ignore_cleanup_errors=True) as name:
        made = N8n(program, Path(name), ("bzzz-escalation", "bzzz-escalation-ticket"))
        hive = ("--hive-url", recorder.url, "--retry-seconds", "1")
        made.prepare("slack", ENVIRON, "--slack-url", f"{recorder.url}/slack", *hive)
        made.prepare("tracker", ENVIRON, "--tracker-url", f"{recorder.url}/tracker", *hive)
        made.start()
        yield made
        made.kill()


@pytest.fixture(autouse=True)
def fresh(recorder: Recorder) -> None:
    """Forget what earlier tests sent."""
    recorder.requests.clear()
    recorder.status.clear()
    recorder.forward.clear()
