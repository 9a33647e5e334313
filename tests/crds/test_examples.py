"""Every example is taken by the models and by the API server, with what stands in comments too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from bzzz_crds import load_manifests
from tests.crds.posting import refused_fields, send
from tests.support.kube_api import ApiServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {path.relative_to(EXAMPLES).as_posix(): path for path in sorted(EXAMPLES.glob("**/*.yaml"))}
MANIFESTS = {name: path.read_text() for name, path in FILES.items() if "kind: HiveAgent" in path.read_text()}


def uncommented(text: str) -> str:
    """Return a manifest with its optional agent, a document in comments, taken in."""
    before, marker, optional = text.partition("# ---\n")
    return text if not marker else f"{before}---\n{re.sub('^# ?', '', optional, flags=re.MULTILINE)}"


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_example_is_taken_by_models_and_server(api: ApiServer, name: str) -> None:
    text = uncommented(MANIFESTS[name])
    assert len(load_manifests(text)) == len(load_manifests(MANIFESTS[name])) + ("# ---\n" in MANIFESTS[name])
    for document in yaml.safe_load_all(text):
        answer = send(api, document)
        assert refused_fields(answer) == [], answer["message"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_example_is_one_hive(name: str) -> None:
    agents = load_manifests(uncommented(MANIFESTS[name]))
    assert len({agent.spec.github.repositories for agent in agents}) == 1
    assert sum(agent.spec.replicas for agent in agents) >= 2


def test_the_clusters_example_needs_neither_key_nor_internet() -> None:
    for agent in load_manifests(MANIFESTS["hiveagent.yaml"]):
        assert agent.spec.model is None
        assert agent.spec.github.api_url == "http://github:8000"
        assert agent.spec.github.credentials_secret_ref is not None
