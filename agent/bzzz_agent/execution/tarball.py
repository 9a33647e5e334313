"""The tar that comes back from the workspace, unpacked into a folder of the agent's own and trusted in nothing."""

from __future__ import annotations

import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from bzzz_agent.execution.errors import PatchRefusedError
from hmmm.errors import excerpt

MAX_ENTRIES: Final = 100_000
MAX_TOTAL_BYTES: Final = 1024 * 1024 * 1024
"""Bounds of a checkout; a patch's own, far narrower bounds come from the manifest."""
CHUNK: Final = 1024 * 1024


@dataclass
class _Count:
    entries: int = 0
    size: int = 0


def unpack(source: IO[bytes], folder: Path) -> None:
    """Unpack a tar into an empty folder. Blocking; runs in a thread.

    Symlinks are made as they come and never followed. Raises PatchRefusedError for paths that lead out or into a
    `.git`, for anything but files, folders and symlinks, and for more than the bounds.
    """
    count = _Count()
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                _bounded(count, member)
                _unpack_one(tar, member, folder)
    except (tarfile.TarError, EOFError, UnicodeError, OSError) as error:
        raise PatchRefusedError(
            "bad_tar", f"the workspace's tar: expected a whole one: {excerpt(str(error))}"
        ) from error


def _bounded(count: _Count, member: tarfile.TarInfo) -> None:
    count.entries += 1
    count.size += max(0, member.size)
    if count.entries > MAX_ENTRIES or count.size > MAX_TOTAL_BYTES:
        raise PatchRefusedError(
            "workspace_too_large",
            f"the workspace: expected at most {MAX_ENTRIES} entries and {MAX_TOTAL_BYTES} bytes, came more",
        )


def _unpack_one(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if not parts:
        return
    if member.name.startswith("/") or ".." in parts or any(part.lower() == ".git" for part in parts):
        raise PatchRefusedError("bad_path", f"{excerpt(member.name)}: expected a path inside the repository")
    target = folder
    for part in parts[:-1]:
        target = target / part
        if target.is_symlink():
            raise PatchRefusedError("bad_path", f"{excerpt(member.name)}: expected no path through a symlink")
        target.mkdir(exist_ok=True)
    target = target / parts[-1]
    if member.isdir():
        target.mkdir(exist_ok=True)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.isreg():
        _write(target, tar.extractfile(member), 0o755 if member.mode & 0o100 else 0o644)
    else:
        raise PatchRefusedError(
            "bad_entry",
            f"{excerpt(member.name)}: expected a file, folder or symlink, came type {member.type!r}",
        )


def _write(target: Path, content: IO[bytes] | None, mode: int) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as out:
        os.fchmod(out.fileno(), mode)
        if content is not None:
            shutil.copyfileobj(content, out, CHUNK)
