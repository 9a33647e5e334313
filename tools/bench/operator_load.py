"""Makes HiveAgents as fast as the API server takes them, and watches until each one has become what it should.

Knows nothing of the operator behind it. The standard library's HTTP client in threads: on two cores the load must
cost less than what is measured.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.kube_api import ApiServer

CREATORS = 4
TIMEOUT_S = 240.0
HIVE_AGENTS = "/apis/bzzz.dev/v1alpha1/namespaces/{}/hiveagents"
PATHS = {
    "statefulsets": "/apis/apps/v1",
    "services": "/api/v1",
    "serviceaccounts": "/api/v1",
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
}
OF_AN_AGENT = "app.kubernetes.io%2Finstance"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Json = dict[str, Any]


@dataclass
class Load:
    """What was done and seen. Times are seconds from the first creation on."""

    all_s: float = float("nan")
    """Until every HiveAgent is told to be observed and every child exists."""
    created_s: float = float("nan")
    latencies_s: list[float] = field(default_factory=list[float])
    """From a HiveAgent's creation to its observed generation."""
    missing: str = ""
    """What had not come about at the timeout."""


class Client:
    """The API server as a user sees it who may do everything. One connection a thread."""

    def __init__(self, api: ApiServer) -> None:
        self._port = api.port
        self._trust = ssl.create_default_context(cafile=str(api.ca_file))
        self._headers = {"Authorization": f"Bearer {api.admin_token}", "Content-Type": "application/json"}
        self._local = threading.local()
        self._made: list[http.client.HTTPSConnection] = []

    def call(
        self, method: str, path: str, body: Json | None = None, accept: str = "application/json"
    ) -> Json:
        """Make one request. Raises RuntimeError when it is refused."""
        try:
            status, said = self._ask(method, path, body, accept)
        except http.client.RemoteDisconnected:
            if method != "GET":
                raise
            status, said = self._ask(method, path, body, accept)  # the server ends what was idle for long
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {said[:300]!r}")
        return json.loads(said)

    def _ask(self, method: str, path: str, body: Json | None, accept: str) -> tuple[int, bytes]:
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
        connection: http.client.HTTPSConnection = self._local.connection
        text = json.dumps(body) if body is not None else None
        connection.request(method, path, text, {**self._headers, "Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def watch(self, path: str, version: str) -> Iterator[Json]:
        """Yield a watch's events."""
        connection = self._connect()
        query = f"watch=1&resourceVersion={version}&timeoutSeconds={int(TIMEOUT_S)}"
        connection.request("GET", f"{path}?{query}", headers=self._headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"watch of {path}: {answer.status}")
        try:
            while line := answer.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def count(self, resource: str, namespace: str) -> int:
        """Return how many objects of a kind belong to HiveAgents."""
        path = f"{PATHS[resource]}/namespaces/{namespace}/{resource}?labelSelector={OF_AN_AGENT}"
        return len(self.call("GET", path, accept=METADATA_ONLY)["items"] or [])

    def _connect(self) -> http.client.HTTPSConnection:
        made = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._trust, timeout=TIMEOUT_S)
        self._made.append(made)
        return made

    def close(self) -> None:
        """Close every connection, whichever thread made it."""
        for connection in self._made:
            connection.close()


def run_load(client: Client, namespace: str, manifests: list[Json], a_hive_agent: Mapping[str, int]) -> Load:
    """Make the HiveAgents and wait for what they become; `a_hive_agent` says how many objects of which kind each."""
    path = HIVE_AGENTS.format(namespace)
    before = {resource: client.count(resource, namespace) for resource in a_hive_agent}
    version = str(client.call("GET", path)["metadata"]["resourceVersion"])
    names = {str(m["metadata"]["name"]) for m in manifests}
    seen: dict[str, float] = {}
    watcher = threading.Thread(target=_follow, args=(client, path, version, names, seen), daemon=True)
    watcher.start()
    started = time.monotonic()
    sent = _create(client, path, manifests)
    load = Load(created_s=time.monotonic() - started)
    watcher.join(TIMEOUT_S)
    load.latencies_s = sorted(seen[name] - sent[name] for name in seen)
    if len(seen) < len(names):
        load.missing = f"{len(names) - len(seen)} of {len(names)} HiveAgents without a status"
        return load
    last = max(seen.values())
    while short := _short(client, namespace, before, a_hive_agent, len(names)):
        if last - started > TIMEOUT_S:
            load.missing = short
            return load
        time.sleep(0.05)
        last = time.monotonic()
    load.all_s = last - started
    return load


def _create(client: Client, path: str, manifests: list[Json]) -> dict[str, float]:
    """Make the HiveAgents, some at a time; return when each was sent, by name."""
    sent: dict[str, float] = {}
    todo = iter(manifests)
    lock = threading.Lock()

    def create() -> None:
        while True:
            with lock:
                manifest = next(todo, None)
            if manifest is None:
                return
            sent[manifest["metadata"]["name"]] = time.monotonic()
            client.call("POST", path, manifest)

    creators = [threading.Thread(target=create, daemon=True) for _ in range(CREATORS)]
    for thread in creators:
        thread.start()
    for thread in creators:
        thread.join()
    return sent


def _follow(client: Client, path: str, version: str, names: set[str], seen: dict[str, float]) -> None:
    """Note when each HiveAgent's status first tells of its present generation, until all do."""
    for event in client.watch(path, version):
        name = event["object"]["metadata"]["name"]
        if name in names and name not in seen and is_observed(event["object"]):
            seen[name] = time.monotonic()
            if len(seen) == len(names):
                return


def is_observed(hive_agent: Json) -> bool:
    """Whether a HiveAgent's status tells of its present generation."""
    observed = hive_agent.get("status", {}).get("observedGeneration")
    return bool(observed == hive_agent["metadata"]["generation"])


def _short(
    client: Client, namespace: str, before: Mapping[str, int], a_hive_agent: Mapping[str, int], count: int
) -> str:
    there = {resource: client.count(resource, namespace) - before[resource] for resource in a_hive_agent}
    wanted = {resource: each * count for resource, each in a_hive_agent.items()}
    return ", ".join(f"{r} {n} of {wanted[r]}" for r, n in there.items() if n != wanted[r])
