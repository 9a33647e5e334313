"""Escalation to a human: an objection that no plan can meet, a real n8n, its form, and a verdict that is obeyed."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bzzz_cli.errors import CommandError
from hmmm.meta import Verdict
from tests.support.n8n import N8n, install
from tests.support.processes import eventually
from tests.support.recorder import Recorder, recording
from tools.scenarios.stage import FIRST_S, Stage

WORKFLOW = "bzzz-escalation"
FORM_S = 60.0


@dataclass(frozen=True)
class People:
    """n8n, what it would post to Slack, and what it shares with the hive."""

    webhook: str
    slack: Recorder
    """Also where n8n sends answers, which it passes on to the hive."""
    token: str
    hmac: str


def play(stage: Stage, people: People, verdict: Verdict) -> None:
    """Tell the story with a person who decides so. Raises CommandError if it ends otherwise."""
    stage.tell("A hive of two agents: one would change what the other protects")
    _start(stage, people)
    waits = stage.hive.wait_phase(1, "Escalated", within=FIRST_S)
    port = stage.hive.config("escalation")["answerPort"]
    people.slack.forward["/v1/answers"] = f"http://127.0.0.1:{port}/v1/answers"
    stage.tell(f"The hive asks a human: {waits['reason']}")
    eventually(lambda: people.slack.to("/slack"), within=FIRST_S, what="people are told")
    alert = people.slack.to("/slack")[0].body
    stage.tell("What Slack shows")
    stage.quote(str(alert["blocks"][0]["text"]["text"]))
    stage.tell(f"The person opens n8n's form and decides: {verdict}")
    _answer(_form_of(alert), verdict, "I know; the lock is changed tomorrow.")
    done = stage.hive.wait_phase(1, "Abandoned" if verdict == "abandon" else "Closed", within=FIRST_S)
    eventually(lambda: len(people.slack.to("/slack")) > 1, within=FORM_S, what="people hear what came of it")
    stage.tell("Slack is told what came of it")
    stage.quote(str(people.slack.to("/slack")[1].body["text"]))
    stage.show_transcript(done)
    if verdict == "abandon":
        stage.tell("The issue is given back")
        stage.quote(stage.comments()[-1])
    else:
        stage.show_pull_request(done)
    if done["verdict"] != verdict:
        raise CommandError(f"expected the verdict {verdict}, the claimant obeyed {done['verdict']}")


def _start(stage: Stage, people: People) -> None:
    secret = stage.hive.folder / "secret"
    secret.mkdir(mode=0o700)
    (secret / "token").write_text(people.token)
    (secret / "hmac").write_text(people.hmac)
    stage.hive.start(
        *("--escalation-url", people.webhook),
        *("--escalation-secret", str(secret), "--answers-port", "0"),
        once=False,
    )


def _form_of(alert: dict[str, Any]) -> str:
    """Return the address behind the alert's button."""
    actions = (block for block in alert["blocks"] if block["type"] == "actions")
    buttons = (button for block in actions for button in block["elements"])
    return next(str(button["url"]) for button in buttons if button["text"]["text"] == "Answer")


@contextmanager
def reached() -> Generator[People]:
    """Run an n8n for one story, prepared as docs/escalation.md says."""
    token, hmac = secrets.token_hex(24), secrets.token_hex(32)
    program = install()
    with (
        recording() as slack,
        tempfile.TemporaryDirectory(prefix="bn", ignore_cleanup_errors=True) as folder,
    ):
        n8n = N8n(program, Path(folder), (WORKFLOW,))
        environ = {"BZZZ_TOKEN": token, "BZZZ_HMAC": hmac}
        n8n.prepare("slack", environ, "--slack-url", f"{slack.url}/slack", "--hive-url", slack.url)
        n8n.start()
        try:
            yield People(f"{n8n.url}/webhook/{WORKFLOW}", slack, token, hmac)
        finally:
            n8n.kill()


def _answer(form: str, verdict: str, text: str) -> None:
    """Fill in and send the form."""

    def shown() -> bool:
        try:
            page = httpx.get(form, timeout=5)
        except httpx.TimeoutException:
            return False  # in the instant between n8n's 202 and its waiting
        return page.status_code == 200 and re.search("Your name", page.text) is not None

    eventually(shown, within=FORM_S, every=0.5, what="the form")
    fields = {"field-0": verdict, "field-1": text, "field-2": "ana"}
    sent = httpx.post(form, files={name: (None, value) for name, value in fields.items()}, timeout=FORM_S)
    sent.raise_for_status()
