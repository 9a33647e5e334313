"""Tasks of the mesh: what one peer makes fail must not end the others'.

In trio an exception ends the whole nursery, so each task is guarded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

import structlog
import trio

from bzzz_mesh.metrics import MeshMetrics
from hmmm.errors import excerpt

Arguments = TypeVarTuple("Arguments")

_log = structlog.stdlib.get_logger("bzzz.mesh")


class Background:
    """Starts tasks that live no longer than the mesh; an unexpected exception is counted, logged and ends that task."""

    def __init__(self, metrics: MeshMetrics) -> None:
        self._metrics = metrics
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run tasks until `end`. Started before the host listens: no connection may come too early."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Cancel all tasks and wait until they are gone."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await self._ended.wait()

    def start(self, function: Callable[[*Arguments], Awaitable[object]], *arguments: *Arguments) -> None:
        """Start a task. Before `run` and after `end`, nothing happens."""
        nursery = self._nursery
        if nursery is None or nursery.cancel_scope.cancel_called:
            return

        async def guarded() -> None:
            try:
                await function(*arguments)
            except Exception as error:  # the task's own failure; Cancelled is none and passes
                self.failed(function, error)

        nursery.start_soon(guarded, name=function)

    def failed(self, where: object, error: Exception) -> None:
        """Take note of an unexpected exception."""
        self._metrics.failures.inc()
        name = getattr(where, "__qualname__", str(where))
        _log.warning("task failed", task=name, error=excerpt(repr(error)))
