"""A thin client of the API server: JSON in, JSON out, every call bounded in time.

Why not a client library's typed objects: the operator compares and applies plain manifests, and the official clients'
models cost 1.5 to 2 times the CPU time (facts: kopf). kopf logs in the same way but on a session of its own, which it
closes as it likes: when the server answers 401, and at its end. A ServiceAccount's token is read from its file again
every minute: the kubelet renews it long before it expires.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

import aiohttp
import orjson
import yarl
from kopf import ConnectionInfo

from bzzz_operator.errors import ApiError, api_error
from bzzz_operator.kinds import Kind
from bzzz_operator.wire import lines_of, next_line, refusal, transport_errors

Json = dict[str, Any]

MANAGER: Final = "bzzz-operator"
"""The field manager of everything that this operator writes."""

REQUEST_TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0
WATCH_SILENCE_S: Final = 90.0
"""A watch that brings nothing for so long may be dead: the API server sends a bookmark every minute, but none for a
kind of which it has seen no event since it started."""
WATCH_LIFE_S: Final = 600
TOKEN_REREAD_S: Final = 60.0

JSON_TYPE: Final = "application/json"
APPLY_TYPE: Final = "application/apply-patch+yaml"
MERGE_TYPE: Final = "application/merge-patch+json"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA_ONE: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class Api:
    """The API server, as one namespace's operator sees it. Close it with `close`.

    Every method raises ApiError: status 0 when no answer came, else the server's.
    """

    def __init__(
        self,
        connection: ConnectionInfo,
        namespace: str,
        *,
        token_file: Path | None = None,
        connections: int = 32,
    ) -> None:
        self.server = connection.server.rstrip("/")
        self.namespace = namespace
        self.on_write: Callable[[Kind, str], None] = _nobody
        """Told of each write that the server took: its kind and verb (create, replace, apply, patch, delete)."""
        self._connection = connection
        self._connections = connections
        self._token_file = token_file
        self._token: tuple[str, float] | None = None
        self._ssl = connection.as_ssl_context()
        self._session: aiohttp.ClientSession | None = None

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = self.new_session()
        return self._session

    def new_session(self) -> aiohttp.ClientSession:
        """Return a further session that logs in the same way; whoever asks closes it."""
        connector = aiohttp.TCPConnector(limit=self._connections, ssl=self._ssl)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=2**20,
            headers={"User-Agent": MANAGER},
            middlewares=(self._authorize,),
        )

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        for name, value in self._credentials().items():
            request.headers[name] = value
        return await handler(request)

    def _credentials(self) -> dict[str, str]:
        if self._token_file is None:
            return self._connection.as_http_headers()
        now = time.monotonic()
        if self._token is None or now - self._token[1] > TOKEN_REREAD_S:
            self._token = (self._token_file.read_text().strip(), now)
        return {"Authorization": f"Bearer {self._token[0]}"}

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, name: str) -> Json:
        """Return an object."""
        return await self._call("GET", kind.path(self.namespace, name))

    async def find(self, kind: Kind, name: str) -> Json | None:
        """Return an object, or None if there is none."""
        try:
            return await self.get(kind, name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self, kind: Kind, *, labels: str = "", fields: str = "", metadata_only: bool = False
    ) -> Json:
        """Return the list object: `items` and `metadata.resourceVersion`.

        `metadata_only` keeps contents (a Secret's data) from travelling.
        """
        query = _selectors(labels, fields)
        accept = METADATA_LIST if metadata_only else JSON_TYPE
        return await self._call("GET", kind.path(self.namespace), query=query, accept=accept)

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncGenerator[tuple[EventType, Json], None]:
        """Yield what happens after a resource version, bookmarks included; ends with the server or in long silence.

        Raises ApiError with `gone` when the version is too old. Close it by `contextlib.aclosing`.
        """
        query = {
            **_selectors(labels, fields),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_LIFE_S),
            "resourceVersion": resource_version,
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=WATCH_SILENCE_S)
        headers = {"Accept": METADATA_ONE if metadata_only else JSON_TYPE}
        with transport_errors():
            url = self._url(kind.path(self.namespace), query)
            async with self._open.get(url, headers=headers, timeout=timeout) as answer:
                if answer.status != 200:
                    raise await refusal(answer)
                lines = lines_of(answer.content)
                while (line := await next_line(lines)) is not None:
                    event = cast("Json", orjson.loads(line))
                    if event["type"] == "ERROR":
                        raise api_error(int(event["object"].get("code") or 500), event["object"])
                    yield event["type"], event["object"]

    # -- writing ------------------------------------------------------------------------------------------------------

    async def create(self, kind: Kind, body: Json) -> Json:
        """Create an object and return it as stored."""
        path = kind.path(self.namespace)
        return await self._write(kind, "create", "POST", path, body, {"fieldManager": MANAGER})

    async def replace(self, kind: Kind, body: Json, *, subresource: str | None = None) -> Json:
        """Replace an object; with `metadata.resourceVersion` a compare-and-set (conflict when it has changed)."""
        path = kind.path(self.namespace, body["metadata"]["name"], subresource)
        return await self._write(kind, "replace", "PUT", path, body, {"fieldManager": MANAGER})

    async def apply(
        self,
        kind: Kind,
        body: Json,
        *,
        subresource: str | None = None,
        force: bool = False,
        manager: str = MANAGER,
    ) -> Json:
        """Apply on the server's side; without `force` a field that another manager owns is a conflict."""
        path = kind.path(self.namespace, body["metadata"]["name"], subresource)
        query = {"fieldManager": manager, **({"force": "true"} if force else {})}
        # JSON is YAML
        return await self._write(kind, "apply", "PATCH", path, body, query, APPLY_TYPE)

    async def patch(self, kind: Kind, name: str, body: Json, *, subresource: str | None = None) -> Json:
        """Merge a patch into an object."""
        path = kind.path(self.namespace, name, subresource)
        return await self._write(kind, "patch", "PATCH", path, body, {"fieldManager": MANAGER}, MERGE_TYPE)

    async def delete(self, kind: Kind, name: str, *, uid: str | None = None) -> None:
        """Delete an object if it is there (and, with `uid`, if it is still that one)."""
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._write(kind, "delete", "DELETE", kind.path(self.namespace, name), body, {})
        except ApiError as error:
            if not error.not_found:
                raise

    async def _write(
        self,
        kind: Kind,
        verb: str,
        method: str,
        path: str,
        body: Json,
        query: Mapping[str, str],
        content: str = JSON_TYPE,
    ) -> Json:
        answer = await self._call(method, path, query=query, body=body, content=content)
        self.on_write(kind, verb)
        return answer

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _url(self, path: str, query: Mapping[str, str]) -> yarl.URL:
        return yarl.URL(self.server + path, encoded=True).with_query(query)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = JSON_TYPE,
        accept: str = JSON_TYPE,
    ) -> Json:
        headers = {"Accept": accept, "Content-Type": content}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        data = None if body is None else orjson.dumps(body)
        with transport_errors():
            async with self._open.request(
                method, self._url(path, query or {}), data=data, headers=headers, timeout=timeout
            ) as answer:
                if answer.status >= 300:
                    raise await refusal(answer)
                return cast("Json", orjson.loads(await answer.read()))


def _nobody(_kind: Kind, _verb: str) -> None:
    """Listens to writes when nobody else does."""


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {
        **({"labelSelector": labels} if labels else {}),
        **({"fieldSelector": fields} if fields else {}),
    }
