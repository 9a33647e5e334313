"""Foreign words in what we post: shown as they are, pinging nobody, closing nothing, hiding nothing.

Issues and models write what they like. Without this, a comment that quotes them could mention a whole team,
close another issue from a pull request's body, or forge the hidden marker that keeps our comments single.
"""

from __future__ import annotations

import re
from typing import Final

MAX_BODY_CHARS: Final = 65_536
"""GitHub's bound on the body of an issue, comment or pull request."""

_ZERO_WIDTH: Final = "\u2060"
"""Word joiner: invisible, and enough to keep GitHub from linking what it stands in."""

_MENTION: Final = re.compile(r"(?<!\w)@(?=[A-Za-z0-9])")
_REFERENCE: Final = re.compile(r"#(?=\d)|\bGH-(?=\d)", re.IGNORECASE)
_CLOSING_LINK: Final = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?=\s*:?\s+https?://)", re.IGNORECASE
)
_MARKED: Final = re.compile(r"<!-- bzzz:[A-Za-z0-9._:/-]{1,120} -->\s*\Z")
_MARKER_ID: Final = re.compile(r"[A-Za-z0-9._:/-]{1,120}")


def harmless(foreign: str, *, limit: int = 4000) -> str:
    """Return foreign text that mentions and references nothing and holds no HTML comment, at most `limit` long."""
    text = foreign.encode("utf-8", "replace").decode().replace("\x00", "").replace("<!--", "&lt;!--")
    for linked in (_MENTION, _REFERENCE, _CLOSING_LINK):
        text = linked.sub(lambda match: match.group() + _ZERO_WIDTH, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def marker(identifier: str) -> str:
    """Return the hidden line by which a comment is found again.

    Raises ValueError for an id that would not stay inside an HTML comment: our own bug.
    """
    if not _MARKER_ID.fullmatch(identifier) or "--" in identifier:
        raise ValueError(f"comment id {identifier!r}: expected 1 to 120 of A-Z a-z 0-9 . _ : / - and no --")
    return f"<!-- bzzz:{identifier} -->"


def is_ours(body: str) -> bool:
    """Whether a comment was written by an agent: it ends with a marker. A person may use the same account."""
    return _MARKED.search(body) is not None


def with_marker(text: str, identifier: str) -> str:
    """Return a comment's body: the text, cut to what GitHub takes, and its marker on the last line."""
    end = f"\n\n{marker(identifier)}"
    body = text.replace("<!-- bzzz:", "&lt;!-- bzzz:")
    if len(body) + len(end) > MAX_BODY_CHARS:
        body = body[: MAX_BODY_CHARS - len(end) - 1] + "…"
    return body + end
