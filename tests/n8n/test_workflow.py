"""The Slack workflow on a real n8n: what is let in, told once, and brought back signed."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hmmm.escalation import (
    TOKEN_HEADER,
    Notice,
    Objection,
    PlanInBrief,
    check_signature,
    idempotency_key,
    read_answer,
    signed_headers,
)
from hmmm.identity import IssueIdentity
from tests.n8n.conftest import SECRET, TOKEN
from tests.support.n8n import N8n
from tests.support.processes import eventually
from tests.support.recorder import Recorder

pytestmark = pytest.mark.timeout(400)  # the first test starts n8n, which a busy machine takes minutes for
SLOW_S = 60.0


def notice(**changes: Any) -> Notice:
    issue = IssueIdentity(repository="acme/widgets", number=7, epoch=2)
    escalation_id = uuid.uuid4().hex
    values: dict[str, Any] = {
        "hive": "bzzz",
        "escalation_id": escalation_id,
        "idempotency_key": idempotency_key("bzzz", issue, escalation_id),
        "issue": issue,
        "title": "Rename <!channel> the ünïcode field ✓",
        "claimant": "bzzz-0",
        "reason": "rounds are exhausted <b>and</b> & more",
        "round": 3,
        "plan": PlanInBrief(summary="rename it everywhere", footprint=("src/a.py",)),
        "objections": (Objection(node_id="bzzz-1", severity="blocking", reason="it breaks the API"),),
        "issue_url": "https://github.com/acme/widgets/issues/7",
    }
    return Notice.model_validate(values | changes)


def send(
    n8n: N8n,
    told: Notice,
    *,
    token: str = TOKEN,
    secret: bytes = SECRET,
    age_s: float = 0,
    path: str = "bzzz-escalation",
) -> httpx.Response:
    body = told.to_body()
    headers = signed_headers(secret, body, datetime.now(UTC) - timedelta(seconds=age_s))
    return httpx.post(
        f"{n8n.url}/webhook/{path}",
        content=body,
        headers={**headers, TOKEN_HEADER: token, "Content-Type": "application/json"},
        timeout=SLOW_S,
    )


def form_url(recorder: Recorder) -> str:
    """Return the address of the form behind the alert's button, as a person would click it."""
    (alert,) = recorder.to("/slack")
    (actions,) = [block for block in alert.body["blocks"] if block["type"] == "actions"]
    return next(b["url"] for b in actions["elements"] if b["text"]["text"] == "Answer")


def form_page(url: str) -> str:
    """Return the form once n8n waits for it; asked in the instant between its 202 and its waiting, it is silent."""

    def look() -> str | None:
        try:
            page = httpx.get(url, timeout=3)
        except httpx.TimeoutException:
            return None
        return page.text if page.status_code == 200 and "Your name" in page.text else None

    return eventually(look, within=SLOW_S, every=0.5, what="the form") or ""


def submit(url: str, verdict: str, text: str = "", by: str = "ana") -> httpx.Response:
    fields = {"field-0": verdict, "field-1": text, "field-2": by}
    return httpx.post(url, files={name: (None, value) for name, value in fields.items()}, timeout=SLOW_S)


def answers(recorder: Recorder) -> list[Any]:
    return recorder.to("/v1/answers")


def test_an_escalation_is_told_once_and_its_text_stays_text(n8n: N8n, recorder: Recorder) -> None:
    told = notice()
    answer = send(n8n, told)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"accepted": True, "escalation": told.escalation_id}
    (alert,) = recorder.to("/slack")
    text = alert.body["blocks"][0]["text"]
    assert text["type"] == "plain_text"
    for part in ("acme/widgets#7", "rename it everywhere", "src/a.py", "it breaks the API", "ünïcode"):
        assert part in text["text"]
    assert "<b>" not in alert.body["text"]
    page = form_page(form_url(recorder))
    assert "rounds are exhausted" in page
    assert "<!channel>" not in page
    assert "<b>and</b>" not in page


def test_a_wrong_token_is_refused_before_anything_is_read(n8n: N8n, recorder: Recorder) -> None:
    assert send(n8n, notice(), token="nope").status_code == 403
    assert recorder.requests == []


@pytest.mark.parametrize("wrong", [{"secret": b"another-secret-0123456789"}, {"age_s": 400}, {"age_s": -400}])
def test_a_bad_or_stale_signature_is_refused(n8n: N8n, recorder: Recorder, wrong: dict[str, Any]) -> None:
    assert send(n8n, notice(), **wrong).status_code == 401
    assert recorder.requests == []


def test_without_a_body_nothing_is_told(n8n: N8n, recorder: Recorder) -> None:
    answer = httpx.post(f"{n8n.url}/webhook/bzzz-escalation", headers={TOKEN_HEADER: TOKEN}, timeout=SLOW_S)
    assert answer.status_code == 401
    assert recorder.requests == []


