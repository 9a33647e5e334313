"""The scribe's HTTP side: state, live events, transcripts and bundles. All of it reads, but for verdicts that the
hive key signed: they are relayed as they are.

Every answer says that nothing may be loaded from elsewhere and that no address is handed on: a transcript's address
is the only secret that opens it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import structlog
import trio
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from bzzz_scribe.bundles import BundleMaker, SignedStatement, statement_of
from bzzz_scribe.errors import ArchiveRefusedError, NotAskedError, NotReadyError, StoreError
from bzzz_scribe.keeper import Keeper
from bzzz_scribe.logbook import Seal
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.offered import OfferedVerdicts
from bzzz_scribe.pages import STYLE, message_page, transcript_document, transcript_page
from bzzz_scribe.readiness import Readiness
from bzzz_scribe.store import Document
from hmmm.discussion import Discussion
from hmmm.errors import RemoteProtocolError, SignatureError
from hmmm.observer import Entry
from hmmm.verdict import MAX_VERDICT_BYTES

TOKEN: Final = re.compile(r"[0-9a-f]{32,64}")
LOG_KEY: Final = re.compile(r"[0-9a-f]{64}")
PING_S: Final = 15
PAGE_S: Final = 20.0
"""A page that takes longer is given up."""
BUNDLE_WAIT_S: Final = 5.0
"""A pull request may be looked at a moment before its statement has come by way of the archive."""
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "no-store",
}

log = structlog.get_logger("bzzz.scribe.api")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Api:
    """The routes and what they answer from."""

    keeper: Keeper
    bundles: BundleMaker
    metrics: ScribeMetrics
    readiness: Readiness
    offered: OfferedVerdicts | None = None
    """Where verdicts are brought, for a scribe without a cluster, whose operator would bring them otherwise."""

    def application(self) -> Starlette:
        """Return the ASGI application."""
        transcript = "/logs/{log_key}/{token}"
        routes = [
            self._route("/healthz", "healthz", self._healthz),
            self._route("/readyz", "readyz", self._readyz),
            self._route("/metrics", "metrics", self._metrics),
            self._route("/api/state", "state", self._state),
            self._route("/api/export", "export", self._export),
            self._route("/api/events", "events", self._events),
            self._route("/static/scribe.css", "style", self._style),
            self._route(transcript, "transcript", self._page),
            self._route(f"{transcript}/transcript.json", "transcript_json", self._document),
            self._route(f"{transcript}/bundle.json", "bundle", self._bundle),
        ]
        if self.offered is not None:
            routes.append(self._route("/api/verdicts", "verdicts", self._verdict, "POST"))
        return Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _fail})

    def _route(self, path: str, name: str, handle: Handler, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                response = await handle(request)
            except HTTPException as refused:
                response = _problem(request, refused.status_code, refused.detail, refused.headers)
            response.headers.update({k: v for k, v in HEADERS.items() if k not in response.headers})
            self.metrics.requests.labels(name, str(response.status_code)).inc()
            return response

        return Route(path, endpoint, methods=[method], name=name)

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"ok": True})

    async def _readyz(self, _: Request) -> Response:
        report = self.readiness.report()
        return JSONResponse(report, status_code=200 if report["ready"] else 503)

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def _style(self, _: Request) -> Response:
        return Response(STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"})

    async def _state(self, _: Request) -> Response:
        return JSONResponse(self.keeper.state())

    async def _export(self, _: Request) -> Response:
        return Response(self.keeper.export_state(), media_type="application/json")

    async def _verdict(self, request: Request) -> Response:
        """Take in a human's verdict; its signature by the hive key says who may bring one."""
        assert self.offered is not None
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_VERDICT_BYTES:
                raise HTTPException(413, f"expected at most {MAX_VERDICT_BYTES} bytes")
        try:
            verdict = self.offered.offer(bytes(body))
        except SignatureError as error:
            log.warning("a verdict that the hive key did not sign", error=str(error))
            raise HTTPException(401, str(error)) from error
        except RemoteProtocolError as error:
            raise HTTPException(400, str(error)) from error
        except NotAskedError as error:
            raise HTTPException(409, str(error)) from error
        return JSONResponse({"verdictId": verdict.verdict_id}, 202)

    async def _events(self, _: Request) -> Response:
        if self.keeper.changes.full:
            raise HTTPException(503, "too many viewers; try again later", {"retry-after": "10"})
        return EventSourceResponse(self._changes(), ping=PING_S, headers=HEADERS)

    async def _changes(self) -> AsyncGenerator[ServerSentEvent]:
        """Give the whole state first, then every change to it; a viewer who is too slow is let go."""
        async with self.keeper.changes.watch() as changes:
            yield ServerSentEvent(json.dumps(self.keeper.state()), event="state")
            async for change in changes:
                yield ServerSentEvent(json.dumps(change.document), event=change.kind)

    async def _page(self, request: Request) -> Response:
        seal, entries, discussion, signed = await self._read(request)
        title = str(self.keeper.view_of(seal)["title"])
        return HTMLResponse(transcript_page(seal, title, entries, discussion, signed))

    async def _document(self, request: Request) -> Response:
        seal, entries, discussion, signed = await self._read(request)
        title = str(self.keeper.view_of(seal)["title"])
        return JSONResponse(transcript_document(title, entries, discussion, seal, signed))

    async def _bundle(self, request: Request) -> Response:
        return JSONResponse(await _within(self._make_bundle(self._seal(request))))

    async def _make_bundle(self, seal: Seal) -> Document:
        deadline = trio.current_time() + BUNDLE_WAIT_S
        while True:
            try:
                return await self.bundles.make(seal)
            except NotReadyError:
                if trio.current_time() >= deadline:
                    raise
            await trio.sleep(0.2)

    async def _read(
        self, request: Request
    ) -> tuple[Seal, tuple[Entry, ...], Discussion, SignedStatement | None]:
        seal = self._seal(request)
        entries, discussion = await _within(self.keeper.entries(seal))
        return seal, entries, discussion, statement_of(entries, seal)

    def _seal(self, request: Request) -> Seal:
        """Return the seal that the address names. A wrong token, an unsealed issue and an unknown log look alike."""
        log_key, token = request.path_params["log_key"], request.path_params["token"]
        seal = None
        if LOG_KEY.fullmatch(log_key) and TOKEN.fullmatch(token):
            seal = self.keeper.seal(log_key, token)
        if seal is None:
            raise HTTPException(404, "There is no transcript at this address.")
        return seal


