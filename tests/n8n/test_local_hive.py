"""A local hive asks a human through n8n: hive, GitHub server, mesh, logs and n8n are real; Slack is a recorder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hmmm.escalation import signed_headers
from tests.e2e.hive import Hive, agent, issue
from tests.n8n.conftest import SECRET, TOKEN
from tests.n8n.test_workflow import form_page, form_url, submit
from tests.support.n8n import N8n
from tests.support.processes import eventually
from tests.support.recorder import Recorder

pytestmark = pytest.mark.timeout(600)  # the first test starts n8n, which a busy machine takes minutes for
SLOW_S = 120.0
PLAN = {"plan": "command", "planCommand": ["python3", "plan.py"]}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def hive(folder: Path, n8n: N8n, recorder: Recorder) -> Iterator[Hive]:
    """A hive in which every plan needs a person's approval; its answer port is behind the recorder."""
    editor = agent(
        "edit", capabilities={"tools": ["edit"]}, reviewers=1, discussion={"requireHuman": "always"}
    )
    made = Hive(folder, [editor], [issue("Mend a", "touch: src/a.py", labels=("bzzz", "tool:edit"))])
    (folder / "secret").mkdir()
    (folder / "secret" / "token").write_text(TOKEN)
    (folder / "secret" / "hmac").write_bytes(SECRET)
    made.start(
        *("--escalation-url", f"{n8n.url}/webhook/bzzz-escalation"),
        *("--escalation-secret", str(folder / "secret"), "--answers-port", "0"),
        once=False,
    )
    try:
        yield made
    finally:
        made.end()


def answers_url(hive: Hive) -> str:
    """Return where the hive takes answers; known once somebody waits for one."""
    return f"http://127.0.0.1:{hive.config('escalation')['answerPort']}/v1/answers"


def pull_request(hive: Hive, closed: dict[str, Any]) -> str:
    number = closed["pullRequest"].rsplit("/", 1)[1]
    url = f"http://127.0.0.1:{hive.config('github')['port']}/repos/acme/attic/pulls/{number}"
    return httpx.get(url).json()["body"]


def test_a_person_approves_on_n8n_s_form_and_the_hive_goes_on(hive: Hive, recorder: Recorder) -> None:
    waits = hive.wait_phase(1, "Escalated", within=SLOW_S)
    recorder.forward["/v1/answers"] = answers_url(hive)
    assert "approval of every plan" in waits["reason"]
    eventually(lambda: recorder.to("/slack"), within=SLOW_S, what="people are told")
    url = form_url(recorder)
    form_page(url)
    # relay and scribe die while the person thinks: nobody is told again, and n8n tries until the answer is taken
    assert hive.kill("escalation")
    assert hive.kill("scribe")
    submit(url, "proceed", "looks good", "ana")
    closed = hive.wait_phase(1, "Closed", within=SLOW_S)
    assert closed["verdict"] == "proceed"
    assert "A human decided: **proceed**: looks good" in pull_request(hive, closed)
    eventually(lambda: len(recorder.to("/slack")) == 2, within=SLOW_S, what="people hear what came of it")
    assert "the claimant gets it, signed" in recorder.to("/slack")[1].body["text"]
    assert hive.interrupt() in {0, 130}


def test_answers_that_are_forged_stale_second_or_late_change_nothing(hive: Hive, recorder: Recorder) -> None:
    recorder.status["/slack"] = 503  # nobody is told: whoever answers has the hive's secret
    waits = hive.wait_phase(1, "Escalated", within=SLOW_S)
    url = answers_url(hive)

    def send(secret: bytes = SECRET, **changes: Any) -> httpx.Response:
        said = {
            "schema": "bzzz.dev/answer/v1",
            "hive": "local",
            "escalation_id": waits["escalation"]["id"],
            "issue": {"repository": "acme/attic", "number": 1, "epoch": waits["epoch"]},
            "verdict": "abandon",
            "text": "not now",
            "by": "ana",
            **changes,
        }
        body = httpx.Request("POST", url, json=said).content
        headers = signed_headers(secret, body, datetime.now(UTC))
        return httpx.post(url, content=body, headers=headers, timeout=30)

    assert send(secret=b"another-secret-0123456789").status_code == 401
    assert send(escalation_id="0" * 32).status_code == 409
    assert send(hive="other").status_code == 404
    assert send(issue={"repository": "acme/attic", "number": 2, "epoch": 1}).status_code == 404
    taken = send()
    assert (taken.status_code, taken.json()["effect"]) == (200, True), taken.text
    assert hive.wait_phase(1, "Abandoned", within=SLOW_S)["verdict"] == "abandon"
    assert send(verdict="proceed", text="").status_code == 409, "the first answer counts"
    assert hive.interrupt() in {0, 130}
