"""What the chart renders: the objects of the contract, under names that two hives do not share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chart.rendering import (
    CHART,
    NOTHING,
    ROOT,
    VARIANTS,
    Json,
    find,
    helm,
    is_hook,
    named,
    pods,
    render,
    template,
)
from tools.cluster.layout import KUBERNETES_VERSION

CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}

EXPECTED = {
    "Deployment/bzzz-operator",
    "Deployment/bzzz-scribe",
    "StatefulSet/bzzz-archive",
    "Service/bzzz-scribe",
    "Service/bzzz-archive",
    "Service/bzzz-operator-metrics",
    "ConfigMap/bzzz-operator-config",
    "ConfigMap/bzzz-scribe-config",
    "ConfigMap/bzzz-archive-config",
    "ServiceAccount/bzzz-operator",
    "ServiceAccount/bzzz-scribe",
    "ServiceAccount/bzzz-archive",
    "Role/bzzz-operator",
    "Role/bzzz-scribe",
    "RoleBinding/bzzz-operator",
    "RoleBinding/bzzz-scribe",
    "ClusterRole/hives-bzzz-operator",
    "ClusterRoleBinding/hives-bzzz-operator",
    "ClusterRole/hives-bzzz-view",
    "ClusterRole/hives-bzzz-edit",
    "ValidatingAdmissionPolicy/hives-bzzz-scribe-resolution",
    "ValidatingAdmissionPolicyBinding/hives-bzzz-scribe-resolution",
    *(f"NetworkPolicy/bzzz-{name}" for name in ("operator", "scribe", "archive")),
    *(f"PodDisruptionBudget/bzzz-{name}" for name in ("operator", "scribe", "archive")),
    *(f"{kind}/bzzz-check" for kind in ("ServiceAccount", "Role", "RoleBinding", "ConfigMap")),
    "NetworkPolicy/bzzz-check",
    "NetworkPolicy/bzzz-check-archive",
    "NetworkPolicy/bzzz-check-operator",
}
HOOKS = {
    *(f"{kind}/bzzz-crds" for kind in ("ServiceAccount", "NetworkPolicy", "Job")),
    *(f"{kind}/hives-bzzz-crds" for kind in ("ClusterRole", "ClusterRoleBinding")),
    "Pod/bzzz-check",
}


def test_the_defaults_render_what_a_hive_is_made_of() -> None:
    objects = render()
    assert {named(o) for o in objects if not is_hook(o)} == EXPECTED
    assert {named(o) for o in objects if is_hook(o)} == HOOKS


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_helms_linter_has_nothing_to_say(values: Json, tmp_path: Path) -> None:
    import json

    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    done = helm("lint", "--strict", CHART, "--values", file, "--kube-version", KUBERNETES_VERSION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_rendering_twice_gives_the_same_bytes(values: Json) -> None:
    assert template(values).stdout == template(values).stdout


def test_with_everything_cluster_wide_off_a_namespace_is_enough() -> None:
    assert not [named(o) for o in render(NOTHING) if o["kind"] in CLUSTER_WIDE]


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_no_two_objects_have_one_name_and_all_say_their_namespace(values: Json) -> None:
    objects = render(values)
    assert len({named(o) for o in objects}) == len(objects)
    for item in objects:
        wanted = None if item["kind"] in CLUSTER_WIDE else "hives"
        assert item["metadata"].get("namespace") == wanted, named(item)


def test_a_hive_may_be_named_otherwise_than_its_release() -> None:
    objects = render({"hive": "swarm"}, release="other")
    owned = [o for o in objects if o["kind"] not in CLUSTER_WIDE]
    assert all(o["metadata"]["name"].startswith("swarm") for o in owned)
    assert all(o["metadata"]["labels"]["bzzz.dev/hive"] == "swarm" for o in objects)
    assert all(o["metadata"]["labels"]["app.kubernetes.io/instance"] == "other" for o in objects)


@pytest.mark.parametrize("release", ["a" * 53, "release.with.dots-and-more-" + "x" * 26])
def test_a_long_release_name_is_cut_to_a_name_that_the_operator_takes(release: str) -> None:
    objects = render(release=release)
    hive = find(objects, "Deployment", next(n for k, n in _names(objects) if k == "Deployment"))["metadata"][
        "labels"
    ]["bzzz.dev/hive"]
    assert len(hive) <= 45
    assert "." not in hive
    for item in objects:
        for value in item["metadata"]["labels"].values():
            assert len(value) <= 63, named(item)
        if item["kind"] == "Service":
            assert len(item["metadata"]["name"]) <= 63


def test_two_long_release_names_that_begin_alike_stay_two_hives() -> None:
    names = [render(release="a" * 52 + end)[0]["metadata"]["labels"]["bzzz.dev/hive"] for end in ("b", "c")]
    assert names[0] != names[1]


def test_a_changed_configuration_replaces_the_pods_that_read_it() -> None:
    key = "bzzz.dev/config-hash"
    before = {name: pod["metadata"]["annotations"].get(key) for name, pod in pods(render())}
    after = {
        name: pod["metadata"]["annotations"].get(key)
        for name, pod in pods(render({"publicUrl": "https://hive.example.org", "operator": {"workers": 8}}))
    }
    assert before["Deployment/bzzz-operator"] != after["Deployment/bzzz-operator"]
    assert before["Deployment/bzzz-scribe"] != after["Deployment/bzzz-scribe"]
    assert before["StatefulSet/bzzz-archive"] == after["StatefulSet/bzzz-archive"] is not None


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_selectors_choose_exactly_the_pods_of_their_component(values: Json) -> None:
    objects = render(values)
    templates = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    for item in objects:
        spec = item.get("spec", {})
        if item["kind"] == "Service":
            chosen = spec["selector"]
        elif item["kind"] in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
            chosen = spec["selector"]["matchLabels"]
        else:
            continue
        hits = [labels for labels in templates if chosen.items() <= labels.items()]
        assert len(hits) == 1, named(item)


def test_nothing_holds_up_an_uninstall() -> None:
    for item in render():
        assert "finalizers" not in item["metadata"]
        assert "helm.sh/resource-policy" not in item["metadata"].get("annotations", {})


def test_hooks_are_gone_when_they_have_done_their_work() -> None:
    for item in filter(is_hook, render()):
        annotations = item["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] in {"pre-install,pre-upgrade", "test"}
        # but for the pod whose log is what people want to see
        gone = "before-hook-creation" if item["kind"] == "Pod" else "before-hook-creation,hook-succeeded"
        assert annotations["helm.sh/hook-delete-policy"] == gone, named(item)


def test_the_charts_crds_are_the_projects_byte_for_byte() -> None:
    ours = {path.name: path.read_bytes() for path in (CHART / "crds").iterdir()}
    assert ours == {path.name: path.read_bytes() for path in (ROOT / "crds").glob("*.yaml")}
    assert set(ours) == {"hiveagents.bzzz.dev.yaml", "metadiscussions.bzzz.dev.yaml"}


def _names(objects: list[Json]) -> list[tuple[str, str]]:
    return [(o["kind"], o["metadata"]["name"]) for o in objects]
