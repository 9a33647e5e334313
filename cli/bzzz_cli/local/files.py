"""Files of the local hive: whole or not at all, and readable by nobody else."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_private(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """Write a file at once under its final name; return the path. Readers see the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return path


def write_json(path: Path, value: object) -> Path:
    """Write a value as JSON, at once and privately; return the path."""
    return write_private(path, json.dumps(value, indent=2).encode() + b"\n")


def secret_file(path: Path, make: bytes) -> bytes:
    """Return the content of a secret's file, made with the given content if it is not there yet."""
    if not path.exists():
        write_private(path, make)
    return path.read_bytes().strip()
