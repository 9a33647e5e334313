"""Whether a text that a model wrote is prose at all; judged by counting, not by another model."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_][\w'’-]*")
MIN_WORDS: Final = 4
MAX_SHARE: Final = 0.25
"""Share of one word of four letters and more; prose of 30 words and more stays below a tenth."""
MAX_SHARE_SHORT: Final = 0.35
"""Share of one shorter word, as "the"."""
MIN_SHARED: Final = 0.4
"""Share of a paragraph's longer words that its issue must have, where a model is to restate and not to invent."""
LONGEST_WORD: Final = 40


def problem_with(text: str) -> str | None:
    """Say why a text is no prose (too short, one word or sentence over and over, markup), or None."""
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < MIN_WORDS:
        return f"expected at least {MIN_WORDS} words"
    if max(len(word) for word in text.split()) > LONGEST_WORD:
        return f"expected words of at most {LONGEST_WORD} characters"
    common, count = Counter(words).most_common(1)[0]
    if len(words) >= 12 and count / len(words) > (MAX_SHARE if len(common) >= 4 else MAX_SHARE_SHORT):
        return "expected prose, came one word over and over"
    sentences = Counter(s.strip().lower() for s in re.split(r"[.!?\n]+", text) if s.strip())
    if any(count > 2 for count in sentences.values()):
        return "expected prose, came one sentence over and over"
    if re.search(r"<[a-zA-Z/!]|```|\{\{|\[\[|https?://", text):
        return "expected plain prose without markup and links"
    return None


def strays(text: str, subject: str) -> str | None:
    """Say that a text shares too few of its longer words with its subject, or None."""
    said = {word.lower() for word in _WORD.findall(text) if len(word) >= 4}
    meant = {word.lower() for word in _WORD.findall(subject) if len(word) >= 4}
    if not said or len(said & meant) < min(3, len(meant)) or len(said & meant) / len(said) < MIN_SHARED:
        return "expected a text on the issue's subject"
    return None


def one_line(text: str, limit: int) -> str:
    """Return text as one line of at most `limit` characters, cut at a word."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1].rsplit(" ", 1)[0] + "…"
