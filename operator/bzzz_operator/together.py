"""Several calls at once, all of which are over before the first failure is told: nothing goes on behind one's back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

A = TypeVar("A")


async def all_of(*calls: Awaitable[A]) -> list[A]:
    """Return what they return, in their order. Raises the first failure once all have ended."""
    ended = await asyncio.gather(*calls, return_exceptions=True)
    return [_value(one) for one in ended]


def _value(ended: A | BaseException) -> A:
    if isinstance(ended, BaseException):
        raise ended
    return ended
