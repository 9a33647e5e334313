"""The digest of a patch, the same for `git diff` here and for the diff that GitHub shows of the pull request.

Both print the same changes, but abbreviate object names to lengths of their own and may put other section headings
after a hunk's numbers: neither belongs to the change, so neither is hashed. Both must use git's defaults
otherwise (three lines of context, a/ and b/ prefixes, rename detection).
"""

from __future__ import annotations

import re
from typing import Final

from hmmm.envelope import sha256_hex

_OBJECT_NAMES: Final = re.compile(rb"^index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}", re.MULTILINE)
_SECTION_HEADING: Final = re.compile(rb"^(@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@)[^\n]*", re.MULTILINE)


def patch_digest(diff: bytes) -> str:
    """Return the SHA-256 (64 hex digits) of a unified git diff without object names and section headings.

    A line of content starts with a space, plus, minus or backslash, so nothing of the change itself is left out.
    """
    named = _OBJECT_NAMES.sub(b"index", diff)
    return sha256_hex(_SECTION_HEADING.sub(rb"\1", named))
