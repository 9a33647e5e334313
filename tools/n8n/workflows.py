"""Writes n8n/slack.json and n8n/tracker.json: one flow with two ways to alert people. `--check` only compares.

    python -m tools.n8n.workflows

The flow: webhook (header token) → HMAC over `timestamp.body` → claim of the idempotency key in a data table → alert →
202 → form → signed answer to the hive, again and again until it is heard → what came of it, told to the same people.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parents[2]
SCRIPTS: Final = Path(__file__).parent / "scripts"
TABLE: Final = "bzzz_escalations"
HEADER: Final = {"httpHeaderAuth": {"id": "bzzzWebhookToken", "name": "Bzzz webhook token"}}
SECRET: Final = {"crypto": {"id": "bzzzHmacSecret01", "name": "Bzzz HMAC secret"}}
TRACKER: Final = {"httpHeaderAuth": {"id": "bzzzTrackerToken", "name": "Bzzz tracker token"}}

SLACK_BODY: Final = "={{ JSON.stringify($('Check').first().json.alert) }}"
OUTCOME_BODY: Final = "={{ JSON.stringify({ text: $json.text }) }}"


class Flow:
    """Nodes and the lines between them, laid out from left to right."""

    def __init__(self) -> None:
        self.nodes: list[Json] = []
        self.lines: dict[str, Json] = {}

    def add(self, name: str, kind: str, version: float, parameters: Json, **more: Any) -> str:
        """Add a node; return its name."""
        column, row = len(self.nodes) % 8, len(self.nodes) // 8
        self.nodes.append(
            {
                "id": f"bzzz-{len(self.nodes):02}",
                "name": name,
                "type": f"n8n-nodes-base.{kind}",
                "typeVersion": version,
                "position": [220 * column, 200 * row],
                "parameters": parameters,
                **more,
            }
        )
        return name

    def line(self, source: str, target: str, output: int = 0) -> None:
        """Lead a node's output to another node."""
        outputs = self.lines.setdefault(source, {"main": []})["main"]
        while len(outputs) <= output:
            outputs.append([])
        outputs[output].append({"node": target, "type": "main", "index": 0})

    def chain(self, *names: str) -> None:
        """Lead the first output of each node to the next."""
        for source, target in pairwise(names):
            self.line(source, target)


def script(name: str) -> Json:
    """Return a Code node's parameters."""
    return {
        "mode": "runOnceForAllItems",
        "language": "javaScript",
        "jsCode": (SCRIPTS / f"{name}.js").read_text(),
    }


def post(url: str, body: str, **options: Any) -> Json:
    """Return an HTTP Request node's parameters for JSON in a text."""
    return {
        "method": "POST",
        "url": url,
        "sendBody": True,
        "contentType": "raw",
        "rawContentType": "application/json; charset=utf-8",
        "body": body,
        "options": {"timeout": 10000, "redirect": {"redirect": {"followRedirects": False}}, **options},
    }


def hmac(value: str) -> Json:
    """Return a Crypto node's parameters; the key is a credential."""
    return {
        "action": "hmac",
        "type": "SHA256",
        "binaryData": False,
        "value": value,
        "dataPropertyName": "hmac",
        "encoding": "hex",
    }


def condition(left: str) -> Json:
    """Return an IF node's parameters: whether an expression is true."""
    options = {"caseSensitive": True, "leftValue": "", "typeValidation": "strict", "version": 2}
    operator = {"type": "boolean", "operation": "true", "singleValue": True}
    rule = {"id": "c1", "leftValue": left, "rightValue": "", "operator": operator}
    return {"options": {}, "conditions": {"options": options, "combinator": "and", "conditions": [rule]}}


def rows(operation: str, column: str, value: str, **more: Any) -> Json:
    """Return a Data Table node's parameters for rows with one column's value."""
    return {
        "resource": "row",
        "operation": operation,
        "dataTableId": {"__rl": True, "mode": "name", "value": TABLE},
        "matchType": "allConditions",
        "filters": {"conditions": [{"keyName": column, "condition": "eq", "keyValue": value}]},
        **more,
    }


def columns(**values: str) -> Json:
    """Return what a row gets."""
    schema = [
        {
            "id": name,
            "displayName": name,
            "required": False,
            "defaultMatch": False,
            "display": True,
            "type": "string",
            "canBeUsedToMatch": True,
        }
        for name in values
    ]
    return {"mappingMode": "defineBelow", "value": values, "matchingColumns": [], "schema": schema}


def settings(values: dict[str, str | int]) -> Json:
    """Return the Set node that holds what differs from one installation to another."""
    assignments = [
        {"id": name, "name": name, "value": value, "type": "string" if isinstance(value, str) else "number"}
        for name, value in values.items()
    ]
    return {
        "mode": "manual",
        "assignments": {"assignments": assignments},
        "includeOtherFields": False,
        "options": {},
    }


