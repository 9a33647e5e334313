"""The two wire formats, as far as counting needs them. Pure.

Which requests are sent on, how long an answer may get, and what an answer used: from its `usage` where it came whole,
by its length where it was broken off. Sources: OpenAI's API reference (chat completions, responses), Anthropic's
(messages, streaming).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from bzzz_agent.model_proxy.errors import ProxyError

Format = Literal["openai", "anthropic"]
Json = dict[str, Any]

CHARACTERS_A_TOKEN: Final = 4
"""Rule of thumb of both providers for English text; only for answers whose own count never came."""
MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Longest line of an event stream that is looked into; a longer one is passed on and counted by its length."""


@dataclass(frozen=True)
class Endpoint:
    """A resource that may be asked."""

    method: Literal["GET", "POST"]
    path: str
    """Below the format's base; `/*` at the end takes one more segment."""
    answers: bool = False
    """Whether the model answers, which costs tokens."""
    limit_fields: tuple[str, ...] = ()
    """Fields of the request that bound the answer's tokens, the one to add first."""

    def takes(self, method: str, path: str) -> bool:
        """Whether a request is for this resource."""
        if method != self.method:
            return False
        stem, star, _ = self.path.partition("/*")
        return (
            path == self.path
            if not star
            else path.startswith(f"{stem}/") and path.count("/") == stem.count("/") + 1
        )


ENDPOINTS: Final[dict[Format, tuple[Endpoint, ...]]] = {
    "openai": (
        Endpoint("POST", "/chat/completions", True, ("max_tokens", "max_completion_tokens")),
        Endpoint("POST", "/responses", True, ("max_output_tokens",)),
        Endpoint("GET", "/models"),
        Endpoint("GET", "/models/*"),
    ),
    "anthropic": (
        Endpoint("POST", "/v1/messages", True, ("max_tokens",)),
        Endpoint("POST", "/v1/messages/count_tokens"),
        Endpoint("GET", "/v1/models"),
        Endpoint("GET", "/v1/models/*"),
    ),
}


def endpoint_of(wire: Format, method: str, path: str) -> Endpoint:
    """Return the resource that a request is for. Raises ProxyError (404) for any other than those listed."""
    for endpoint in ENDPOINTS[wire]:
        if endpoint.takes(method, path):
            return endpoint
    known = ", ".join(f"{e.method} {e.path}" for e in ENDPOINTS[wire])
    raise ProxyError(
        404, "not_found_error", f"{method} {path[:100]}: the model proxy serves {known} and nothing else"
    )


@dataclass(frozen=True)
class Question:
    """A request whose answer costs tokens."""

    body: Json
    model: str
    stream: bool
    size: int
    """Bytes of the request as it came."""

    @property
    def estimated_input(self) -> int:
        """Tokens of the request by its length, for an answer that never says."""
        return math.ceil(self.size / CHARACTERS_A_TOKEN)


def read_question(raw: bytes) -> Question:
    """Read a request's body. Raises ProxyError (400)."""
    try:
        body: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProxyError(400, "invalid_request_error", "expected JSON, came something else") from error
    if not isinstance(body, dict):
        raise ProxyError(400, "invalid_request_error", "expected a JSON object, came something else")
    fields = cast("Json", body)
    model = fields.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= 200:
        raise ProxyError(400, "invalid_request_error", "model: expected a model's name, came none")
    return Question(fields, model, fields.get("stream") is True, len(raw))


def bounded(question: Question, endpoint: Endpoint, most: int | None, *, official: bool) -> bytes:
    """Return the body to send on: the answer's length bounded by `most` tokens, a stream's usage asked for.

    `official`: OpenAI itself, whose newer models refuse `max_tokens`.
    """
    body = dict(question.body)
    if most is not None:
        given = [f for f in endpoint.limit_fields if isinstance(body.get(f), int)]
        for name in given:
            body[name] = min(body[name], most)
        if not given:
            body[endpoint.limit_fields[-1 if official else 0]] = most
    if question.stream and endpoint.path == "/chat/completions":
        options = body.get("stream_options")
        body["stream_options"] = {
            **(cast("Json", options) if isinstance(options, dict) else {}),
            "include_usage": True,
        }
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")


@dataclass
class Count:
    """What an answer has used, as far as it is known; grows while a stream comes."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    characters: int = 0
    """Of text that came in a stream, for what its own count does not yet tell."""
    complete: bool = False
    """The answer came to its end, so that its own count is the last word."""
    _rest: bytes = field(default=b"", repr=False)

    @property
    def output_so_far(self) -> int:
        """Tokens of the answer: its own count, or more where the text that came is longer than that."""
        return max(self.output_tokens or 0, math.ceil(self.characters / CHARACTERS_A_TOKEN))

    def take_answer(self, answer: object) -> None:
        """Take in a whole answer, or one event of a stream."""
        if not isinstance(answer, dict):
            return
        fields = cast("Json", answer)
        for holder in (fields, fields.get("message"), fields.get("response")):
            if isinstance(holder, dict):
                self._take_usage(cast("Json", holder).get("usage"))
        self.characters += _text_length(fields)

    def take_stream(self, chunk: bytes) -> None:
        """Take in a piece of an event stream."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self.characters += len(self._rest)
            self._rest = b""
        for line in lines:
            if line.startswith(b"data:"):
                try:
                    self.take_answer(json.loads(line[5:]))
                except (ValueError, RecursionError):
                    continue  # `[DONE]`, or a comment of the server's

    def _take_usage(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        fields = cast("Json", usage)
        read = [_number(fields, n) for n in ("input_tokens", "prompt_tokens")]
        # Anthropic counts what its cache holds beside `input_tokens`; both are read by the model and paid for.
        cached = [_number(fields, n) for n in ("cache_creation_input_tokens", "cache_read_input_tokens")]
        written = [_number(fields, n) for n in ("output_tokens", "completion_tokens")]
        given = [n for n in read if n is not None]
        if given:
            self.input_tokens = max(self.input_tokens or 0, given[0] + sum(n or 0 for n in cached))
        for number in written:
            if number is not None:
                self.output_tokens = max(self.output_tokens or 0, number)


def _number(fields: Json, name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12 else None


def _text_length(event: Json) -> int:
    """Characters of a stream's event: OpenAI's `choices[].delta`, `delta` of responses, Anthropic's `delta`."""
    choices = event.get("choices")
    deltas: list[object] = [event.get("delta")]
    if isinstance(choices, list):
        deltas += [cast("Json", c).get("delta") for c in cast("list[object]", choices) if isinstance(c, dict)]
    return sum(_characters(delta) for delta in deltas)


def _characters(value: object, depth: int = 0) -> int:
    if isinstance(value, str):
        return len(value)
    if depth > 6:
        return 0
    if isinstance(value, dict):
        return sum(_characters(v, depth + 1) for v in cast("Json", value).values())
    if isinstance(value, list):
        return sum(_characters(v, depth + 1) for v in cast("list[object]", value))
    return 0


def error_body(wire: Format, kind: str, message: str) -> bytes:
    """Return an error as the format's clients understand it."""
    error = {"type": kind, "message": message}
    body: Json = (
        {"type": "error", "error": error} if wire == "anthropic" else {"error": {**error, "code": kind}}
    )
    return json.dumps(body).encode()
