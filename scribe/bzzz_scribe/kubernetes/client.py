"""The API server by plain HTTP under trio: every request bounded in size and time, the token read anew when it changes.

The official client is blocking or asyncio; a scribe is a trio program and needs six requests.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import httpx

from bzzz_scribe.kubernetes.errors import ApiAwayError, ApiRefusedError, ClusterSettingsError
from hmmm.errors import excerpt

FIELD_MANAGER: Final = "bzzz-scribe"
USER_AGENT: Final = "bzzz-scribe"
TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""A page of 500 objects of at most 1.5 MiB is far above that only if somebody means harm."""
MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
APPLY: Final = "application/apply-patch+yaml"
RETRY_STATUS: Final = frozenset({401, 408, 425, 429})
"""Besides 5xx: 401 because a token that has just been replaced is read again with the next request."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """Where the API server is and how it is spoken to."""

    url: str
    token_file: Path
    ca_file: Path
    namespace: str

    @classmethod
    def find(
        cls, url: str | None, token_file: Path | None, ca_file: Path | None, namespace: str | None
    ) -> Cluster:
        """Fill in from the pod's own service account what is not said. Raises ClusterSettingsError."""
        return cls(
            url=(url or _url_of_the_pod()).rstrip("/"),
            token_file=token_file or ACCOUNT / "token",
            ca_file=ca_file or ACCOUNT / "ca.crt",
            namespace=namespace or _read(ACCOUNT / "namespace", "store.namespace"),
        )


class ApiClient:
    """The API server. Every call raises ApiAwayError or ApiRefusedError."""

    def __init__(self, cluster: Cluster) -> None:
        """Raises ClusterSettingsError when the CA cannot be read."""
        try:
            trust = ssl.create_default_context(cafile=str(cluster.ca_file))
        except OSError as error:
            raise ClusterSettingsError(
                f"{cluster.ca_file}: expected the API server's CA in PEM, came {error}; set store.caFile"
            ) from error
        self.cluster = cluster
        self._token = ""
        self._token_mark: tuple[int, int] | None = None
        self._http = httpx.AsyncClient(
            base_url=cluster.url,
            headers={"user-agent": USER_AGENT, "accept": "application/json"},
            timeout=TIMEOUT_S,
            verify=trust,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Json:
        """Return an object or a list."""
        return await self._ask("GET", path, parameters)

    async def create(self, path: str, body: Json) -> Json:
        """Make an object; return it as the server has it."""
        return await self._ask("POST", path, {"fieldManager": FIELD_MANAGER}, body, "application/json")

    async def apply(self, path: str, body: Json) -> Json:
        """Apply what this manager owns (server-side, without force); return the object as the server has it."""
        return await self._ask("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, APPLY)

    async def delete(self, path: str, *, uid: str, resource_version: str) -> None:
        """Delete an object if it is still this very one, unchanged."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        await self._ask("DELETE", path, None, body, "application/json")

    @asynccontextmanager
    async def watch(
        self, path: str, parameters: Mapping[str, str], silence_s: float
    ) -> AsyncGenerator[AsyncGenerator[Json]]:
        """Give the events of a watch until the server ends it; `silence_s` without a byte count as its death."""
        timeout = httpx.Timeout(TIMEOUT_S, read=silence_s)
        try:
            async with self._http.stream(
                "GET", path, params=dict(parameters), headers=self._authorization(), timeout=timeout
            ) as response:
                if response.status_code != 200:
                    _check(path, response.status_code, await _body(path, response))
                async with aclosing(_events(path, response)) as events:
                    yield events
        except (httpx.HTTPError, OSError) as error:
            raise ApiAwayError(f"API server, watch {path}: {excerpt(repr(error))}") from error

    async def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "",
    ) -> Json:
        headers = self._authorization()
        content = None
        if body is not None:
            headers["content-type"] = content_type
            content = json.dumps(body).encode()
        try:
            async with self._http.stream(
                method, path, params=parameters, headers=headers, content=content
            ) as response:
                answer = await _body(path, response)
                status = response.status_code
        except (httpx.HTTPError, OSError) as error:
            raise ApiAwayError(f"API server, {method} {path}: {excerpt(repr(error))}") from error
        _check(f"{method} {path}", status, answer)
        return _json(path, answer)

    def _authorization(self) -> dict[str, str]:
        """Return the header with the token; kubelet replaces its file some minutes before it expires."""
        path = self.cluster.token_file
        try:
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_ino)
            if mark != self._token_mark:
                self._token, self._token_mark = path.read_text().strip(), mark
        except OSError as error:
            if not self._token:
                raise ApiAwayError(f"{path}: the token cannot be read: {error.strerror}") from error
        return {"authorization": f"Bearer {self._token}"}


async def _body(path: str, response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ApiAwayError(f"API server, {path}: expected at most {MAX_ANSWER_BYTES} bytes; left")
    return bytes(body)


async def _events(path: str, response: httpx.Response) -> AsyncGenerator[Json]:
    rest = b""
    async for chunk in response.aiter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield _json(path, line)
        if len(rest) > MAX_EVENT_BYTES:
            raise ApiAwayError(
                f"API server, watch {path}: expected events of at most {MAX_EVENT_BYTES} bytes"
            )


def _check(what: str, status: int, body: bytes) -> None:
    """Raise ApiAwayError for what passes by itself, ApiRefusedError for what does not."""
    if 200 <= status < 300:
        return
    try:
        said = _json(what, body)
    except ApiAwayError:
        said = Json()
    message = f"API server, {what}: {status} {excerpt(said.get('message', body.decode('utf-8', 'replace')))}"
    if status >= 500 or status in RETRY_STATUS:
        raise ApiAwayError(message)
    raise refusal(status, said, message)


def refusal(status: int, said: Json, message: str) -> ApiRefusedError:
    """Return the error for a `Status` object by which the server says no."""
    details = said.get("details")
    causes = cast("Json", details).get("causes") if isinstance(details, dict) else None
    fields: list[str] = []
    for cause in cast("list[object]", causes) if isinstance(causes, list) else []:
        one = cast("Json", cause) if isinstance(cause, dict) else Json()
        if one.get("reason") == "FieldManagerConflict" and isinstance(one.get("field"), str):
            fields.append(str(one["field"]))
    return ApiRefusedError(status, str(said.get("reason", "")), message, tuple(fields))


def _json(path: str, body: bytes) -> Json:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiAwayError(f"API server, {path}: expected JSON: {excerpt(str(error))}") from error
    if not isinstance(value, dict):
        raise ApiAwayError(f"API server, {path}: expected a JSON object, got {excerpt(value)}")
    return cast("Json", value)


def _url_of_the_pod() -> str:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ClusterSettingsError(
            "store.apiUrl: expected the API server's address, came nothing, and KUBERNETES_SERVICE_HOST is not set; "
            "run in a pod or set it"
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _read(path: Path, field: str) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ClusterSettingsError(f"{path}: cannot be read: {error.strerror}; set {field}") from error
