"""Asking the API server until it answers, for what nothing can begin without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bzzz_operator.errors import ApiError

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0


async def until_answered(call: Callable[[], Awaitable[None]]) -> None:
    """Call until it succeeds.

    Whatever the API server says is told and tried again: a definition that is not installed yet (404) and rights that
    are not given yet (403) come, too.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await call()
        except ApiError as error:
            log.warning("the API server does not let us begin yet", error=str(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        else:
            return