T = TypeVar("T")


async def _within(work: Awaitable[T]) -> T:
    """Wait for an answer's content; what keeps it from being made becomes the HTTP status that says so."""
    try:
        with trio.fail_after(PAGE_S):
            return await work
    except NotReadyError as error:
        raise HTTPException(503, str(error), {"retry-after": str(error.retry_after_s)}) from error
    except (StoreError, trio.TooSlowError) as error:
        log.warning("page cannot be made now", error=str(error))
        raise HTTPException(
            503, "This cannot be shown right now; try again.", {"retry-after": "5"}
        ) from error
    except (ArchiveRefusedError, RemoteProtocolError) as error:
        log.warning("page cannot be made", error=str(error))
        raise HTTPException(502, f"The claimant's log does not give what is needed: {error}") from error


def _problem(request: Request, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Say what is wrong: as a page where people look, as JSON where programs do."""
    path = request.url.path
    if path.startswith("/logs/") and not path.endswith(".json"):
        heading = "Not found" if status == 404 else "Not available"
        return HTMLResponse(message_page(heading, text), status, dict(headers or {}) | HEADERS)
    code = HTTPStatus(status).name
    return JSONResponse({"error": {"code": code, "message": text}}, status, dict(headers or {}) | HEADERS)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer what no route takes: unknown paths, other methods than GET."""
    if not isinstance(error, HTTPException):
        return await _fail(request, error)
    return _problem(request, error.status_code, error.detail, error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    log.error("request failed", path_kind=request.url.path.split("/")[1][:20], exc_info=error)
    return _problem(request, 500, "An error of this program; its log says more.")
