"""What can be wrong with a manifest."""

from __future__ import annotations

from collections.abc import Iterable


class ManifestError(Exception):
    """A manifest that cannot be taken; `problems` has one line a field: `path: expected …, came …`.

    No `BzzzError`, because this package needs nothing but pydantic; the command line shows both alike.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
