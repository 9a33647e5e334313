"""Paths and globs of footprints: `*` stays within a folder, `**` crosses folders, as in a manifest's globs."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob of the manifest's kind."""
    out: list[str] = []
    index = 0
    while index < len(glob):
        if glob.startswith("**/", index):
            out.append("(?:[^/]+/)*")
            index += 3
        elif glob.startswith("**", index):
            out.append(".*")
            index += 2
        elif glob[index] == "*":
            out.append("[^/]*")
            index += 1
        elif glob[index] == "?":
            out.append("[^/]")
            index += 1
        else:
            out.append(re.escape(glob[index]))
            index += 1
    return re.compile("".join(out) + r"\Z")


def matches(path: str, glob: str) -> bool:
    """Return whether a path is among those that a glob means; letter case does not tell files apart here."""
    return glob_pattern(glob.lower()).match(path.lower()) is not None


def touches(one: str, other: str) -> bool:
    """Return whether two entries of footprints can mean a common file; errs on the side of yes for two globs."""
    if matches(one, other) or matches(other, one):
        return True
    if "*" in one and "*" in other:
        head_one, head_other = one.split("*", 1)[0], other.split("*", 1)[0]
        return head_one.startswith(head_other) or head_other.startswith(head_one)
    return False
