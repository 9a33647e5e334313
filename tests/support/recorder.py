"""A local server that writes down what it is sent and answers as it is told: Slack, a tracker, a webhook."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


@dataclass
class Request:
    """What came in."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Recorder:
    """A server that writes down what it is sent, and answers as it is told, by path."""

    requests: list[Request] = field(default_factory=list[Request])
    status: dict[str, int] = field(default_factory=dict[str, int])
    forward: dict[str, str] = field(default_factory=dict[str, str])
    """Where a path's requests go on to, as they came: for a server that starts after the workflow was made."""
    port: int = 0

    def to(self, path: str) -> list[Request]:
        """Return what came to a path."""
        return [one for one in self.requests if one.path == path]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def recording() -> Iterator[Recorder]:
    """Serve until the block is left."""
    made = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k.lower(): v for k, v in self.headers.items()}
            made.requests.append(Request(self.path, headers, raw))
            status, body = made.status.get(self.path, 200), b'{"message": "recorded"}'
            to = made.forward.get(self.path)
            if to is not None:
                kept = {k: v for k, v in headers.items() if k.startswith("x-bzzz") or k == "content-type"}
                try:
                    answer = httpx.post(to, content=raw, headers=kept, timeout=20)
                    status, body = answer.status_code, answer.content
                except httpx.HTTPError:  # as a proxy answers when what is behind it is away
                    status, body = 502, b'{"message": "away"}'
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
