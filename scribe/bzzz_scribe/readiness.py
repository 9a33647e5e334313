"""Whether the scribe has come up: the archive read, the mesh joined, the API server reached, each once.

Once it has, it stays ready: what is known is served however many of them go away later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bzzz_scribe.store import Document


@dataclass
class Readiness:
    """What has been reached so far."""

    archive: Callable[[], bool]
    kubernetes: Callable[[], bool] | None
    """None where there is no cluster to reach."""
    mesh: bool = False

    def report(self) -> Document:
        """Return each part's word and, as `ready`, whether all are there."""
        parts = {"archive": self.archive(), "mesh": self.mesh}
        if self.kubernetes is not None:
            parts["kubernetes"] = self.kubernetes()
        return {"ready": all(parts.values()), **parts}
