"""Files by which a pod's probes see how the agent is; an HTTP probe could show no token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

ALIVE_S: Final = 10.0
READY_S: Final = 0.25


async def keep_alive(file: Path | None) -> None:
    """Touch a file for ever: it grows old when the event loop hangs."""
    while file is not None:
        _touch(file)
        await trio.sleep(ALIVE_S)


def forget_ready(file: Path | None) -> None:
    """Take back what an earlier life, killed before it could do so itself, has left."""
    if file is not None:
        _show(file, there=False)


async def show_ready(file: Path | None, ready: Callable[[], bool]) -> None:
    """Let a file exist while the agent is ready; it is gone when this ends."""
    if file is None:
        return
    try:
        while True:
            _show(file, ready())
            await trio.sleep(READY_S)
    finally:
        _show(file, there=False)


def _touch(file: Path) -> None:
    file.touch()


def _show(file: Path, there: bool) -> None:
    if there and not file.exists():
        _touch(file)
    elif not there:
        file.unlink(missing_ok=True)
