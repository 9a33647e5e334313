"""Which issues a pull request's text closes, by the words that GitHub itself goes by.

Source: GitHub's documentation, "Linking a pull request to an issue", section "using a keyword".
"""

from __future__ import annotations

import re
from typing import Final

_KEYWORD: Final = r"(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)"
_REFERENCE: Final = re.compile(
    rf"(?<![\w/-]){_KEYWORD}:?\s+(?P<repository>[\w.-]+/[\w.-]+)?#(?P<number>[1-9]\d{{0,15}})\b",
    re.IGNORECASE | re.ASCII,
)
MAX_CHARACTERS: Final = 65_536
"""GitHub's own limit of a body; what stands behind is not read."""


def closes(text: str, repository: str, number: int) -> bool:
    """Return whether a pull request in `repository` (owner/name) with this text closes issue `number` of it."""
    return any(
        int(found["number"]) == number
        and (found["repository"] is None or found["repository"].lower() == repository.lower())
        for found in _REFERENCE.finditer(text[:MAX_CHARACTERS])
    )
