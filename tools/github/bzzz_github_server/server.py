"""Sockets: a thread a connection, every size and wait bounded.

Threads and the standard library's http server are enough for tens of requests a second on loopback, and a
handler may simply wait: for git, for the emulator, for a fault's latency.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit

import structlog

from bzzz_github_server.errors import Refusal
from bzzz_github_server.gateway import Dropped, Gateway
from bzzz_github_server.githttp import PATH as GIT_PATH
from bzzz_github_server.githttp import Stream
from bzzz_github_server.wire import Request, Response, refuse

REST_LIMIT = 64 * 1024 * 1024
"""Bytes of a REST request's body; a blob of 40 MB in base64 fits, as on GitHub."""
GIT_LIMIT = 2 * 1024 * 1024 * 1024
"""Bytes of a push."""
IDLE_S = 75.0
CONNECTIONS = 256
CHUNK = 65_536

_log = structlog.get_logger(__name__)


class _TooLargeError(Exception):
    """The body is larger than is taken."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True
    """Head and body are two writes; with Nagle's algorithm the second waits 40 ms for the first's ACK."""
    server: Server

    def version_string(self) -> str:
        """The Server header."""
        return "bzzz-github"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: requests are recorded where the configuration wants it."""

    def do_GET(self) -> None:
        """Any method: read the request, have it answered, write the answer."""
        try:
            self._exchange()
        except (Dropped, ConnectionError, TimeoutError):
            self.close_connection = True

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _exchange(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        is_git = GIT_PATH.match(url.path) is not None
        with TemporaryFile() as body:
            try:
                size = self._read(body, headers, GIT_LIMIT if is_git else REST_LIMIT)
            except (_TooLargeError, ValueError) as problem:
                self.close_connection = True
                status = 413 if isinstance(problem, _TooLargeError) else 400
                self._write(refuse(Refusal(status, str(problem))))
                return
            body.seek(0)
            content = b"" if is_git else body.read()
            request = Request(self.command, url.path, url.query, headers, content)
            answer = (
                self.server.gateway.git(request, body, size)
                if is_git
                else self.server.gateway.answer(request)
            )
            if isinstance(answer, Response):
                self._write(answer)
                return
            try:
                self._stream(answer)
            finally:
                answer.close()

    # ---- reading ------------------------------------------------------------------------------------------

    def _read(self, body: IO[bytes], headers: dict[str, str], limit: int) -> int:
        """Copy the request's body to a file and return its size."""
        total = 0
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = 0 if chunked else _length(headers)
        if length > limit:
            raise _TooLargeError(f"expected a body of at most {limit} bytes, got {length}")
        pieces = self._chunks() if chunked else self._sized(length)
        for piece in pieces:
            total += len(piece)
            if total > limit:
                raise _TooLargeError(f"expected a body of at most {limit} bytes")
            body.write(piece)
        return total

    def _sized(self, length: int) -> Iterator[bytes]:
        while length > 0:
            piece = self.rfile.read(min(CHUNK, length))
            if not piece:
                raise ConnectionError("the body ended early")
            length -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = int(self.rfile.readline(1024).partition(b";")[0].strip(), 16)
            if size < 0:
                raise ValueError("expected a chunk's size, got a negative number")
            yield from self._sized(size)
            if self.rfile.readline(1024).strip() or size == 0:
                return

    # ---- writing ------------------------------------------------------------------------------------------

    def _write(self, answer: Response) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(answer.body)

    def _stream(self, answer: Stream) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in answer.chunks():
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError(f"expected a Content-Length in digits, got {text[:32]!r}")
    return int(text)


class Server(ThreadingHTTPServer):
    """The listening socket. It is bound at once, so that its port is known, and answers after `serve`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    gateway: Gateway

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.slots = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((host, port), Handler)

    @property
    def authority(self) -> str:
        """host:port as in a URL."""
        host = str(self.server_address[0])
        return f"[{host}]:{self.server_port}" if ":" in host else f"{host}:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """A new connection: a thread of its own, unless there are too many."""
        if self.slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In that thread: its requests, one after the other."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection failed outside of the gateway: log it in our form."""
        _log.exception("connection_failed", client=str(client_address), socket=type(request).__name__)

    def serve(self, gateway: Gateway) -> None:
        """Answer until `shutdown`."""
        self.gateway = gateway
        self.serve_forever(poll_interval=0.1)
