"""The last words of an agent that cannot go on: one clear line where people and Kubernetes look for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

DEFAULT_FILE: Final = Path("/dev/termination-log")
"""Where kubelet reads a container's last message (Kubernetes: terminationMessagePath)."""
MAX_BYTES: Final = 4096
"""More than this kubelet cuts off."""


def say_why(problem: str, file: Path = DEFAULT_FILE) -> None:
    """Print one line on stderr, and write it to the termination log where there is one."""
    line = "bzzz-agent: " + " ".join(problem.split())
    print(line, file=sys.stderr, flush=True)
    if not file.is_file() or not os.access(file, os.W_OK):
        return
    try:
        file.write_bytes(line.encode(errors="replace")[:MAX_BYTES])
    except OSError as error:
        print(f"bzzz-agent: {file}: {error.strerror}", file=sys.stderr)
