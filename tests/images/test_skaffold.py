"""skaffold.yaml speaks of the images, Dockerfiles and values that there are."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tools.images.catalogue import IMAGES, REGISTRY, ROOT

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
PATCHES: list[dict[str, Any]] = [patch for profile in CONFIG["profiles"] for patch in profile["patches"]]
ARTIFACTS: list[dict[str, Any]] = [
    *CONFIG["build"]["artifacts"],
    *(patch["value"] for patch in PATCHES if patch["path"] == "/build/artifacts/-"),
]
RELEASE: dict[str, Any] = CONFIG["deploy"]["helm"]["releases"][0]
TEMPLATES: dict[str, str] = {
    **RELEASE["setValueTemplates"],
    **{p["path"].rsplit("/", 1)[1]: p["value"] for p in PATCHES if "setValueTemplates" in p["path"]},
}


def test_every_image_is_an_artifact_with_its_own_dockerfile() -> None:
    said = {artifact["image"]: artifact["docker"]["dockerfile"] for artifact in ARTIFACTS}
    assert said == {f"{REGISTRY}/{image.name}": image.dockerfile for image in IMAGES}


def test_what_an_image_builds_on_is_handed_to_its_dockerfile() -> None:
    said = {
        artifact["image"]: {need["alias"]: need["image"] for need in artifact["requires"]}
        for artifact in ARTIFACTS
        if "requires" in artifact
    }
    assert said == {
        f"{REGISTRY}/{image.name}": {key: f"{REGISTRY}/{name}" for key, name in image.on.items()}
        for image in IMAGES
        if image.on
    }


@pytest.mark.parametrize("key", TEMPLATES)
def test_every_value_that_is_set_is_one_of_the_charts(key: str) -> None:
    values: Any = yaml.safe_load((ROOT / RELEASE["chartPath"] / "values.yaml").read_text())
    for part in key.split("."):
        assert part in values, f"{key} is no value of the chart"
        values = values[part]


def test_every_template_names_the_artifact_of_its_key() -> None:
    artifacts = {re.sub(r"[^A-Za-z0-9]", "_", artifact["image"]): artifact["image"] for artifact in ARTIFACTS}
    for key, template in TEMPLATES.items():
        name, what = key.split(".")[1:]
        match = re.fullmatch(r"\{\{\.IMAGE_(REPO|TAG)_(\w+)\}\}", template)
        assert match, template
        assert artifacts[match[2]] == f"{REGISTRY}/{name}"
        assert match[1] == {"repository": "REPO", "tag": "TAG"}[what]


def test_every_image_that_the_chart_knows_is_given_to_it() -> None:
    values = yaml.safe_load((ROOT / RELEASE["chartPath"] / "values.yaml").read_text())["images"]
    known = {name for name, value in values.items() if isinstance(value, dict)}
    assert {key.split(".")[1] for key in TEMPLATES} == known
    assert values["registry"] == REGISTRY
