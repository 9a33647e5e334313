"""A human is asked by the operator's webhook and answers at its endpoint, on a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hmmm.escalation import Notice, check_signature, signed_headers
from hmmm.identity import IssueIdentity
from hmmm.verdict import read_verdict
from tests.operator.rig import Rig
from tests.support.processes import Process, eventually
from tests.support.recorder import Recorder, recording

TOKEN = "token-of-the-tests-0123456789"
SECRET = b"hmac-secret-of-the-tests-0123456789"
NAME = "acme-widgets-42-abc"
ISSUE = IssueIdentity(repository="acme/widgets", number=42, epoch=3)


@pytest.fixture
def webhook() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture
def operator(rig: Rig, webhook: Recorder) -> Process:
    rig.secret("escalation", token=TOKEN, hmac=SECRET.decode())
    return start(rig, webhook)


def start(rig: Rig, webhook: Recorder) -> Process:
    escalation = {"url": f"{webhook.url}/hook", "secretName": "escalation", "answerPort": 0}
    return rig.operator(escalation=escalation)


def escalate(rig: Rig, escalation_id: str = "e1", **status: Any) -> None:
    """Write what the scribe writes."""
    body = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "MetaDiscussion",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "bzzz-scribe"}},
        "spec": {"issue": {"repository": "acme/widgets", "number": 42}},
    }
    if not rig.get("metadiscussion", NAME):
        rig.apply(body)
    told = {
        "epoch": 3,
        "phase": "Escalated",
        "round": 2,
        "title": "Rename",
        "claimant": "bzzz-0",
        "plan": {"summary": "rename it", "footprint": ["a.py"]},
        "objections": [{"nodeId": "bzzz-1", "severity": "blocking", "reason": "no", "status": "open"}],
        "escalation": {"id": escalation_id, "reason": "cannot agree", "state": "Waiting"},
        **status,
    }
    rig.set_status("metadiscussion", NAME, told)


def delivery(rig: Rig) -> dict[str, Any]:
    status = rig.get("metadiscussion", NAME).get("status") or {}
    return (status.get("escalation") or {}).get("delivery") or {}


def send(operator: Process, *, secret: bytes = SECRET, age_s: float = 0, **changes: Any) -> httpx.Response:
    return post(operator, *signed(secret=secret, age_s=age_s, **changes))


def signed(*, secret: bytes = SECRET, age_s: float = 0, **changes: Any) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(
        {
            "schema": "bzzz.dev/answer/v1",
            "hive": "hive",
            "escalation_id": "e1",
            "issue": ISSUE.model_dump(),
            "verdict": "revise",
            "text": "keep the name",
            "by": "ana",
            **changes,
        }
    ).encode()
    return body, signed_headers(secret, body, datetime.now(UTC) - timedelta(seconds=age_s))


def post(operator: Process, body: bytes, headers: dict[str, str]) -> httpx.Response:
    url = f"http://127.0.0.1:{operator.ready['answerPort']}/v1/answers"
    return httpx.post(url, content=body, headers=headers, timeout=30)


def test_a_question_is_sent_until_the_webhook_takes_it_and_its_state_is_seen(
    rig: Rig, operator: Process, webhook: Recorder
) -> None:
    webhook.status["/hook"] = 500
    escalate(rig)
    failing = eventually(lambda: delivery(rig).get("state") == "Failing" and delivery(rig), within=30)
    assert failing["problem"] == "the webhook answered 500"
    assert failing["nextAttemptAt"]
    webhook.status.clear()
    done = eventually(lambda: delivery(rig).get("state") == "Delivered" and delivery(rig), within=60)
    assert done["id"] == "e1"
    assert done["attempts"] == len(webhook.to("/hook"))
    sent = [Notice.model_validate(one.body) for one in webhook.to("/hook")]
    assert len({one.idempotency_key for one in sent}) == 1
    assert (sent[0].issue, sent[0].objections[0].reason, sent[0].reason) == (ISSUE, "no", "cannot agree")
    last = webhook.to("/hook")[-1]
    assert last.headers["x-bzzz-token"] == TOKEN
    check_signature(SECRET, last.headers, last.raw, datetime.now(UTC))


def test_a_restarted_operator_sends_no_question_again(rig: Rig, operator: Process, webhook: Recorder) -> None:
    escalate(rig)
    eventually(lambda: delivery(rig).get("state") == "Delivered", within=30)
    operator.kill()
    start(rig, webhook)
    escalate(rig, "e2")
    eventually(lambda: delivery(rig).get("id") == "e2" and delivery(rig)["state"] == "Delivered", within=60)
    assert [one.body["escalation_id"] for one in webhook.to("/hook")] == ["e1", "e2"]


def test_an_answer_becomes_a_resolution_and_is_signed_by_the_hive(rig: Rig, operator: Process) -> None:
    escalate(rig)
    answer = send(operator)
    assert answer.status_code == 200, answer.text
    assert answer.json()["effect"] is True
    resolution = rig.get("metadiscussion", NAME)["spec"]["resolution"]
    assert resolution == {"verdict": "revise", "text": "keep the name", "by": "ana", "escalation": "e1"}
    verdict = eventually(lambda: rig.get("metadiscussion", NAME)["status"].get("verdict"), within=30)
    members = rig.get("configmap", "hive-members")["data"]
    read = read_verdict(verdict["signed"].encode(), bytes.fromhex(members["hive.pub"].strip()), ISSUE)
    assert (read.verdict, read.text, read.decided_by) == ("revise", "keep the name", "ana")


def test_forged_replayed_stale_and_malformed_answers_change_nothing_and_are_logged(
    rig: Rig, operator: Process
) -> None:
    escalate(rig)
    assert send(operator, secret=b"another-secret-0123456789").status_code == 401
    assert send(operator, age_s=400).status_code == 401
    assert post(operator, signed()[0], {}).status_code == 401
    assert send(operator, verdict="yes").status_code == 400
    assert send(operator, hive="other").status_code == 404
    assert send(operator, escalation_id="e0").status_code == 409
    assert send(operator, text="x" * 20_000).status_code == 413
    assert "resolution" not in rig.get("metadiscussion", NAME)["spec"]
    request = signed()
    assert post(operator, *request).status_code == 200
    assert post(operator, *request).status_code == 409
    logged = [line["status"] for line in operator.logged("answer")]
    assert logged == [401, 401, 401, 400, 404, 409, 200, 409]


def test_the_first_answer_counts_and_may_be_repeated(rig: Rig, operator: Process) -> None:
    escalate(rig)
    assert send(operator).status_code == 200
    assert send(operator, age_s=1).json()["message"] == "this answer was recorded before"
    other = send(operator, verdict="proceed", text="")
    assert other.status_code == 409
    assert "already answered: revise" in other.json()["message"]


def test_an_answer_that_comes_too_late_is_recorded_without_effect_and_says_so(
    rig: Rig, operator: Process
) -> None:
    escalate(rig, phase="Abandoned", escalation={"id": "e1", "reason": "cannot agree", "state": "Released"})
    answer = send(operator).json()
    assert (answer["recorded"], answer["effect"]) == (True, False)
    assert "over" in answer["message"]
    condition = eventually(
        lambda: (rig.get("metadiscussion", NAME)["status"].get("conditions") or [None])[0], within=30
    )
    assert (condition["status"], condition["reason"]) == ("False", "DiscussionClosed")
    assert "verdict" not in rig.get("metadiscussion", NAME)["status"]
