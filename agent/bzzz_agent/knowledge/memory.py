"""An index of passages: found by the files they are about, then by the words they share with a question. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from bzzz_agent.knowledge.passages import LogReader, Passage
from bzzz_agent.review.paths import touches
from hmmm.identity import IssueIdentity

MAX_PASSAGES: Final = 5000
"""Remembered; the oldest go first. Half a kilobyte each."""
SAME_FILE: Final = 12.0
SAME_FOLDER: Final = 4.0
LEAST: Final = 6.0
"""A passage that fits less is not given: neither the same file, nor the folder and a rare word."""
MOST_COMMON: Final = 0.2
"""A word that stands in more of the passages than this tells nothing."""

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{2,40}")
_PATH: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*\.[A-Za-z0-9]{1,8}\b")


class Memory:
    """Passages of discussions that are over, by log."""

    def __init__(self) -> None:
        self._readers: dict[str, LogReader] = {}
        self._passages: list[Passage] = []
        self._in: Counter[str] = Counter()
        """In how many passages a word stands."""

    def __len__(self) -> int:
        return len(self._passages)

    def read(self, log_key: str, seq: int, block: bytes) -> None:
        """Take in a log's next record."""
        reader = self._readers.setdefault(log_key, LogReader(log_key))
        for passage in reader.read(seq, block):
            self._passages.append(passage)
            self._in.update(_words(passage.text))
        while len(self._passages) > MAX_PASSAGES:
            self._in.subtract(_words(self._passages.pop(0).text))

    def find(
        self, issue: IssueIdentity, text: str, paths: Iterable[str] = (), *, most: int = 3
    ) -> tuple[Passage, ...]:
        """Return what was said on other issues of the repository that fits best, at most one passage a speaker and
        issue; files that the text names count as `paths`."""
        asked = frozenset(paths) | frozenset(_PATH.findall(text))
        words = _words(text) | {word for path in asked for word in _words(path)}
        scored = sorted(
            (
                (self._score(passage, asked, words), passage)
                for passage in self._passages
                if passage.issue.repository == issue.repository and passage.issue.number != issue.number
            ),
            key=lambda pair: (-pair[0], -pair[1].at.timestamp(), pair[1].log_key, pair[1].seq),
        )
        found: dict[tuple[int, str], Passage] = {}
        for score, passage in scored:
            if score < LEAST or len(found) == most:
                break
            found.setdefault((passage.issue.number, passage.node_id), passage)
        return tuple(found.values())

    def _score(self, passage: Passage, asked: frozenset[str], words: frozenset[str]) -> float:
        shared = sum(self._rarity(word) for word in words & _words(passage.text))
        near = 0.0
        if any(touches(path, theirs) for path in asked for theirs in passage.paths):
            near = SAME_FILE
        elif {_folder(path) for path in asked} & {_folder(path) for path in passage.paths} - {""}:
            near = SAME_FOLDER
        return 0.0 if near + shared == 0 else near + shared + passage.worth

    def _rarity(self, word: str) -> float:
        """Return how much a shared word tells: nothing for one that stands in every fifth passage."""
        count, total = self._in[word], len(self._passages)
        return 0.0 if count > max(2, MOST_COMMON * total) else math.log(1 + total / max(count, 1)) / 2


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
