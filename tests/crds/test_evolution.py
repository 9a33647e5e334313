"""Objects that were stored under an earlier release's definitions outlive the upgrade to these."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bzzz_crds import HiveAgent, MetaDiscussion
from tests.crds.conftest import CRDS
from tests.crds.edges import DISCUSSION
from tests.crds.tables import GOOD, SMALLEST
from tests.crds.test_definitions import AGENT_STATUS, DISCUSSION_STATUS, SEEN, manage, stored
from tests.support.kube_api import ApiServer

RELEASES = sorted((Path(__file__).parent / "fixtures").iterdir())
"""A folder a release whose stored schema differs, oldest first; the first holds the first definitions ever made."""


@pytest.fixture(params=RELEASES, ids=lambda folder: folder.name)
def upgraded(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """Return a server where objects were stored under a release's definitions, which then were replaced by ours."""
    with ApiServer.start() as api:
        for path in sorted(request.param.glob("*.yaml")):
            api.apply(path.read_text())
        agent = stored(api, GOOD, "default")
        manage(api, agent | {"status": {**AGENT_STATUS, **SEEN}}, "bzzz-operator", "--subresource=status")
        stored(api, SMALLEST, "default")
        discussion = stored(api, DISCUSSION, "default")
        manage(api, discussion | {"status": DISCUSSION_STATUS}, "bzzz-scribe", "--subresource=status")
        for path in sorted(CRDS.glob("*.yaml")):
            api.apply(path.read_text(), "--force-conflicts")
        api.restart()  # nothing is served from a cache of before
        yield api


def read(api: ApiServer, resource: str) -> dict[str, Any]:
    return json.loads(api.kubectl("get", resource, "-o", "json").stdout)


def validated(
    found: dict[str, Any], model: type[HiveAgent] | type[MetaDiscussion]
) -> HiveAgent | MetaDiscussion:
    name = {"name": found["metadata"]["name"]}
    return model.model_validate({**found, "metadata": name})


def test_an_object_of_before_is_served_whole_and_reconciled(upgraded: ApiServer) -> None:
    agent, discussion = read(upgraded, "ha/bzzz"), read(upgraded, "md/acme-widgets-42-1a2b3c")
    assert agent["status"] == {**AGENT_STATUS, **SEEN}
    assert discussion["status"]["verdict"] == DISCUSSION_STATUS["verdict"]
    assert validated(agent, HiveAgent).spec == HiveAgent.model_validate(yaml.safe_load(GOOD)).spec
    assert (
        validated(read(upgraded, "ha/tiny"), HiveAgent).spec
        == HiveAgent.model_validate(yaml.safe_load(SMALLEST)).spec
    )
    assert validated(discussion, MetaDiscussion).spec.issue.number == 42

    upgraded.kubectl("scale", "ha/bzzz", "--replicas=4")
    upgraded.apply(GOOD.replace("replicas: 3", "replicas: 5"), "--force-conflicts")
    name = {key: agent[key] for key in ("apiVersion", "kind")} | {
        "metadata": {"name": "bzzz", "namespace": "default"}
    }
    manage(
        upgraded,
        name | {"status": {**AGENT_STATUS, **SEEN, "ready": "5/5"}},
        "bzzz-operator",
        "--subresource=status",
    )
    after = read(upgraded, "ha/bzzz")
    assert (after["spec"]["replicas"], after["status"]["ready"]) == (5, "5/5")
