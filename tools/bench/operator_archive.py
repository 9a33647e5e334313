"""An archive that only takes its list of logs: there are no logs to follow where there are no pods.

The real one dials every log of the list again each second, and hundreds of names that resolve to nothing take it a
good part of a core, which is not the operator's doing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def list_taker(port: int) -> Generator[None]:
    """Answer `PUT` and `GET /v1/logs` on a port of 127.0.0.1."""
    kept: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            kept[:] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer({"count": len(kept)})

        def do_GET(self) -> None:
            self._answer({"logs": kept})

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it is called by
            """Say nothing."""

        def _answer(self, body: object) -> None:
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of an operator that was ended."""

    server = Server(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
