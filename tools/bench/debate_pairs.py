"""Pairs of issues that come at the same time, for the bench of the debate, and a maintainer of what comes of them."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Kind = Literal["same lines", "same file", "other files"]
KINDS: Final[tuple[Kind, ...]] = ("same lines", "same file", "other files")
LINES: Final = 60
APART: Final = 20
"""Lines between two changes of one file that git merges without asking."""


@dataclass(frozen=True)
class Edit:
    """What an issue asks for: one line of one file is to say a word."""

    path: str
    line: int
    word: str

    @property
    def body(self) -> str:
        """The issue's text, as the instant planner and executor read it."""
        return f"Line {self.line} of {self.path} should say {self.word}.\n\nedit: {self.path} {self.line} {self.word}"


@dataclass(frozen=True)
class Pair:
    """Two issues that are opened together."""

    kind: Kind
    first: Edit
    second: Edit


def pairs(count: int, seed: int) -> tuple[Pair, ...]:
    """Return so many pairs of each kind, in an order that the seed decides; no two pairs share a file."""
    chance = random.Random(seed)
    made: list[Pair] = []
    for kind in KINDS:
        for turn in range(count):
            name = kind.replace(" ", "_")
            line = chance.randrange(0, LINES - APART)
            first = Edit(f"src/{name}_{turn}.py", line, f"first{turn}")
            path = f"src/{name}_{turn}_other.py" if kind == "other files" else first.path
            second = Edit(path, line if kind == "same lines" else line + APART, f"second{turn}")
            made.append(Pair(kind, first, second))
    chance.shuffle(made)
    return tuple(made)


def files_of(made: tuple[Pair, ...]) -> dict[str, str]:
    """Return the repository's files that the pairs change."""
    text = "".join(f"line_{number} = 0\n" for number in range(LINES))
    return {edit.path: text for pair in made for edit in (pair.first, pair.second)}


class Maintainer:
    """Merges pull requests on the command line, in a clone of the repository."""

    def __init__(self, clone: Path, checkout: Path) -> None:
        """Clone a repository."""
        self._clone = clone
        subprocess.run(["git", "clone", "--quiet", checkout, clone], check=True)
        for key, value in (("user.name", "maintainer"), ("user.email", "m@localhost"), ("gc.auto", "0")):
            self.git("config", key, value)

    def merge(self, url: str, token: str, number: int) -> bool:
        """Merge a pull request into main; return False for a conflict, of which nothing is left.

        Raises CalledProcessError, RuntimeError for whatever else goes wrong.
        """
        self._fetch(url, token, number)
        return self._try("merge", "--quiet", "--no-edit")

    def pick(self, url: str, token: str, number: int) -> bool:
        """Put a pull request's one commit on top of main, whatever it was made from; else as `merge`."""
        self._fetch(url, token, number)
        return self._try("cherry-pick")

    def _fetch(self, url: str, token: str, number: int) -> None:
        header = f"http.extraHeader=Authorization: Bearer {token}"
        self.git("-c", header, "fetch", "--quiet", url, f"refs/pull/{number}/head")

    def _try(self, verb: str, *options: str) -> bool:
        argv = ["git", "-C", self._clone, verb, *options, "FETCH_HEAD"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return True
        if "CONFLICT" not in done.stdout:
            raise RuntimeError(f"git {verb}: {done.stdout}{done.stderr}")
        self.git(verb, "--abort")
        return False

    def push(self, url: str, token: str) -> None:
        """Push main."""
        self.git("-c", f"http.extraHeader=Authorization: Bearer {token}", "push", "--quiet", url, "HEAD:main")

    def git(self, *arguments: str) -> None:
        """Run git in the clone. Raises CalledProcessError."""
        subprocess.run(["git", "-C", self._clone, *arguments], check=True, capture_output=True)