def respond(code: int | str, body: str) -> Json:
    """Return a Respond to Webhook node's parameters."""
    return {"respondWith": "json", "responseBody": body, "options": {"responseCode": code}}


FORM: Final[Json] = {
    "resume": "form",
    "formTitle": "={{ $('Check').first().json.heading }}",
    "formDescription": "={{ $('Check').first().json.html }}",
    "formFields": {
        "values": [
            {
                "fieldLabel": "Decision",
                "fieldType": "dropdown",
                "requiredField": True,
                "fieldOptions": {"values": [{"option": o} for o in ("proceed", "revise", "abandon")]},
            },
            {"fieldLabel": "What is to be revised, or why", "fieldType": "textarea"},
            {"fieldLabel": "Your name", "requiredField": True},
        ]
    },
    "responseMode": "onReceived",
    "limitWaitTime": True,
    "limitType": "afterTimeInterval",
    "resumeAmount": "={{ $('Settings').first().json.answerHours }}",
    "resumeUnit": "hours",
    "options": {},
}


def workflow(kind: str) -> Json:
    """Return a workflow: `slack` or `tracker`."""
    flow = Flow()
    _receive(flow, kind)
    _alert(flow, kind)
    _bring_back(flow, kind)
    return {
        "id": f"bzzz{kind.capitalize()}0001",
        "name": f"Bzzz escalation: {'Slack' if kind == 'slack' else 'tracker'}",
        "active": False,
        "settings": {
            "executionOrder": "v1",
            "saveDataSuccessExecution": "all",
            "saveDataErrorExecution": "all",
        },
        "nodes": flow.nodes,
        "connections": flow.lines,
    }


def _receive(flow: Flow, kind: str) -> None:
    """Let in what is signed, and claim its key."""
    own: Json = (
        {"slackUrl": "https://slack.invalid"}
        if kind == "slack"
        else {"trackerUrl": "https://tracker.invalid"}
    )
    defaults: Json = {
        **own,
        "hiveUrl": "http://bzzz-answers.hives.svc:8083",
        "answerHours": 24,
        "retrySeconds": 70,
    }
    flow.add(
        "Escalation",
        "webhook",
        2.1,
        {
            "httpMethod": "POST",
            "path": "bzzz-escalation" if kind == "slack" else "bzzz-escalation-ticket",
            "authentication": "headerAuth",
            "responseMode": "responseNode",
            "options": {"rawBody": True},
        },
        webhookId=f"bzzz-escalation-{kind}",
        credentials=HEADER,
    )
    flow.add("Read", "code", 2, script("read"))
    flow.add("HMAC", "crypto", 2, hmac("={{ $json.signed }}"), credentials=SECRET)
    flow.add("Check", "code", 2, script("check").copy())
    flow.add("Signature holds?", "if", 2.2, condition("={{ $json.ok }}"))
    flow.add(
        "Refused",
        "respondToWebhook",
        1.4,
        respond(401, "={{ JSON.stringify({ accepted: false, error: $json.error }) }}"),
    )
    flow.add("Settings", "set", 3.4, settings(defaults))
    flow.add(
        "Table",
        "dataTable",
        1.1,
        {
            "resource": "table",
            "operation": "create",
            "tableName": TABLE,
            "columns": {"column": [{"name": n, "type": "string"} for n in ("key", "run", "state")]},
            "options": {"createIfNotExists": True},
        },
        retryOnFail=True,
        maxTries=3,
        waitBetweenTries=200,
    )
    flow.add(
        "Claim",
        "dataTable",
        1.1,
        {
            "resource": "row",
            "operation": "insert",
            "dataTableId": {"__rl": True, "mode": "name", "value": TABLE},
            "columns": columns(
                key="={{ $('Check').first().json.key }}", run="={{ $execution.id }}", state="claimed"
            ),
            "options": {},
        },
    )
    flow.add(
        "Claims", "dataTable", 1.1, rows("get", "key", "={{ $('Check').first().json.key }}", returnAll=True)
    )
    flow.add("First?", "code", 2, script("first"))
    flow.add("To be told?", "if", 2.2, condition("={{ $json.tell }}"))
    flow.chain(
        "Escalation", "Read", "HMAC", "Check", "Signature holds?", "Settings", "Table", "Claim", "Claims"
    )
    flow.chain("Claims", "First?", "To be told?")
    flow.line("Signature holds?", "Refused", 1)


