"""The images, built once for the whole run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.images.build import Built, build
from tools.images.catalogue import find
from tools.images.store import Store, cache_folder

TAG = "dev"
Run = Callable[..., str]


@pytest.fixture(scope="session")
def built() -> dict[str, Built]:
    """Every image by its name."""
    return {image.name: image for image in build(tag=TAG)}


@pytest.fixture(scope="session")
def run(built: dict[str, Built]) -> Run:
    """Run a command in a fresh container of an image, as its user; returns what it printed, fails as it fails."""
    store = Store(cache_folder())

    def run_in(name: str, *argv: str) -> str:
        done = store.command(built[find([name])[-1].name].reference, argv)
        assert done.returncode == 0, (
            f"{name}: {argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
        )
        return done.stdout

    return run_in
