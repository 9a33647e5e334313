"""The API client's bytes: what a broken connection means, how a watch is cut into lines."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Final

import aiohttp
import orjson

from bzzz_operator.errors import ApiError, api_error

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024


@contextlib.contextmanager
def transport_errors() -> Generator[None]:
    """Turn what a broken connection or nonsense raises into an ApiError of status 0."""
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, OSError, orjson.JSONDecodeError) as error:
        text = str(error) or type(error).__name__
        raise ApiError(0, "Unreachable", f"expected an answer of the API server, came {text}") from error


async def refusal(answer: aiohttp.ClientResponse) -> ApiError:
    """Return what the server said when it refused."""
    text = await answer.read()
    try:
        body: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = text.decode(errors="replace")
    return api_error(answer.status, body, answer.headers.get("Retry-After"))


async def next_line(lines: AsyncGenerator[bytes, None]) -> bytes | None:
    """Return the next line; None at the end, or when there was silence for too long."""
    try:
        return await anext(lines, None)
    except aiohttp.SocketTimeoutError:
        return None


async def lines_of(stream: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Split a stream at newlines; unlike `readline` it knows no limit below an object's largest size."""
    parts: list[bytes] = []
    size = 0
    async for chunk in stream.iter_any():
        first, *rest = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        if size > MAX_ANSWER_BYTES:
            raise ApiError(
                0, "Unreachable", f"expected a line of at most {MAX_ANSWER_BYTES} bytes, came more"
            )
        for part in rest:
            line = b"".join(parts)
            parts, size = [part], len(part)
            if line:
                yield line
