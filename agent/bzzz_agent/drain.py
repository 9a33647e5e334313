"""Leaving the hive in order: what a pod's annotations ask for, and what follows from it (docs/agent.md, *Draining*).

The operator annotates a pod that is about to go; kubelet writes the annotations into a file of the pod. The decision
follows the file's present content and nothing else, so that an annotation that is taken back takes everything back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import trio

log = structlog.get_logger("bzzz.agent.drain")

ANNOTATION: Final = "bzzz.dev/drain"
MAX_BYTES: Final = 2 * 1024 * 1024
"""Kubernetes allows 256 KiB of annotations; escaped they can be several times as long."""
LOOK_S: Final = 1.0
PROMISES_S: Final = 120.0
"""How long reviews that were promised keep a drained agent from saying so; their claimant may think for longer."""
GONE: Final = frozenset({"draining", "drained"})
"""Phases in which an agent is no longer asked for a review."""
IDLE_FOR_GOOD: Final = GONE | {"suspended"}
"""Phases in which an agent takes no issue, so that nobody waits for its turn."""


def asks_to_drain(annotations: str) -> bool:
    """Whether a pod's annotations, in the downward API's form (a line `key="escaped value"` each), ask to leave.

    Source: Kubernetes, "Downward API", and its `FormatMap`: keys sorted, values quoted as Go quotes them.
    """
    return f'{ANNOTATION}="true"' in annotations.splitlines()


def phase_of(working: str | None, *, leaving: bool, done: bool, suspended: bool) -> str:
    """Return the phase that an agent announces: `working` is its discussion's, None when there is none."""
    if leaving:
        return "drained" if done else "draining"
    if working is not None:
        return working
    return "suspended" if suspended else "idle"


@dataclass
class Drain:
    """What the file says now. Without a file nobody is ever asked to leave."""

    file: Path | None
    monotonic: Callable[[], float] = trio.current_time
    since: float | None = None
    """When the agent was asked to leave; None while it is not."""
    _complained: bool = field(default=False)

    @property
    def asked(self) -> bool:
        """Whether the agent is asked to leave: it takes nothing new."""
        return self.since is not None

    @property
    def keeps_promises(self) -> bool:
        """Whether reviews that were promised are still waited for."""
        return self.since is None or self.monotonic() - self.since < PROMISES_S

    def look(self) -> None:
        """Read the file. One that cannot be read changes nothing."""
        if self.file is None:
            return
        try:
            with self.file.open("rb") as file:
                asked = asks_to_drain(file.read(MAX_BYTES).decode(errors="replace"))
        except FileNotFoundError:
            asked = False
        except OSError as error:
            if not self._complained:
                log.warning(
                    "annotations cannot be read: not draining", path=str(self.file), problem=error.strerror
                )
            self._complained = True
            return
        self._complained = False
        if asked != self.asked:
            log.info("asked to leave: nothing new is taken" if asked else "no longer asked to leave")
            self.since = self.monotonic() if asked else None

    async def run(self) -> None:
        """Follow the file, for ever."""
        while True:
            self.look()
            await trio.sleep(LOOK_S)
