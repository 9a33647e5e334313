"""How long it takes until people hear of an escalation, and until the claimant hears of their answer.

One hive with a real n8n; every plan needs approval. An escalation is over when n8n has answered 202, which it does once
Slack (here a local server) has taken the alert. The answer comes in at the hive's endpoint, signed as n8n signs it, and
counts as heard when the discussion no longer waits; the scribe is asked for that ten times a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from hmmm.escalation import signed_headers
from tools.bench.local_hive import REPOSITORY, LocalHive, running, wait_for
from tools.bench.rows import Context, Row, percentile
from tools.scenarios.escalation import People, reached

QUESTIONS: Final = 5
PATIENCE_S: Final = 120.0
MANIFEST: Final = """\
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {{name: bench}}
spec:
  replicas: {agents}
  github: {{repositories: [{repository}]}}
  execution: {{type: command, plan: dryRun, command: [note], test: ["true"], timeout: 1m}}
  discussion: {{window: {window_ms}ms, reviewers: 0, requireHuman: always}}
"""


def measure(context: Context) -> Iterator[Row]:
    """Ask a person about one plan after the other, and answer."""
    told: list[float] = []
    heard: list[float] = []
    context.say("n8n starts")
    with reached() as people:
        secret = context.folder / "secret"
        secret.mkdir(mode=0o700)
        (secret / "token").write_text(people.token)
        (secret / "hmac").write_text(people.hmac)
        options = (
            "--escalation-url",
            people.webhook,
            "--escalation-secret",
            str(secret),
            "--answers-port",
            "0",
        )
        with running(context, 1, 0.1, manifest=MANIFEST, options=options) as hive:
            for turn in range(context.times(QUESTIONS)):
                _ask(hive, people, turn, told, heard)
    for name, figures in (
        ("escalation → n8n's 202, p50", told),
        ("answer taken → claimant obeys, p50", heard),
    ):
        yield Row(
            name, percentile(figures, 50), "s", note=f"{len(figures)} questions, worst {max(figures):.2f} s"
        )


def _ask(hive: LocalHive, people: People, turn: int, told: list[float], heard: list[float]) -> None:
    number, _ = hive.open_issue(f"Note {turn}")

    def view() -> dict[str, Any] | None:
        return next((v for v in hive.discussions() if v["number"] == number), None)

    def waits() -> dict[str, Any] | None:
        found = view()
        return found if found is not None and found["phase"] == "Escalated" and found["escalation"] else None

    asked = wait_for(waits, PATIENCE_S, f"a question about issue {number}")
    escalation = asked["escalation"]
    books = hive.state_dir / "escalations" / "books.json"

    def delivered() -> str | None:
        entries = json.loads(books.read_text())["deliveries"] if books.exists() else {}
        return entries.get(escalation["id"], {}).get("delivered_at")

    at = wait_for(delivered, PATIENCE_S, "n8n's 202")
    told.append((datetime.fromisoformat(at) - datetime.fromisoformat(escalation["since"])).total_seconds())
    body = httpx.Request(
        "POST",
        "http://x",
        json={
            "schema": "bzzz.dev/answer/v1",
            "hive": "local",
            "escalation_id": escalation["id"],
            "issue": {"repository": REPOSITORY, "number": number, "epoch": asked["epoch"]},
            "verdict": "proceed",
            "text": "",
            "by": "bench",
        },
    ).content
    port = json.loads((hive.state_dir / "config" / "escalation.json").read_text())["answerPort"]
    started = time.monotonic()
    headers = signed_headers(people.hmac.encode(), body, datetime.now(UTC))
    httpx.post(f"http://127.0.0.1:{port}/v1/answers", content=body, headers=headers).raise_for_status()
    wait_for(lambda: (view() or {}).get("phase") != "Escalated", PATIENCE_S, "the claimant obeys")
    heard.append(time.monotonic() - started)
    wait_for(lambda: hive.settled([number]), PATIENCE_S, f"a pull request for issue {number}")
