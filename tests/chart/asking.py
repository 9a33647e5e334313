"""Asking a test's API server by HTTP: kubectl reads before it patches, and each of its starts takes a second."""

from __future__ import annotations

import json
import ssl
from typing import Any

import httpx

from tests.support.kube_api import ApiServer

Json = dict[str, Any]


def token_of(api: ApiServer, namespace: str, account: str) -> str:
    """Return a token of a ServiceAccount that the chart made."""
    return api.kubectl("create", "token", account, "-n", namespace).stdout.strip()


def ask(
    api: ApiServer, token: str, method: str, path: str, body: Json, content: str = "application/json"
) -> httpx.Response:
    """Send a request with a bearer token and return the answer, whatever it is."""
    with httpx.Client(verify=ssl.create_default_context(cafile=str(api.ca_file))) as client:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content}
        return client.request(method, f"{api.url}{path}", headers=headers, content=json.dumps(body))
