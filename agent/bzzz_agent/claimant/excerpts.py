"""The end of what failed printed, as it may travel: no control characters, few enough bytes for one envelope."""

from __future__ import annotations

import re
from typing import Final

MAX_CHARACTERS: Final = 3000
MAX_BYTES: Final = 4500
"""JSON may double each, base64 adds a third: 12,000 of the 16,384 bytes of an envelope."""

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def end_of(output: str) -> str:
    """Return the end of an output, in whole lines where it was cut."""
    plain = "".join(c for c in _ESCAPES.sub("", output) if c in "\n\t" or c >= " ").strip()
    cut = plain[-MAX_CHARACTERS:].encode(errors="replace")[-MAX_BYTES:].decode(errors="ignore")
    if len(cut) < len(plain) and "\n" in cut:
        cut = cut.partition("\n")[2]
    return cut


def line_of(text: str) -> str:
    """Return a text as one line of at most 300 characters."""
    line = " ".join(end_of(text).split())
    return line if len(line) <= 300 else line[:299] + "…"
