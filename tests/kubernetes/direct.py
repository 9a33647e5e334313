"""Reading the cluster over one connection: a kubectl a look costs a third of a second of a core, which disturbs."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tools.up.kube import Kube, KubeError

Json = dict[str, Any]
PAUSE_S = 0.1
"""Between two looks: whoever waits for something looks again at once."""
_BZZZ = "/apis/bzzz.dev/v1alpha1"
RESOURCES = {
    "hiveagents": _BZZZ,
    "metadiscussions": _BZZZ,
    "pods": "/api/v1",
    "services": "/api/v1",
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "statefulsets": "/apis/apps/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}


AWAY_S = 10.0
"""An API server that does not answer is asked again for so long: tests kill it."""


class DirectKube(Kube):
    """A Kube that gets and lists what it knows by itself, and runs kubectl for the rest."""

    @cached_property
    def _http(self) -> httpx.Client:
        config: Json = json.loads(self.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile("w") as pair:
            for name in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[name]).decode())
            pair.flush()
            context.load_cert_chain(Path(pair.name))
        return httpx.Client(base_url=cluster["server"], verify=context, timeout=30)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, *arguments: str) -> Json:
        """Return an object (`kind, name`) or a list (`kinds[, "-l", selector]`). Raises KubeError."""
        kind, *rest = arguments
        plurals = [kind if kind.endswith("s") else f"{kind}s" for kind in kind.split(",")]
        if any(plural not in RESOURCES for plural in plurals):
            return super().get(*arguments)
        if len(rest) == 1:
            return self._read(plurals[0], f"/{rest[0]}", {})
        selector = {"labelSelector": rest[1]} if rest[:1] == ["-l"] else {}
        lists = [(plural, self._read(plural, "", selector)) for plural in plurals]
        return {"items": [{"kind": plural, **found} for plural, every in lists for found in every["items"]]}

    def find(self, kind: str, name: str) -> Json | None:
        """Return an object, None if there is none. Raises KubeError."""
        answer = self._look(f"{kind}s", f"/{name}", {})
        return None if answer.status_code == 404 else self._content(answer)

    def _read(self, plural: str, name: str, query: dict[str, str]) -> Json:
        return self._content(self._look(plural, name, query))

    @staticmethod
    def _content(answer: httpx.Response) -> Json:
        if answer.status_code != 200:
            raise KubeError(f"{answer.url.path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def _look(self, plural: str, name: str, query: dict[str, str]) -> httpx.Response:
        time.sleep(PAUSE_S)
        path = f"{RESOURCES[plural]}/namespaces/{self.namespace}/{plural}{name}"
        ends = time.monotonic() + AWAY_S
        while True:
            try:
                return self._http.get(path, params=query)
            except httpx.HTTPError as error:
                if time.monotonic() > ends:
                    raise KubeError(f"{plural}{name}: {error!r}") from error
            time.sleep(PAUSE_S)
