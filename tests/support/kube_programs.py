"""The programs of a test's API server: where they are, and how they are ended for sure."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def binary(name: str) -> Path:
    """Return where a program of the cluster is. A new machine gets it built first, which takes Go minutes.

    Raises tools.cluster's errors, which say what is missing and how to get it.
    """
    cache = (
        Path(os.environ.get("BZZZ_CACHE") or Path.home() / ".cache" / "bzzz").expanduser() / "cluster" / "bin"
    )
    if (path := cache / name).exists():
        return path
    steps = importlib.import_module("tools.cluster.steps").Steps()  # late: most tests need no cluster's tools
    if name == "etcd":
        if shutil.which("etcd") is None:
            importlib.import_module("tools.cluster.packages").ensure_packages(steps)
        return Path(shutil.which("etcd") or "etcd")
    importlib.import_module("tools.cluster.binaries").ensure(cache, steps, (name,))
    return path


def die_with_the_test() -> Callable[[], object] | None:
    """Return what makes a child end with us even when we are killed (for `preexec_fn`)."""
    if threading.current_thread() is not threading.main_thread():
        return None  # the signal comes when the *thread* that forked ends
    libc = ctypes.CDLL(None)  # loaded before the fork
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a program at once and reap it."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait(15)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
