"""Named points at which a test may have the process killed, to prove that what comes after a kill is right.

A point is hit at most once for a state folder: the restarted process passes it. The points are between append,
acknowledgement, publication and GitHub write (the places where half of something is true).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

import structlog

from bzzz_agent.settings import SettingsError

SPOKEN: Final = ("plan_proposed", "plan_revised", "round_closed", "execution_started", "execution_finished")
ENDINGS: Final = ("discussion_closed",)
EFFECTS: Final = ("claim", "show_claim", "reporting", "push", "pull_request", "done")
RECORDS: Final = ("claim_intended", "claimed", "evidence_sealed", "pull_request_opened")

POINTS: Final[frozenset[str]] = frozenset(
    {
        f"{moment}:{word}"
        for word in SPOKEN + ENDINGS
        for moment in ("before_append", "after_append", "after_publish")
    }
    | {f"{moment}:{effect}" for effect in EFFECTS for moment in ("before_write", "after_write")}
    - {"after_write:claim"}  # the same moment as before_write:show_claim
    | {f"{moment}:{record}" for record in RECORDS for moment in ("before_append", "after_append")}
    | {"after_append:message_received"}
)
"""Every point of a claim that needs no help, by name."""

HELP_POINTS: Final[frozenset[str]] = frozenset(
    {
        f"{moment}:{word}"
        for word in ("help_chosen", "help_tried", "help_closed")
        for moment in ("before_append", "after_append", "after_publish")
    }
    | {f"{moment}:task_help_request" for moment in ("before_append", "after_append")}
)
"""Points of a claimant that is helped."""

log = structlog.get_logger("bzzz.agent.failpoints")


class Failpoints:
    """The points armed in this process."""

    def __init__(self, armed: tuple[str, ...], state_dir: Path) -> None:
        unknown = sorted(set(armed) - POINTS - HELP_POINTS)
        if unknown:
            raise SettingsError(
                f"failpoints: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(POINTS | HELP_POINTS))}"
            )
        self._armed = frozenset(armed)
        self._hits = state_dir / "failpoints"

    def reach(self, point: str) -> None:
        """Pass a point; where it is armed and was never hit, the process ends here as by kill -9."""
        if point not in self._armed:
            return
        marker = self._hits / point.replace(":", ".")
        if marker.exists():
            return
        self._hits.mkdir(parents=True, exist_ok=True)
        marker.touch()
        log.warning("killed at failpoint", point=point)
        os.kill(os.getpid(), signal.SIGKILL)
