"""Objects sent to the API server as a strict client sends them, and the fields that it refuses."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from typing import Any

from tests.support.kube_api import ApiServer


def send(
    api: ApiServer, document: dict[str, Any], *, method: str = "POST", path: str = "", store: bool = False
) -> dict[str, Any]:
    """Send an object to its kind's collection (or `path` below it); return what came back: the object or a Status.

    Nothing is stored unless asked; unknown fields are refused, as kubectl has it.
    """
    group, plural = document["apiVersion"], f"{document['kind'].lower()}s"
    query = "fieldValidation=Strict" + ("" if store else "&dryRun=All")
    request = urllib.request.Request(
        f"{api.url}/apis/{group}/namespaces/default/{plural}{path}?{query}",
        method=method,
        data=json.dumps(_as_kubectl_writes(document)).encode(),
        headers={"Authorization": f"Bearer {api.admin_token}", "Content-Type": "application/json"},
    )
    try:
        trust = ssl.create_default_context(cafile=str(api.ca_file))
        with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read())


def _as_kubectl_writes(value: Any) -> Any:
    """Its way from YAML to JSON makes 3.0 a 3, which matters: CEL knows floats from ints."""
    if isinstance(value, dict):
        return {key: _as_kubectl_writes(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_as_kubectl_writes(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def refused_fields(answer: dict[str, Any]) -> list[str]:
    """Return the paths of the fields that a Status names; none when the object was taken."""
    if answer["kind"] != "Status":
        return []
    unknown = re.findall(r'unknown field "([^"]+)"', answer["message"])
    causes = [_path(cause) for cause in answer.get("details", {}).get("causes", [])]
    assert unknown or causes, answer
    return unknown + causes


def _path(cause: dict[str, str]) -> str:
    # a rule on the object as a whole cannot point at metadata, so its message does
    found = re.search(r"(metadata\.name): expected", cause["message"])
    return found[1] if found else cause["field"]
