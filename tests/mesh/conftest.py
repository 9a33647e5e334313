"""Fixtures of the mesh's tests; what they are made of is in support.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from bzzz_mesh import LimitSettings
from tests.mesh.support import Hive, NodeProcess


@pytest.fixture
def hive() -> Hive:
    return Hive()


@pytest.fixture
def fast_limits() -> LimitSettings:
    """Limits for tests that measure loss, not rates."""
    return replace(LimitSettings(), author_messages_per_s=100_000.0, author_burst=100_000)


@pytest.fixture
def start_process(hive: Hive) -> Iterator[Callable[..., NodeProcess]]:
    """Start nodes in processes of their own; they end with the test."""
    started: list[NodeProcess] = []

    def start(number: int, *others: str, **options: Any) -> NodeProcess:
        started.append(NodeProcess(hive, number, *others, **options))
        return started[-1]

    yield start
    for process in started:
        process.end()
