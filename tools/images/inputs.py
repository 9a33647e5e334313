"""What an image is made from, as one digest: an image whose inputs did not change need not be looked at by buildah."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

LABEL = "dev.bzzz.inputs"
_COPY = re.compile(r"^COPY (?!.*--from=)(?P<words>.+)$", re.M)
_LEFT_OUT = {"__pycache__", "node_modules", ".git"}


def digest_of(root: Path, dockerfile: str, more: Iterable[str]) -> str:
    """Return the digest of a Dockerfile, of all that it copies from `root`, and of `more` (images, options)."""
    text = (root / dockerfile).read_text(encoding="utf-8")
    hashed = hashlib.sha256(repr((text, *more)).encode())
    for file in files_of(root, text):
        executable = file.stat().st_mode & 0o111 != 0
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        hashed.update(f"{file.relative_to(root)} {executable} {content}\n".encode())
    return hashed.hexdigest()


def files_of(root: Path, text: str) -> list[Path]:
    """Return the files of `root` that a Dockerfile's text copies, in order of their names."""
    found: set[Path] = set()
    for match in _COPY.finditer(text.replace("\\\n", " ")):
        for source in shlex.split(match["words"])[:-1]:
            for path in root.glob(source):
                found.update(_below(path))
    return sorted(found)


def _below(path: Path) -> Iterator[Path]:
    files = path.rglob("*") if path.is_dir() else [path]
    return (
        file
        for file in files
        if file.is_file() and not _LEFT_OUT.intersection(file.parts) and file.suffix != ".pyc"
    )
