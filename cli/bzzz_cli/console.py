"""What agents, issues and pull requests wrote goes to the terminal as text."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text without control characters, which a terminal would obey; tabs become spaces."""
    return "".join(c if c.isprintable() else " " for c in text.expandtabs(4))
