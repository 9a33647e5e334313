"""The run's one cluster, the images in it, and one hive that most tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.hive import PodHive, hive_agent
from tests.support.cluster import cluster
from tools.cluster import Cluster
from tools.up.deploy import load_images

__all__ = ["cluster"]


@pytest.fixture(scope="session")
def loaded(cluster: Cluster) -> Cluster:
    """The cluster with this checkout's images in its nodes."""
    load_images(cluster)
    return cluster


@pytest.fixture(scope="session")
def hive(loaded: Cluster) -> Iterator[PodHive]:
    """A hive of two agents called `edit`."""
    made = PodHive.install(loaded, "hive-one")
    try:
        made.apply(hive_agent("edit"))
        yield made
    finally:
        made.close()
