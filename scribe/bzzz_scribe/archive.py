"""Asks the archive (docs/log.md has its API); every answer is bounded in size and time."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, Final, TypeVar, cast

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_scribe.errors import ArchiveAwayError, ArchiveRefusedError
from bzzz_scribe.store import Document
from hmmm.errors import excerpt
from hmmm.records import MAX_RECORD_BYTES

TIMEOUT_S: Final = 10.0
SILENCE_S: Final = 40.0
"""A stream beats every 15 s; after more than two beats of silence the archive is taken for dead."""
MAX_LINE_BYTES: Final = 3 * MAX_RECORD_BYTES
"""A line is a record as JSON, or what is none in base64, with a number before it."""
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""Of a proof: a discussion of 300 blocks of 64 KiB in base64 with its tree nodes."""
UNREADABLE: Final = b""
"""Stands for a block that is no record of this protocol; folding it is refused as it is for everybody."""

A = TypeVar("A", bound=BaseModel)

_LINE: Final = re.compile(rb'^\{"seq":(\d{1,12}),"record":(\{.*\})\}$', re.DOTALL)


class LogListing(BaseModel):
    """A log as the archive holds it."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    node_id: str = Field(max_length=63)
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    length: int = Field(ge=0)
    conflict: bool = False
    connected: bool = False


class _Listings(BaseModel):
    logs: Annotated[tuple[LogListing, ...], Field(max_length=4096)]


class _Growth(BaseModel):
    key: str
    length: int


class Acknowledgement(BaseModel):
    """The archive's word that it durably holds a log up to a length."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    acknowledged: bool
    length: int
    tree_hash: str = ""
    signed_at: str | None = None


_ANY_OBJECT: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(dict[str, Any])


class ArchiveClient:
    """The archive's reading half. Every call raises ArchiveAwayError, or ArchiveRefusedError for a 4xx."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,  # a proxy of the environment is for the outside, not for the hive's own archive
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def logs(self) -> tuple[LogListing, ...]:
        """Return the logs that the archive keeps."""
        return _validated(_Listings, await self._get("/v1/logs")).logs

    async def records(self, key: str, start: int, count: int) -> tuple[tuple[int, bytes], ...]:
        """Return up to `count` blocks from `start` on, in order and without a gap."""
        blocks: list[tuple[int, bytes]] = []
        async with self._stream(
            f"/v1/logs/{key}/records", {"from": start, "to": start + count}, TIMEOUT_S
        ) as lines:
            async for line in lines:
                if len(blocks) == count:
                    raise ArchiveAwayError(f"archive: expected at most {count} blocks; left")
                seq, block = _block(line, expected=start + len(blocks))
                blocks.append((seq, block))
        return tuple(blocks)

    @asynccontextmanager
    async def growth(self) -> AsyncGenerator[AsyncGenerator[tuple[str, int]]]:
        """Give (key, length) whenever a log grows, for as long as the archive is there."""
        async with self._stream("/v1/stream", {}, SILENCE_S) as lines:

            async def grown() -> AsyncGenerator[tuple[str, int]]:
                async for line in lines:
                    if line.strip():
                        one = _validated(_Growth, _json(line))
                        yield one.key, one.length

            async with aclosing(grown()) as growth:
                yield growth

    async def proof(self, key: str, seqs: Sequence[int], length: int | None) -> Document:
        """Return the proof of exactly these blocks, at a signed length or (None) at the present head.

        Raises ArchiveRefusedError with code LENGTH_NOT_SIGNED when there is none at that length.
        """
        parameters: dict[str, str | int] = {"seqs": ",".join(map(str, seqs))}
        if length is not None:
            parameters["length"] = length
        return await self._get(f"/v1/logs/{key}/proof", parameters)

    async def consistency(self, key: str, length: int) -> Document:
        """Return the proof that the log at its present head continues the log at an earlier length."""
        return await self._get(f"/v1/logs/{key}/consistency", {"length": length})

    async def acknowledged(self, key: str, length: int) -> Acknowledgement:
        """Return whether the archive durably holds a log up to a length."""
        answer = await self._get(f"/v1/logs/{key}/acknowledged", {"length": length, "wait": 0})
        return _validated(Acknowledgement, answer)

    async def _get(self, path: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            async with self._http.stream("GET", path, params=parameters) as response:
                body = await _read(response, MAX_ANSWER_BYTES)
                _check(response, body)
        except httpx.HTTPError as error:
            raise ArchiveAwayError(f"archive {path}: {excerpt(repr(error))}") from error
        return _json(body)

    @asynccontextmanager
    async def _stream(
        self, path: str, parameters: dict[str, Any], silence_s: float
    ) -> AsyncGenerator[AsyncGenerator[bytes]]:
        timeout = httpx.Timeout(TIMEOUT_S, read=silence_s)
        try:
            async with self._http.stream("GET", path, params=parameters, timeout=timeout) as response:
                if response.status_code != 200:
                    _check(response, await _read(response, MAX_LINE_BYTES))
                async with aclosing(_lines(response)) as lines:
                    yield lines
        except httpx.HTTPError as error:
            raise ArchiveAwayError(f"archive {path}: {excerpt(repr(error))}") from error


async def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise ArchiveAwayError(f"archive: expected an answer of at most {limit} bytes; left")
    return bytes(body)


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Split a response at newlines; a line above the limit is given as far as its first bytes."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line[:MAX_LINE_BYTES]
        rest = rest[:MAX_LINE_BYTES]
    if rest:
        yield rest


def _check(response: httpx.Response, body: bytes) -> None:
    """Raise ArchiveRefusedError for the request's own faults, ArchiveAwayError for the archive's."""
    if response.status_code in {200, 202}:
        return
    code, message = f"HTTP_{response.status_code}", excerpt(body.decode("utf-8", "replace"))
    try:
        error = cast("object", json.loads(body)["error"])
        if isinstance(error, dict):
            said = cast("dict[str, object]", error)
            code, message = excerpt(said.get("code")), excerpt(said.get("message"))
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    if response.status_code in {400, 404, 409, 413}:
        raise ArchiveRefusedError(code, f"archive: {code}: {message}")
    raise ArchiveAwayError(f"archive: {code}: {message}")


def _block(line: bytes, *, expected: int) -> tuple[int, bytes]:
    """Return a line's block. A line that is cut or no record is the unreadable block at its place."""
    exact = _LINE.match(line)
    if exact is not None and int(exact.group(1)) == expected:
        return expected, exact.group(2)
    if len(line) >= MAX_LINE_BYTES:
        return expected, UNREADABLE
    fields = _json(line)
    if fields.get("seq") != expected:
        raise ArchiveAwayError(f"archive: expected block {expected}, got {excerpt(fields.get('seq'))}")
    data = fields.get("data")
    if isinstance(data, str):
        try:
            return expected, base64.b64decode(data, validate=True)
        except ValueError:
            return expected, UNREADABLE
    return expected, json.dumps(fields.get("record"), separators=(",", ":")).encode()


def _json(body: bytes) -> dict[str, Any]:
    try:
        return _ANY_OBJECT.validate_python(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise ArchiveAwayError(f"archive: expected a JSON object: {excerpt(str(error))}") from error


def _validated(kind: type[A], value: object) -> A:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ArchiveAwayError(f"archive: an answer of unexpected shape: {excerpt(str(error))}") from error
