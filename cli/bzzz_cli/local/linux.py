"""Two calls of Linux that the standard library does not have; elsewhere they do nothing and say so."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

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
