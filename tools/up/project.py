"""The example's project as a git repository, made anew for each run."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2] / "examples" / "demo" / "project"
_GIT: Final = (
    *("git", "-c", "user.name=demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.excludesFile="),
)


@contextmanager
def project_checkout(source: Path = PROJECT) -> Generator[Path]:
    """Make a checkout of a folder's content with one commit, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="bzzz-up-") as folder:
        checkout = Path(folder) / "project"
        shutil.copytree(source, checkout, ignore=shutil.ignore_patterns("__pycache__"))
        for command in (
            ["init", "--quiet", "--initial-branch=main"],
            ["add", "--all"],
            ["commit", "--quiet", "--message", "A small library for cooking"],
        ):
            subprocess.run([*_GIT, "-C", str(checkout), *command], check=True, capture_output=True)
        yield checkout
