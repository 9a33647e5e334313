"""Says what is being done and how long each step took; ends with a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Steps:
    """Timed steps, told as plain lines on stderr (stdout stays free for answers)."""

    quiet: bool = False
    taken: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            print(f"cluster: {text}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, what: str) -> Generator[None, None, None]:
        """Tell that a step begins and, when it ended well, what it took."""
        self.say(f"{what} ...")
        started = time.monotonic()
        yield
        seconds = time.monotonic() - started
        self.taken.append((what, seconds))
        self.say(f"{what}: {seconds:.1f} s")

    def table(self) -> str:
        """Return the steps with their minutes and the total, one a line."""
        width = max((len(what) for what, _ in self.taken), default=0)
        rows = [f"  {what:<{width}}  {seconds / 60:6.2f} min" for what, seconds in self.taken]
        total = sum(seconds for _, seconds in self.taken)
        return "\n".join([*rows, f"  {'in all':<{width}}  {total / 60:6.2f} min"])
