"""The few calls of Linux that the standard library does not have; elsewhere they do nothing and say so."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_CLONE_NEWNS: Final = 0x00020000
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18

# Loaded once and early: a child between fork and exec must not import anything.
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signal_number: int) -> bool:
    """Have the kernel signal this process when the thread that started it ends; return whether that is set.

    The kernel means the thread, not the process: whoever starts children this way does it from its main thread.
    """
    return _LIBC is not None and _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) == 0


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent ends; return whether that is set."""
    return _LIBC is not None and _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def leave_mount_namespace() -> None:
    """Give this process mounts of its own, that nobody else sees. Raises OSError."""
    if _LIBC is None:
        raise OSError("mount namespaces need Linux")
    _check(_LIBC.unshare(_CLONE_NEWNS))
    mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)


def mount(
    source: str, target: Path, kind: str | None = None, flags: int = 0, options: str | None = None
) -> None:
    """Mount as mount(2). Raises OSError."""
    if _LIBC is None:
        raise OSError("mounting needs Linux")
    encode = os.fsencode
    _check(
        _LIBC.mount(
            encode(source),
            encode(target),
            None if kind is None else encode(kind),
            ctypes.c_ulong(flags),
            None if options is None else encode(options),
        )
    )


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
