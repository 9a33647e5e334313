"""A user of their own for each agent's commands."""

from __future__ import annotations

import pwd
import random
from collections.abc import Iterator
from typing import Final

import psutil

RUNNER_UIDS: Final = range(20_000, 60_000)
"""Drawn at random per hive: two hives of one machine must not share one, for a runner ends all of its UID."""


def free_uids(count: int) -> list[int | None]:
    """Return UIDs that no account has and no process runs under."""
    used = {entry.pw_uid for entry in pwd.getpwall()} | set(_uids_in_use())
    return list(random.SystemRandom().sample([uid for uid in RUNNER_UIDS if uid not in used], count))


def _uids_in_use() -> Iterator[int]:
    for process in psutil.process_iter():
        try:
            yield process.uids().real
        except psutil.Error:
            continue
