"""Every pod of the chart is closed as architecture §3 asks, whatever the values."""

from __future__ import annotations

import pytest

from tests.chart.rendering import VARIANTS, Json, pods, render

API_CLIENTS = {"operator", "scribe", "crds", "check"}
"""The only pods with a ServiceAccount's token."""

ALL_PODS = [
    pytest.param(pod, id=f"{variant}-{name}")
    for variant, values in VARIANTS.items()
    for name, pod in pods(render(values))
]


@pytest.mark.parametrize("pod", ALL_PODS)
def test_containers_run_without_root_without_rights_and_within_bounds(pod: Json) -> None:
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 10000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("pod", ALL_PODS)
def test_nothing_of_the_node_is_shared(pod: Json) -> None:
    spec = pod["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert not [v for v in spec["volumes"] if "hostPath" in v]
    for volume in spec["volumes"]:
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"]
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize("pod", ALL_PODS)
def test_only_what_speaks_to_the_api_server_has_a_token_for_it(pod: Json) -> None:
    component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    assert pod["spec"]["automountServiceAccountToken"] is (component in API_CLIENTS)
    assert pod["spec"]["enableServiceLinks"] is False
    assert pod["spec"]["serviceAccountName"] != "default"


@pytest.mark.parametrize("pod", ALL_PODS)
def test_no_pod_but_the_operators_could_come_by_the_hive_key(pod: Json) -> None:
    mounted = {v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v}
    assert "bzzz-hive-key" not in mounted
    allowed = {
        "operator": set[str](),
        "scribe": {"bzzz-scribe-keys", "bzzz-archive-token"},
        "archive": {"bzzz-archive-keys", "bzzz-archive-token"},
        "check": {"bzzz-archive-token", "bzzz-metrics-token"},
        "n8n": {"n8n-import"},
    }
    component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    assert mounted == allowed.get(component, set())
