"""Running blocking calls in worker threads, typed.

libp2p brings trio-typing along, whose stubs of trio are older than trio itself and hide its own types from the
checker; the cast is confined to this module.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import trio

T = TypeVar("T")

_run_sync = cast("Callable[..., Awaitable[object]]", trio.to_thread.run_sync)  # pyright: ignore[reportUnknownMemberType]


async def in_thread(call: Callable[[], T], *, limiter: trio.CapacityLimiter, abandon: bool) -> T:
    """Run a call in a worker thread; with `abandon`, cancellation leaves it running there, its slot taken."""
    return cast("T", await _run_sync(call, limiter=limiter, abandon_on_cancel=abandon))
