"""A record of every REST request and answer, one JSON object a line, for the contract check and for people."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import TracebackType

from bzzz_github_server.wire import Request, Response

# Authorization is not among them: a record may be kept and shown.
_REQUEST_HEADERS = ("accept", "content-type", "if-none-match", "user-agent", "x-github-api-version")
_RESPONSE_HEADERS = ("Content-Type", "ETag", "Link", "Location", "Retry-After", "X-RateLimit-Remaining")


class Recorder:
    """Appends records to a file; does nothing without one."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None

    def write(self, request: Request, response: Response, *, login: str | None, faults: list[str]) -> None:
        """Record one exchange."""
        if self._file is None:
            return
        secret = "/access_tokens" in request.path
        record = {
            "at": time.time(),
            "login": login,
            "method": request.method,
            "path": request.target,
            "request": request.body.decode("utf-8", "replace"),
            "requestHeaders": {
                name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers
            },
            "status": response.status,
            "response": "" if secret else response.body.decode("utf-8", "replace"),
            "headers": {
                name: response.headers[name] for name in _RESPONSE_HEADERS if name in response.headers
            },
            "faults": faults,
        }
        line = json.dumps(record, ensure_ascii=False) + "\n"
        with self._lock:
            # A thread may come late, after the server's end has closed the file.
            if not self._file.closed:
                self._file.write(line)
                self._file.flush()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with self._lock:
                self._file.close()
