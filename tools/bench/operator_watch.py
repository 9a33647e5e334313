"""`kubectl get -w` as a record of what arrived when."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from tests.support.processes import eventually

Json = dict[str, Any]
CHUNK = 65_536


class HasArgv(Protocol):
    """Makes kubectl's command line (`tools.up.kube.Kube`)."""

    def argv(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program on a cluster and namespace."""
        ...


class Watch:
    """Follows a kind in a namespace; a context manager."""

    def __init__(self, kube: HasArgv, kind: str) -> None:
        self._argv = kube.argv("kubectl", "get", kind, "-w", "--output-watch-events", "-o", "json")
        self._seen: list[tuple[float, Json]] = []
        self._there: set[str] = set()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._thread.join(10)

    def has(self, prefix: str) -> bool:
        """Whether there is an object whose name begins so."""
        return any(name.startswith(prefix) for name in self._there)

    def first(self, name: str, is_so: Callable[[Json], bool], *, within: float) -> float:
        """Return when (time.monotonic) an object was first seen to be so. Raises AssertionError."""

        def found() -> float | None:
            return next(
                (at for at, body in self._seen if body["metadata"]["name"] == name and is_so(body)), None
            )

        at = eventually(found, within=within, what=f"{name} as expected")
        assert at is not None
        return at

    def _follow(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        stream = self._process.stdout
        for event in objects_in(iter(stream.readline, "")):
            body = event["object"]
            name = body["metadata"]["name"]
            self._seen.append((time.monotonic(), body))
            (self._there.discard if event["type"] == "DELETED" else self._there.add)(name)


def objects_in(lines: Iterator[str]) -> Iterator[Json]:
    """Yield JSON objects that are printed one after the other, each on a line or indented over several."""
    text = ""
    for line in lines:
        text += line
        # of an indented object only its own braces stand at the margin
        if line.strip() == "{" or not line.startswith(("{", "}")):
            continue
        yield json.loads(text)
        text = ""
