"""Waiting for what the pod's other containers and the kubelet bring: mounts lag, sockets come up in their own time."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import structlog
import trio

from bzzz_agent.settings import SettingsError
from hmmm.errors import BzzzError

log = structlog.get_logger("bzzz.agent.start")

T = TypeVar("T")

LOOK_S: Final = 0.2
SAY_S: Final = 10.0
MOST_S: Final = 300.0


async def wait_for(what: str, look: Callable[[], T], *, most_s: float = MOST_S) -> T:
    """Call `look` until it returns, log every 10 s that it still raises a BzzzError, and return its value.

    Raises SettingsError with the last problem after `most_s`.
    """
    began = said = trio.current_time()
    while True:
        try:
            return look()
        except BzzzError as error:
            now = trio.current_time()
            if now - began >= most_s:
                raise SettingsError(f"{what}: waited {most_s:.0f} s in vain: {error}") from error
            if now - said >= SAY_S:
                log.warning("waiting", what=what, since_s=round(now - began), problem=str(error))
                said = now
        await trio.sleep(LOOK_S)


def read_when_there(path: Path) -> bytes:
    """Read a file. Raises SettingsError while it is not there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error


def see_socket(path: Path) -> None:
    """See that a unix socket is there. Raises SettingsError while it is not."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingsError(
            f"{path}: expected the log sidecar's socket: {error.strerror}; start it with "
            "`hypercore-sidecar log --config FILE`"
        ) from error
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"{path}: expected the log sidecar's socket, found another file")
