"""One API server for the tests of the custom resources, with the definitions of this checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kube_api import ApiServer

CRDS = Path(__file__).resolve().parents[2] / "crds"


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    with ApiServer.start() as server:
        for path in sorted(CRDS.glob("*.yaml")):
            server.apply(path.read_text())
        yield server
