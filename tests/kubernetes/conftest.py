"""The run's one cluster, the images in it, and one hive that most tests share.

While developing: BZZZ_TEST_NAMESPACE puts the hive into a namespace of your own on a cluster that others use too, and
BZZZ_TEST_IMAGES=loaded takes the images that its nodes have, whatever the checkout says.
"""

from __future__ import annotations

import os
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
    if os.environ.get("BZZZ_TEST_IMAGES") != "loaded":
        load_images(cluster)
    return cluster


@pytest.fixture(scope="session")
def hive(loaded: Cluster) -> Iterator[PodHive]:
    """A hive of two agents called `edit`, which alone take issues with the label `tool:edit`."""
    made = PodHive.install(loaded, os.environ.get("BZZZ_TEST_NAMESPACE", "hive-one"))
    try:
        made.apply(hive_agent("edit", capabilities={"tools": ["edit"]}), ready_within=300)
        yield made
    finally:
        made.close()
