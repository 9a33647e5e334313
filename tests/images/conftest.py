"""The images, built once for the whole run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tools.images.build import Built, build
from tools.images.store import Command, Store, cache_folder

TAG = "dev"
Run = Callable[..., str]


@pytest.fixture(scope="session")
def built() -> dict[str, Built]:
    """Every image by its name."""
    return {image.name: image for image in build(tag=TAG)}


@pytest.fixture(scope="session")
def run(built: dict[str, Built]) -> Iterator[Run]:
    """Run a command in a container of an image, as its user; returns what it printed, fails as it fails."""
    store = Store(cache_folder())
    containers: dict[str, Command] = {}
    with contextlib.ExitStack() as stack:

        def run_in(name: str, *argv: str) -> str:
            if name not in containers:
                containers[name] = stack.enter_context(store.container(built[name].reference))
            done = containers[name](*argv)
            assert done.returncode == 0, (
                f"{name}: {argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
            )
            return done.stdout

        yield run_in
