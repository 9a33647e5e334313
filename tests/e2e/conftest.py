"""Fixtures: hives that end with the test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.hive import Hive


@pytest.fixture
def hive_of() -> Iterator[Callable[..., Hive]]:
    """Makes a hive from HiveAgents and issues; not started yet."""
    made: list[Hive] = []
    with tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as name:

        def make(manifests: list[dict[str, Any]], issues: list[dict[str, Any]]) -> Hive:
            folder = Path(name) / str(len(made))
            folder.mkdir()
            made.append(Hive(folder, manifests, issues))
            return made[-1]

        try:
            yield make
        finally:
            for hive in made:
                hive.end()