def test_the_same_key_twice_is_one_alert(n8n: N8n, recorder: Recorder) -> None:
    told = notice()
    assert send(n8n, told).status_code == 202
    again = send(n8n, told)
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    assert len(recorder.to("/slack")) == 1


def test_slack_away_is_no_2xx_and_the_next_try_tells(n8n: N8n, recorder: Recorder) -> None:
    told = notice()
    recorder.status["/slack"] = 503
    for _ in range(2):
        assert send(n8n, told).status_code == 502
    recorder.status.clear()
    recorder.requests.clear()
    assert send(n8n, told).status_code == 202
    assert len(recorder.to("/slack")) == 1


def test_a_form_becomes_a_signed_answer_and_people_hear_what_came_of_it(n8n: N8n, recorder: Recorder) -> None:
    told = notice()
    send(n8n, told)
    url = form_url(recorder)
    assert submit(url, "revise", "keep the old name – ünïcode", "Ana <ana>").status_code == 200
    answered = eventually(lambda: answers(recorder), within=SLOW_S, what="the hive is told")[0]
    check_signature(SECRET, answered.headers, answered.raw, datetime.now(UTC))
    answer = read_answer(answered.raw)
    assert (answer.verdict, answer.text, answer.by) == ("revise", "keep the old name – ünïcode", "Ana <ana>")
    assert (answer.escalation_id, answer.issue.identity, answer.hive) == (
        told.escalation_id,
        told.issue,
        "bzzz",
    )
    outcome = eventually(lambda: recorder.to("/slack")[1:], within=SLOW_S, what="people hear of it")[0]
    assert outcome.body["text"] == "acme/widgets#7: revise by Ana &lt;ana&gt;: recorded"


def test_a_form_that_is_sent_twice_is_one_answer(n8n: N8n, recorder: Recorder) -> None:
    send(n8n, notice())
    url = form_url(recorder)
    submit(url, "proceed")
    eventually(lambda: answers(recorder), within=SLOW_S, what="the hive is told")
    eventually(lambda: recorder.to("/slack")[1:], within=SLOW_S, what="people hear of it")
    submit(url, "abandon")  # n8n shows a page that says so
    assert [read_answer(a.raw).verdict for a in answers(recorder)] == ["proceed"]


def test_an_answer_waits_for_a_hive_that_is_away(n8n: N8n, recorder: Recorder) -> None:
    send(n8n, notice())
    recorder.status["/v1/answers"] = 503
    submit(form_url(recorder), "abandon")
    eventually(lambda: len(answers(recorder)) >= 2, within=SLOW_S, what="it is tried again")
    recorder.status.clear()
    before = len(answers(recorder))
    eventually(lambda: len(answers(recorder)) > before, within=SLOW_S, what="it is tried once more")
    signatures = {a.headers["x-bzzz-signature"] for a in answers(recorder)}
    assert len(signatures) >= 2, "each attempt is signed at its own moment"
    eventually(lambda: recorder.to("/slack")[1:], within=SLOW_S, what="people hear of it")


def test_n8n_killed_while_a_human_thinks_brings_the_answer_back_all_the_same(
    n8n: N8n, recorder: Recorder
) -> None:
    told = notice()
    assert send(n8n, told).status_code == 202
    url = form_url(recorder)
    form_page(url)
    n8n.kill()
    n8n.start()
    assert send(n8n, told).json()["duplicate"] is True, "the key outlives the process"
    assert submit(url, "proceed", by="ana").status_code == 200
    answered = eventually(lambda: answers(recorder), within=SLOW_S, what="the hive is told")[0]
    check_signature(SECRET, answered.headers, answered.raw, datetime.now(UTC))
    assert read_answer(answered.raw).escalation_id == told.escalation_id
    eventually(lambda: recorder.to("/slack")[1:], within=SLOW_S, what="people hear of it")


def test_a_tracker_gets_a_ticket_and_the_form_brings_the_answer(n8n: N8n, recorder: Recorder) -> None:
    told = notice()
    for _ in range(2):
        assert send(n8n, told, path="bzzz-escalation-ticket").status_code == 202
    (ticket,) = recorder.to("/tracker")
    assert ticket.headers["authorization"] == "Bearer tracker-token-of-the-tests"
    assert ticket.body["key"] == told.idempotency_key
    assert "it breaks the API" in ticket.body["body"]
    url = re.search(r"^Answer: (http\S+)$", ticket.body["body"], re.MULTILINE)
    assert url is not None
    submit(url[1], "proceed")
    eventually(lambda: answers(recorder), within=SLOW_S, what="the hive is told")
    comment = eventually(lambda: recorder.to("/tracker")[1:], within=SLOW_S, what="the ticket hears of it")[0]
    assert comment.body["kind"] == "comment"
