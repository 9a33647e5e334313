"""Fixtures: a hive with a running scribe, one for a test or one for a module that only reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scribe.kube import ROOT, Cluster
from tests.scribe.rig import Rig
from tests.support.kube_api import ApiServer
from tests.support.processes import Processes, eventually
from tests.support.sidecar import Logs


@contextmanager
def running_rig() -> Iterator[Rig]:
    """A rig in a path short enough for unix sockets; its processes are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="bs", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            yield Rig(processes, Logs(processes, folder), folder / "scribe")


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A hive of this test alone, its scribe not started."""
    with running_rig() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """A hive for tests that only read, its scribe not started."""
    with running_rig() as made:
        yield made


@pytest.fixture(scope="session")
def kube() -> Iterator[ApiServer]:
    """An API server with the custom resources' definitions; each test has a namespace of its own."""
    with ApiServer.start() as api:
        for definition in sorted((ROOT / "crds").glob("*.yaml")):
            api.kubectl("apply", "--server-side", "-f", str(definition))
        eventually(
            lambda: api.kubectl("get", "hiveagents,metadiscussions", "-A", check=False).returncode == 0,
            within=60,
            what="the custom resources are served",
        )
        yield api


@pytest.fixture
def cluster(kube: ApiServer, rig: Rig) -> Cluster:
    """A hive in a namespace of this test alone, its scribe not started."""
    return Cluster(kube, rig)
