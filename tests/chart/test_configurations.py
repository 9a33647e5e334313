"""What the chart tells the programs is what the programs take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bzzz_operator.network.flows import ANSWERS_PORT
from bzzz_operator.settings import OperatorSettings
from bzzz_scribe.settings import ScribeSettings
from tests.chart.rendering import EVERYTHING, ROOT, VARIANTS, Json, config, pods, render
from tools.images.catalogue import IMAGES

SIDECAR_CONFIG = ROOT / "sidecar" / "lib" / "config.js"


def operator_settings(values: Json) -> OperatorSettings:
    return OperatorSettings.model_validate_json(
        json.dumps(config(render(values), "bzzz-operator-config", "operator.json"))
    )


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_the_operator_takes_its_configuration(values: Json) -> None:
    settings = operator_settings(values)
    assert (settings.hive, settings.namespace) == ("bzzz", "hives")
    assert settings.archive.url == "http://bzzz-archive.hives.svc:8081"


def test_every_value_for_agents_reaches_the_operator() -> None:
    settings = operator_settings(EVERYTHING)
    assert settings.public_url == "https://hive.example.org"
    assert settings.images.agent == "ghcr.io/bzzz-hive/agent:dev"
    assert settings.images.sidecar == f"ghcr.io/bzzz-hive/sidecar:dev@sha256:{'a' * 64}"
    assert settings.images.pull_secrets == ("registry",)
    assert settings.runtime_class_name == "gvisor"
    assert settings.storage.storage_class == "fast"
    assert settings.pods.node_selector == {"pool": "agents"}
    assert settings.pods.tolerations[0]["key"] == "agents"
    assert settings.pods.labels == {"team": "tools"}
    assert settings.maxima.window == timedelta(seconds=90)
    assert (settings.claims.lease_s, settings.claims.poll_interval_s, settings.claims.back_off_s) == (
        900,
        15,
        300,
    )
    assert settings.model_url == "http://bzzz-model.hives.svc:8080/v1"
    assert settings.network_policies.in_cluster[0].port == 3000
    assert settings.escalation is not None
    assert settings.escalation.url == "http://n8n.tools.svc/webhook/bzzz-escalation"
    assert (settings.escalation.secret_name, settings.escalation.answer_port) == ("escalation", ANSWERS_PORT)
    assert settings.network_policies.metrics_from == {"kubernetes.io/metadata.name": "monitoring"}


def test_the_charts_defaults_for_agents_are_the_operators_own() -> None:
    given, own = operator_settings({}), OperatorSettings.model_fields
    assert given.resources == own["resources"].get_default(call_default_factory=True)
    assert given.maxima == own["maxima"].get_default(call_default_factory=True)
    assert given.network_policies == own["network_policies"].get_default(call_default_factory=True)
    assert given.workspace == own["workspace"].get_default(call_default_factory=True)
    assert given.drain_timeout == own["drain_timeout"].default


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_the_scribe_takes_its_configuration(values: Json) -> None:
    raw = config(render(values), "bzzz-scribe-config", "scribe.json")
    settings = ScribeSettings.model_validate_json(json.dumps(raw))
    assert settings.node_id == "bzzz-scribe"


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_the_archive_takes_its_configuration(values: Json, tmp_path: Path) -> None:
    raw = config(render(values), "bzzz-archive-config", "archive.json")
    for key, content in (("tokenFile", "t" * 32), ("noiseSeedFile", "ab" * 32)):
        (tmp_path / key).write_text(content)
        raw[key] = str(tmp_path / key)
    file = tmp_path / "archive.json"
    file.write_text(json.dumps(raw))
    read = (
        f"const c = require('{SIDECAR_CONFIG}').readArchiveConfig('{file}'); console.log(JSON.stringify(c))"
    )
    done = subprocess.run(["node", "-e", read], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["http"] == {"host": "0.0.0.0", "port": 8081}


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_files_that_a_configuration_names_are_mounted(values: Json) -> None:
    objects = render(values)
    for name, pod in pods(objects):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        if component not in {"scribe", "archive"}:
            continue
        mounts = [m["mountPath"] for c in pod["spec"]["containers"] for m in c["volumeMounts"]]
        raw = json.dumps(config(objects, f"bzzz-{component}-config", f"{component}.json"))
        for path in re.findall(r'"(/(?:etc|var|data)[^"]*)"', raw):
            assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), (name, path)


def test_pods_run_as_the_user_that_their_image_was_made_for() -> None:
    uids = {image.name: image.uid for image in IMAGES}
    for name, pod in pods(render(EVERYTHING)):
        for container in pod["spec"]["containers"]:
            repository = container["image"].split("/")[-1].split(":")[0]
            if repository in uids:
                assert pod["spec"]["securityContext"]["runAsUser"] == uids[repository], name


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("bzzz-operator", ["-m", "bzzz_operator", "run"]),
        ("bzzz-scribe", ["-m", "bzzz_scribe"]),
        ("bzzz-model", ["-m", "bzzz_agent.reasoning.embedded"]),
    ],
)
def test_programs_know_the_flags_that_the_chart_gives_them(name: str, command: list[str]) -> None:
    pod = next(pod for owner, pod in pods(render(EVERYTHING)) if owner == f"Deployment/{name}")
    container = pod["spec"]["containers"][0]
    if container["args"][0] == "run":
        assert command[-1] == "run"
    asked = [sys.executable, *command, "--help"]
    usage = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout
    flags = [argument for argument in container["args"] if argument.startswith("--")]
    assert flags
    assert [flag for flag in flags if flag not in usage] == []
