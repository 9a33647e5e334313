#!/usr/bin/env python3
"""Make the workflows ready for `n8n import`: addresses go into their Settings node, secrets into a file of credentials.

    export BZZZ_TOKEN=… BZZZ_HMAC=…                       # as in the hive's Secret; TRACKER_TOKEN for the tracker
    python3 n8n/prepare.py slack --slack-url https://hooks.slack.com/… --hive-url http://bzzz-answers.hives.svc:8083

Python's standard library only. Secrets come from the environment, never from arguments, which others can see.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent


def credentials(kind: str) -> list[dict[str, Any]]:
    """Return the credentials that a workflow names, for `n8n import:credentials`."""
    made = [
        header("bzzzWebhookToken", "Bzzz webhook token", "X-Bzzz-Token", secret("BZZZ_TOKEN")),
        {
            "id": "bzzzHmacSecret01",
            "name": "Bzzz HMAC secret",
            "type": "crypto",
            "data": {"hmacSecret": secret("BZZZ_HMAC")},
        },
    ]
    if kind == "tracker":
        token = f"Bearer {secret('TRACKER_TOKEN')}"
        made.append(header("bzzzTrackerToken", "Bzzz tracker token", "Authorization", token))
    return made


def header(identity: str, name: str, field: str, value: str) -> dict[str, Any]:
    """Return a header credential."""
    return {"id": identity, "name": name, "type": "httpHeaderAuth", "data": {"name": field, "value": value}}


def secret(variable: str) -> str:
    """Return a secret of the environment; without it nothing is written."""
    value = os.environ.get(variable, "").strip()
    if not 16 <= len(value) <= 1024 or not value.isascii():
        sys.exit(
            f"{variable}: expected 16 to 1024 ASCII characters in the environment; export it and run again"
        )
    return value


def with_settings(workflow: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Fill in a workflow's Settings node."""
    node = next(node for node in workflow["nodes"] if node["name"] == "Settings")
    for one in node["parameters"]["assignments"]["assignments"]:
        if values.get(one["name"]) is not None:
            one["value"] = values[one["name"]]
    return workflow


def url(text: str) -> str:
    """Return an address without a slash at its end."""
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).netloc:
        raise argparse.ArgumentTypeError(f"expected http://… or https://…, came {text}")
    return text.rstrip("/")


def private(path: Path, text: str) -> Path:
    """Write a file that only its owner reads."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


def main() -> None:
    """Write the two files, and print the commands that import them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["slack", "tracker"])
    parser.add_argument("--hive-url", required=True, type=url, help="the answer endpoint, without its path")
    parser.add_argument("--slack-url", type=url, help="an incoming webhook of Slack (slack)")
    parser.add_argument("--tracker-url", type=url, help="where tickets are posted as JSON (tracker)")
    parser.add_argument(
        "--answer-hours", type=int, default=24, help="as spec.escalation.timeout of the HiveAgents"
    )
    parser.add_argument(
        "--retry-seconds",
        type=int,
        default=70,
        help="until an answer is sent again; n8n keeps 65 or more over a restart",
    )
    parser.add_argument("--out", type=Path, default=Path("n8n-import"), help="the folder to write to")
    options = parser.parse_args()
    alert = options.slack_url if options.kind == "slack" else options.tracker_url
    if alert is None:
        parser.error(f"expected --{options.kind}-url")
    workflow = json.loads((HERE / f"{options.kind}.json").read_text())
    values = {
        "hiveUrl": options.hive_url,
        f"{options.kind}Url": alert,
        "answerHours": options.answer_hours,
        "retrySeconds": options.retry_seconds,
    }
    options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets = private(options.out / "credentials.json", json.dumps(credentials(options.kind), indent=2))
    ready = private(
        options.out / f"{options.kind}.json", json.dumps(with_settings(workflow, values), indent=2)
    )
    print(f"n8n import:credentials --input={secrets}")
    print(f"n8n import:workflow --input={ready}")
    print(f"n8n publish:workflow --id={workflow['id']}")
    print(f"rm -r {options.out}    # it holds the secrets in clear; n8n keeps them encrypted")


if __name__ == "__main__":
    main()
