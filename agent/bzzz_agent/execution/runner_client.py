"""The agent's side of the runner: HTTP over its unix socket (workspace/bzzz_runner.py has the routes)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import httpx
import trio

from bzzz_agent.execution.errors import RunnerRefusedError, RunnerUnavailableError
from hmmm.errors import excerpt

PATIENCE_S: Final = 60.0
"""How long the runner may be silent while it unpacks or wipes."""
STARTING_S: Final = 30.0
"""How long a runner that does not answer is waited for: it may be restarting."""
RETRY_S: Final = 0.2
MAX_CHECKOUT_BYTES: Final = 1024 * 1024 * 1024
CHUNK: Final = 1024 * 1024
TAIL_CHARACTERS: Final = 4000

Isolation = Literal["namespaces", "bubblewrap", "user", "container", "none"]
OnOutput = Callable[[bytes], None]


@dataclass(frozen=True)
class Health:
    """How a runner is."""

    isolation: Isolation
    busy: bool


@dataclass(frozen=True)
class RunResult:
    """How a command ended, and what it said."""

    exit: int | Literal["timeout", "cancelled"]
    """Exit code, a signal's number below zero, or why it was ended."""
    seconds: float
    stdout: bytes
    stderr: bytes
    dropped: int
    """Bytes of output over the limit, not kept."""
    error: str | None = None
    """Why the command could not be started, where it could not."""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with 0."""
        return self.exit == 0

    @property
    def tail(self) -> str:
        """The end of what it said, errors last."""
        text = (self.stdout + b"\n" + self.stderr).decode(errors="replace").strip()
        return (f"{self.error}\n" if self.error else "") + text[-TAIL_CHARACTERS:]


class Runner:
    """A workspace, by way of its runner. One user at a time; `alone` waits for the workspace to be free."""

    def __init__(self, socket: Path, token: str) -> None:
        self._socket, self._token = socket, token
        self._lock = trio.Lock()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Have the workspace to oneself; it is wiped afterwards, whatever happened."""
        async with self._lock:
            try:
                yield
            finally:
                with trio.move_on_after(PATIENCE_S, shield=True):
                    await self._wipe_quietly()

    async def _wipe_quietly(self) -> None:
        try:
            await self.wipe()
        except (RunnerUnavailableError, RunnerRefusedError):
            return  # what is left is wiped before it is used again, or the next use fails

    async def health(self) -> Health:
        """Ask what separates commands from the rest of the machine, and whether one is running."""
        answer = await self._call("GET", "/healthz")
        return Health(cast("Isolation", answer.get("isolation", "none")), bool(answer.get("busy")))

    async def put_checkout(self, tar: Path) -> str:
        """Replace everything by a checkout; return its path inside the workspace."""
        return str((await self._call("PUT", "/workspace", file=tar))["path"])

    async def get_checkout(self, into: Path, exclude: Sequence[str]) -> None:
        """Write the checkout as it is now, as a tar, to a file."""
        written = 0
        with into.open("wb") as out:

            def take(chunk: bytes) -> bool:
                nonlocal written
                written += len(chunk)
                return written <= MAX_CHECKOUT_BYTES and out.write(chunk) > 0

            async with self._request("GET", "/workspace", params={"exclude": list(exclude)}) as response:
                await _receive(response, take)
        if written > MAX_CHECKOUT_BYTES:
            raise RunnerRefusedError(
                "workspace_too_large",
                f"the workspace: expected at most {MAX_CHECKOUT_BYTES} bytes, came more",
            )

    async def put_file(self, name: str, data: bytes) -> str:
        """Put a file beside the checkout; return its path inside the workspace."""
        return str((await self._call("PUT", f"/files/{name}", content=data))["path"])

    async def wipe(self) -> None:
        """Kill everything in the workspace and empty it."""
        await self._call("DELETE", "/workspace")

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output_limit: int = 1024 * 1024,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run a command in the checkout to its end. Cancelling this ends the command.

        Raises RunnerUnavailableError, RunnerRefusedError.
        """
        order = {
            "argv": list(argv),
            "env": dict(env or {}),
            "timeout_s": timeout_s,
            "stdin": base64.b64encode(stdin).decode(),
            "output_limit": output_limit,
        }
        outputs: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        last: dict[str, Any] = {}
        rest = bytearray()

        def take(chunk: bytes) -> bool:
            rest.extend(chunk)
            *lines, rest[:] = rest.split(b"\n")
            for line in lines:
                event = cast("dict[str, Any]", json.loads(line))
                if "exit" in event:
                    last.update(event)
                    continue
                for name, text in event.items():
                    output = base64.b64decode(text)
                    outputs[name] += output
                    if on_output is not None:
                        on_output(output)
            return True

        content = json.dumps(order).encode()
        async with self._request(
            "POST", "/run", content=content, silent_s=timeout_s + PATIENCE_S
        ) as response:
            await _receive(response, take)
        if not last:
            raise RunnerUnavailableError("runner_gone", f"{argv[0]}: the runner ended while it ran")
        return _result(last, bytes(outputs["stdout"]), bytes(outputs["stderr"]))

    async def _call(
        self, method: str, path: str, *, content: bytes | None = None, file: Path | None = None
    ) -> dict[str, Any]:
        async with self._request(method, path, content=content, file=file) as response:
            await response.aread()
            return cast("dict[str, Any]", response.json())

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        file: Path | None = None,
        params: Mapping[str, Sequence[str]] | None = None,
        silent_s: float = PATIENCE_S,
    ) -> AsyncGenerator[httpx.Response]:
        headers = {"Authorization": f"Bearer {self._token}", "Host": "runner"}
        stream = None if file is None else _FileStream(file)
        if stream is not None:
            headers["Content-Length"] = str(stream.size)
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        timeout = httpx.Timeout(PATIENCE_S, read=silent_s)
        async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
            url, more = f"http://runner{path}", {"timeout": timeout.as_dict()}
            if stream is None:
                request = httpx.Request(
                    method, url, headers=headers, params=params, extensions=more, content=content
                )
            else:
                request = httpx.Request(method, url, headers=headers, extensions=more, stream=stream)
            try:
                response = await self._send(client, request)
            except httpx.TransportError as error:
                raise RunnerUnavailableError(
                    "runner_unavailable",
                    f"{self._socket}: expected the runner's answer: {excerpt(repr(error))}",
                ) from error
            try:
                await _raise_for(response)
                yield response
            except httpx.TransportError as error:
                raise RunnerUnavailableError(
                    "runner_gone", f"the runner broke off: {excerpt(repr(error))}"
                ) from error
            finally:
                with trio.CancelScope(shield=True):
                    await response.aclose()

    async def _send(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """Send, and wait a while for a runner that is not there: nothing was begun, so repeating is safe."""
        deadline = trio.current_time() + STARTING_S
        while True:
            try:
                return await client.send(request, stream=True)
            except httpx.ConnectError:
                if trio.current_time() > deadline:
                    raise
                await trio.sleep(RETRY_S)


class _FileStream(httpx.AsyncByteStream):
    """A file as a request's body. No generator: a refused upload leaves none suspended (see `_receive`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size
        self._offset = 0

    def __aiter__(self) -> _FileStream:
        return self

    async def __anext__(self) -> bytes:
        with self._path.open("rb") as source:  # opened for each chunk: nobody promises to close a body
            source.seek(self._offset)
            chunk = source.read(min(CHUNK, self.size - self._offset))
        if not chunk:
            raise StopAsyncIteration
        self._offset += len(chunk)
        return chunk


async def _receive(response: httpx.Response, take: Callable[[bytes], bool]) -> None:
    """Hand a body to `take` until it says no.

    Nothing else may end the loop: httpx nests generators, and those left suspended in mid-body are only closed by
    the garbage collector, which trio rightly complains about. Cancelled, they unwind by themselves.
    """
    wanted = True
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_raw():
            wanted = wanted and take(chunk)
            if not wanted:
                scope.cancel()


def _result(event: dict[str, Any], stdout: bytes, stderr: bytes) -> RunResult:
    return RunResult(
        exit=event["exit"],
        seconds=float(event.get("seconds", 0)),
        stdout=stdout,
        stderr=stderr,
        dropped=int(event.get("dropped", 0)),
        error=event.get("error"),
    )


async def _raise_for(response: httpx.Response) -> None:
    if response.status_code < 400:
        return
    await response.aread()
    try:
        error = cast("dict[str, Any]", response.json())["error"]
        code, message = str(error["code"]).lower(), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "runner_error", f"HTTP {response.status_code}"
    raise RunnerRefusedError(code, f"the runner refused: {excerpt(message)}")
