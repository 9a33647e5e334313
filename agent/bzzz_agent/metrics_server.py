"""Metrics over HTTP: as prometheus-client serves them, behind a bearer token where one is configured."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app  # pyright: ignore[reportUnknownVariableType]
from prometheus_client.exposition import ThreadingWSGIServer

from bzzz_agent.settings import MetricsSettings, SettingsError, read_secret

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PATIENCE_S = 5


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


def serve_metrics(settings: MetricsSettings, registry: CollectorRegistry, stack: AsyncExitStack) -> int:
    """Serve a registry until the stack unwinds; return the port.

    Raises SettingsError when the token cannot be read or the port cannot be had.
    """
    token = None if settings.token_file is None else read_secret(settings.token_file)
    if token == "":
        raise SettingsError(f"{settings.token_file}: expected a token, the file is empty")
    metrics = cast("WSGIApplication", make_wsgi_app(registry))  # its own types are incomplete

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sent = str(environ.get("HTTP_AUTHORIZATION", ""))
        if token is not None and not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Length", "0")])
            return []
        return metrics(environ, start_response)

    server = _listen(settings, app)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    stack.callback(close)
    return server.server_port


def _listen(settings: MetricsSettings, app: WSGIApplication) -> WSGIServer:
    try:
        return make_server(settings.host, settings.port, app, ThreadingWSGIServer, _Handler)
    except OSError as error:
        raise SettingsError(
            f"metrics: {settings.host}:{settings.port} cannot be had: {error.strerror}; choose another port"
        ) from error
