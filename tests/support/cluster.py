"""The one Kubernetes cluster of a test run, shared by all suites that need it.

A conftest takes the fixtures over: `from tests.support.cluster import cluster, namespace`. The cluster's state
folder is what BZZZ_CLUSTER_STATE says; then it is left running for the next suite, and whoever set the variable ends
it with `python -m tools.cluster down --state …`. Without it, pytest's own run starts one and ends it.

Suites that use it need `pytestmark = pytest.mark.timeout(…)` well above a start: 15 s, ten minutes if nothing is built.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from pathlib import Path

import pytest

from tools.cluster import Cluster, MissingToolError

STATE_VARIABLE = "BZZZ_CLUSTER_STATE"
OWN_STATE = Path("build/cluster-test")
TEST_IMAGE = "docker.io/library/busybox:1.35.0"
"""In every node of the built-in cluster: sh, nslookup, wget (no -T), nc, httpd, timeout."""


@pytest.fixture(scope="session")
def cluster() -> Generator[Cluster, None, None]:
    """The run's cluster, up and healthy."""
    shared = os.environ.get(STATE_VARIABLE)
    state = Path(shared) if shared else OWN_STATE
    try:
        running = Cluster.up(state)
    except MissingToolError as error:
        pytest.skip(f"no cluster can be started here: {error}")
    yield running
    if not shared:
        running.down()


@pytest.fixture
def namespace(cluster: Cluster) -> Generator[str, None, None]:
    """A namespace of the test's own; removed, without waiting, when the test ends."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl.run("create", "namespace", name)
    yield name
    cluster.kubectl.run("delete", "namespace", name, "--wait=false")
