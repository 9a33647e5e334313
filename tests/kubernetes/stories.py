"""Stories of HiveAgents in one hive, told side by side: most of a story's time is waiting for the cluster.

A line is a list of stories that follow one another, about HiveAgents of the line's own. A test waits for its story and
fails with what failed there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tests.kubernetes.hive import PodHive

Story = Callable[[PodHive], None]


class Stories:
    """Lines that run until the block ends; a story that fails does not keep the line's next ones from being told."""

    def __init__(self, hive: PodHive, *lines: Sequence[Story]) -> None:
        self._ends: dict[Story, Future[None]] = {story: Future() for line in lines for story in line}
        self._pool = ThreadPoolExecutor(max_workers=len(lines))
        for line in lines:
            self._pool.submit(self._tell, hive, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)

    def ends_well(self, story: Story) -> None:
        """Wait for a story's end; raise what it raised."""
        self._ends[story].result()

    def _tell(self, hive: PodHive, line: Sequence[Story]) -> None:
        for story in line:
            try:
                story(hive)
            except BaseException as error:
                self._ends[story].set_exception(error)
            else:
                self._ends[story].set_result(None)
