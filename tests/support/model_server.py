"""A model's server for the proxy's tests: answers, whole or as event streams, in OpenAI's and Anthropic's wire formats.

A stream goes on until its script ends or its reader is gone, which the server then knows.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

WORD = "word "


@dataclass
class ModelServer:
    """What is answered, and what was asked."""

    words: int = 3
    """Length of an answer; a stream sends one event a word."""
    tokens: tuple[int, int] = (100, 20)
    status: int = 200
    error: str = "scripted"
    url: str = ""
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, str], dict[str, Any]]]
    )
    sent: int = 0
    """Events of streams that a reader took."""
    broken_off: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str) -> dict[str, Any]:
        """Return a whole answer."""
        text, (read, written) = WORD * self.words, self.tokens
        if "messages" in path:
            return {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": read, "output_tokens": written},
            }
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        }

    def events(self, path: str) -> Iterator[bytes]:
        """Yield a stream's events."""
        yield from self._anthropic() if "messages" in path else self._openai()

    def _openai(self) -> Iterator[bytes]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
        for _ in range(self.words):
            yield _data(
                {**head, "choices": [{"index": 0, "delta": {"content": WORD}, "finish_reason": None}]}
            )
        yield _data({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        read, written = self.tokens
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        yield _data({**head, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def _anthropic(self) -> Iterator[bytes]:
        read, written = self.tokens
        message = {**self.answer("messages"), "content": [], "stop_reason": None}
        message["usage"] = {"input_tokens": read, "output_tokens": 1}
        yield _event({"type": "message_start", "message": message})
        yield _event(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        )
        for _ in range(self.words):
            yield _event(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}}
            )
        yield _event({"type": "content_block_stop", "index": 0})
        yield _event(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": written},
            }
        )
        yield _event({"type": "message_stop"})


def _data(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _event(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\n".encode() + _data(value)


@contextmanager
def model_server(**script: Any) -> Iterator[ModelServer]:
    """Serve for a while."""
    server = ModelServer(**script)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

        def do_GET(self) -> None:
            self._take({})
            self._whole(200, {"object": "list", "data": []})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._take(body)
            if server.status != 200:
                self._whole(server.status, {"error": {"message": server.error, "type": "x"}})
            elif body.get("stream"):
                self._stream()
            else:
                self._whole(200, server.answer(self.path))

        def _take(self, body: dict[str, Any]) -> None:
            server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))

        def _whole(self, status: int, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for event in server.events(self.path):
                    self.wfile.write(event)
                    server.sent += 1
            except (BrokenPipeError, ConnectionResetError):
                server.broken_off.set()

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
