"""Once more where the runner ended: a step that only uses the workspace leaves nothing behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from bzzz_agent.execution.errors import RunnerUnavailableError

log = structlog.get_logger("bzzz.agent.execution")

T = TypeVar("T")


async def once_more(step: Callable[[], Awaitable[T]]) -> T:
    """Carry a step out, and a second time where its runner ended amid it: restarted, evicted, out of memory.

    A second time that ends like that is the step's own doing, and is raised: RunnerUnavailableError.
    """
    try:
        return await step()
    except RunnerUnavailableError as error:
        log.warning("the workspace's runner ended amid a step, which is done again", problem=str(error))
    return await step()
