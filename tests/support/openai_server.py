"""A model that says what a test wants: a real HTTP server in OpenAI's chat format, with scripted answers.

For everything about models but their judgement: shapes, retries, limits, slowness, nonsense. Judgement is tested with
the embedded model itself.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[dict[str, Any]], "Reply"]


@dataclass(frozen=True)
class Reply:
    """One answer: a text, or tool calls, or an HTTP error; after a delay."""

    text: str | None = None
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    status: int = 200
    delay_s: float = 0.0
    tokens: tuple[int, int] = (100, 20)

    def body(self, number: int) -> dict[str, Any]:
        """Return it as OpenAI's API does."""
        if self.status != 200:
            return {"error": {"message": "scripted", "type": "server_error", "code": None}}
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": f"call-{number}-{index}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)},
                }
                for index, (name, arguments) in enumerate(self.tool_calls)
            ]
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "scripted",
            "choices": [
                {"index": 0, "message": message, "finish_reason": "tool_calls" if self.tool_calls else "stop"}
            ],
            "usage": {
                "prompt_tokens": self.tokens[0],
                "completion_tokens": self.tokens[1],
                "total_tokens": sum(self.tokens),
            },
        }


def says(value: object, **more: Any) -> Reply:
    """Return a reply with a value as JSON, or with a text."""
    return Reply(value if isinstance(value, str) else json.dumps(value), **more)


def calls(name: str, **arguments: Any) -> Reply:
    """Return a reply that calls one tool."""
    return Reply(tool_calls=[(name, arguments)])


@dataclass
class ScriptedModel:
    """The server's script and what it was asked. The last reply is repeated for ever."""

    replies: list[Reply | Answer]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def next(self, request: dict[str, Any]) -> Reply:
        """Return the reply to a request."""
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        return reply if isinstance(reply, Reply) else reply(request)

    def prompt(self, index: int = -1) -> str:
        """Return everything that a request said, as one text."""
        return "\n".join(str(message.get("content")) for message in self.requests[index]["messages"])


@contextmanager
def scripted(*replies: Reply | Answer) -> Iterator[ScriptedModel]:
    """Serve a script for a while; `url` is a base URL as clients of OpenAI take it."""
    script = ScriptedModel(list(replies))
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                script.requests.append(request)
                script.headers.append({k.lower(): v for k, v in self.headers.items()})
                number, reply = len(script.requests), script.next(request)
            time.sleep(reply.delay_s)  # the model's slowness, not a wait for something
            data = json.dumps(reply.body(number)).encode()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was asked to be slow, and nobody waited

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
