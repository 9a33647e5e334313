"""From a MetaDiscussion to people and back: operator, API server and n8n are real; Slack is a recorder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hmmm.verdict import read_verdict
from tests.n8n.conftest import SECRET, TOKEN
from tests.n8n.test_workflow import form_page, form_url, submit
from tests.operator.rig import Rig, prepare
from tests.operator.test_escalations import ISSUE, NAME, delivery, escalate
from tests.support.kube_api import ApiServer
from tests.support.n8n import N8n
from tests.support.processes import Process, Processes, eventually
from tests.support.recorder import Recorder

pytestmark = pytest.mark.timeout(400)  # the first test starts n8n, which a busy machine takes minutes for
SLOW_S = 90.0


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    with ApiServer.start() as server:
        prepare(server)
        yield server


@pytest.fixture
def rig(api: ApiServer) -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="bo", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            made = Rig(api, processes, folder)
            made.archive.start()
            made.secret("escalation", token=TOKEN, hmac=SECRET.decode())
            yield made
            made.close()


@pytest.fixture
def operator(rig: Rig, n8n: N8n, recorder: Recorder) -> Process:
    webhook = {"url": f"{n8n.url}/webhook/bzzz-escalation", "secretName": "escalation", "answerPort": 0}
    started = rig.operator(escalation=webhook)
    # n8n knows one address; which port the operator got is known only now
    recorder.forward["/v1/answers"] = f"http://127.0.0.1:{started.ready['answerPort']}/v1/answers"
    return started


def test_a_form_s_answer_is_signed_by_the_hive_key(rig: Rig, operator: Process, recorder: Recorder) -> None:
    escalate(rig, "w1")
    eventually(lambda: delivery(rig).get("state") == "Delivered", within=SLOW_S, what="n8n has it")
    url = form_url(recorder)
    form_page(url)
    submit(url, "revise", "keep the name", "ana")
    verdict = eventually(lambda: rig.get("metadiscussion", NAME)["status"].get("verdict"), within=SLOW_S)
    hive = bytes.fromhex(rig.get("configmap", "hive-members")["data"]["hive.pub"].strip())
    read = read_verdict(verdict["signed"].encode(), hive, ISSUE)
    assert (read.verdict, read.text, read.decided_by) == ("revise", "keep the name", "ana")
    outcome = eventually(lambda: recorder.to("/slack")[1:], within=SLOW_S, what="people hear of it")[0]
    assert "the claimant gets it, signed" in outcome.body["text"]


def test_slack_away_is_seen_in_the_object_and_people_are_told_once(
    rig: Rig, operator: Process, recorder: Recorder
) -> None:
    recorder.status["/slack"] = 503
    escalate(rig, "w2")
    failing = eventually(
        lambda: delivery(rig).get("state") == "Failing" and delivery(rig), within=SLOW_S, what="it is seen"
    )
    assert failing["problem"] == "the webhook answered 502"
    recorder.status.clear()
    recorder.requests.clear()
    eventually(lambda: delivery(rig).get("state") == "Delivered", within=SLOW_S, what="n8n has it")
    assert len(recorder.to("/slack")) == 1


def test_an_answer_that_comes_too_late_is_told_to_people(
    rig: Rig, operator: Process, recorder: Recorder
) -> None:
    escalate(rig, "w3")
    eventually(lambda: delivery(rig).get("state") == "Delivered", within=SLOW_S, what="n8n has it")
    url = form_url(recorder)
    form_page(url)
    escalate(rig, "w3", phase="Abandoned", escalation={"id": "w3", "state": "Released"})
    submit(url, "proceed")
    outcome = eventually(lambda: recorder.to("/slack")[1:], within=SLOW_S, what="people hear of it")[0]
    assert "recorded without effect: the discussion is over" in outcome.body["text"]
    assert "verdict" not in rig.get("metadiscussion", NAME)["status"]
