"""Foreign text inside markdown: shown as the text it is, whatever it says.

GitHub turns more than markdown into meaning: `@name` notifies, `Fixes #7` closes an issue when the pull request is
merged, a bare address becomes a link. All of it is broken with a zero-width space written as an entity, which both the
raw and the rendered text show harmlessly.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]()|~$^!]")
_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LINE_START: Final = re.compile(r"^([#+\-=:]|\d+[.)])")
_BREAK: Final = "&#8203;"
_MEANING: Final = re.compile(r"@(?=\w)|#(?=\w)|\b[Gg][Hh]-(?=\d)|:(?=//)|\b[Ww]{3}(?=\.)")
"""Mentions, issue references (#7, owner/name#7, GH-7), addresses (https://, www.)."""


def plain_line(text: str, limit: int) -> str:
    """Return text as one printable line of at most `limit` characters, an ellipsis included when it was cut.

    Control and format characters are dropped: among them are the bidirectional overrides that make text look like
    other text. Lone surrogates become U+FFFD.
    """
    visible = "".join(_visible(character) for character in text[: 4 * limit + 64])
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if category in {"Zl", "Zp", "Cc"}:
        return " "
    return "" if category == "Cf" else character


def escape_markdown(text: str, limit: int = 300) -> str:
    """Return foreign text as one line of markdown that renders as that text and means nothing else.

    `limit` counts characters before escaping; each may grow to 8.
    """
    line = plain_line(text, limit)
    line = "".join(_HTML.get(character, character) for character in line)
    line = _SPECIAL.sub(lambda match: "\\" + match.group(), line)
    line = _MEANING.sub(lambda match: match.group() + _BREAK, line)
    return _LINE_START.sub(lambda match: _escape_start(match.group()), line)


def _escape_start(start: str) -> str:
    return "\\" + start if len(start) == 1 else start[:-1] + "\\" + start[-1]