def _alert(flow: Flow, kind: str) -> None:
    """Tell people, and answer the hive: 202 once they are told."""
    body = SLACK_BODY if kind == "slack" else "={{ JSON.stringify($('Check').first().json.ticket) }}"
    alert = post(f"={{{{ $('Settings').first().json.{kind}Url }}}}", body)
    more: Json = {"onError": "continueErrorOutput"}
    if kind == "tracker":
        alert |= {"authentication": "genericCredentialType", "genericAuthType": "httpHeaderAuth"}
        more["credentials"] = TRACKER
    told = flow.add("Slack" if kind == "slack" else "Tracker", "httpRequest", 4.2, alert, **more)
    flow.add(
        "Mark",
        "dataTable",
        1.1,
        rows("update", "run", "={{ $execution.id }}", columns=columns(state="told"), options={}),
    )
    flow.add(
        "Accepted",
        "respondToWebhook",
        1.4,
        respond(
            202,
            "={{ JSON.stringify({ accepted: true, escalation: $('Check').first().json.notice.escalation_id }) }}",
        ),
    )
    flow.add(
        "Release",
        "dataTable",
        1.1,
        rows("deleteRows", "run", "={{ $execution.id }}", options={}),
        alwaysOutputData=True,
    )
    flow.add(
        "Not told",
        "respondToWebhook",
        1.4,
        respond(
            "={{ $('First?').first().json.code }}", "={{ JSON.stringify($('First?').first().json.answer) }}"
        ),
    )
    flow.chain("To be told?", told, "Mark", "Accepted")
    flow.line("To be told?", "Release", 1)
    flow.line(told, "Release", 1)
    flow.chain("Release", "Not told")


def _bring_back(flow: Flow, kind: str) -> None:
    """Wait for a person, tell the hive until it hears, and tell people what came of it."""
    flow.add("Human", "wait", 1.1, FORM, webhookId=f"bzzz-answer-{kind}")
    flow.add("Answer", "code", 2, script("answer"))
    flow.add("Stamp", "code", 2, script("stamp"))
    flow.add("Sign", "crypto", 2, hmac("={{ $json.timestamp + '.' + $json.body }}"), credentials=SECRET)
    tell = post(
        "={{ $('Settings').first().json.hiveUrl }}/v1/answers",
        "={{ $json.body }}",
        response={"response": {"fullResponse": True, "neverError": True}},
    )
    tell["sendHeaders"] = True
    tell["headerParameters"] = {
        "parameters": [
            {"name": "X-Bzzz-Timestamp", "value": "={{ $json.timestamp }}"},
            {"name": "X-Bzzz-Signature", "value": "=sha256={{ $json.hmac }}"},
        ]
    }
    flow.add("Hive", "httpRequest", 4.2, tell, onError="continueErrorOutput")
    flow.add("Outcome", "code", 2, script("outcome"))
    flow.add("Heard?", "if", 2.2, condition("={{ $json.heard }}"))
    flow.add(
        "Pause",
        "wait",
        1.1,
        {
            "resume": "timeInterval",
            "amount": "={{ $('Settings').first().json.retrySeconds }}",
            "unit": "seconds",
        },
        webhookId=f"bzzz-pause-{kind}",
    )
    outcome = post(f"={{{{ $('Settings').first().json.{kind}Url }}}}", OUTCOME_BODY)
    again: Json = {
        "onError": "continueRegularOutput",
        "retryOnFail": True,
        "maxTries": 3,
        "waitBetweenTries": 2000,
    }
    if kind == "tracker":
        outcome |= {"authentication": "genericCredentialType", "genericAuthType": "httpHeaderAuth"}
        outcome["body"] = (
            "={{ JSON.stringify({ kind: 'comment', key: $('Check').first().json.key, body: $json.text }) }}"
        )
        again["credentials"] = TRACKER
    flow.add("Tell people", "httpRequest", 4.2, outcome, **again)

    flow.chain("Accepted", "Human", "Answer", "Stamp", "Sign", "Hive", "Outcome", "Heard?", "Tell people")
    flow.line("Hive", "Outcome", 1)
    flow.line("Heard?", "Pause", 1)
    flow.chain("Pause", "Stamp")


def files() -> dict[Path, str]:
    """Return each file with its text."""
    return {
        ROOT / "n8n" / f"{kind}.json": json.dumps(workflow(kind), indent=2, ensure_ascii=False) + "\n"
        for kind in ("slack", "tracker")
    }


def main() -> int:
    """Write, or with --check compare; return the exit code."""
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text() != text}
    check = "--check" in sys.argv[1:]
    for path, text in stale.items():
        print(f"{'stale' if check else 'wrote'}: {path.relative_to(ROOT)}", file=sys.stderr)
        if not check:
            path.write_text(text)
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
