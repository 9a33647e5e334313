"""The rendered manifests on a real API server: schemas, admission, rights, and what the scribe may not write."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator

import pytest

from bzzz_operator import rights
from tests.chart.asking import ask, token_of
from tests.chart.kube_schemas import write_schemas
from tests.chart.rendering import (
    CHART,
    VARIANTS,
    Json,
    documents,
    find,
    is_hook,
    named,
    program,
    render,
    text,
)
from tests.support.kube_api import ApiServer

FOREIGN = "PodMonitor,ServiceMonitor,PrometheusRule"
"""Kinds of the Prometheus operator, which this API server does not know."""
CRDS = {"hiveagents.bzzz.dev", "metadiscussions.bzzz.dev"}


@pytest.fixture(scope="module")
def api() -> Generator[ApiServer]:
    """An API server with the chart's CRDs."""
    with ApiServer.start() as server:
        for path in sorted((CHART / "crds").iterdir()):
            server.apply(path.read_text())
        yield server


@pytest.fixture(scope="module")
def schemas(api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where kubeconform finds the schemas of that API server."""
    return write_schemas(api, tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="module")
def hive(api: ApiServer) -> str:
    """A namespace in which the chart is applied; the hive is called bzzz."""
    namespace = api.namespace()
    api.apply(manifests(namespace))
    return namespace


def manifests(namespace: str, values: Json | None = None, hooks: bool = False) -> str:
    """Return the chart's objects, but for those of foreign kinds, as JSON documents."""
    return documents(
        o
        for o in render(values, namespace=namespace)
        if (hooks or not is_hook(o)) and o["kind"] not in FOREIGN.split(",")
    )


def conform(location: str, manifest: str) -> subprocess.CompletedProcess[str]:
    """Run kubeconform."""
    command = [str(program("kubeconform")), "-strict", "-summary", "-skip", FOREIGN]
    return subprocess.run(
        [*command, "-schema-location", location, "-"],
        input=manifest,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_every_manifest_fits_the_schema_of_its_kind(schemas: str, values: Json) -> None:
    done = conform(schemas, text(values))
    assert done.returncode == 0, done.stdout
    assert "Invalid: 0, Errors: 0" in done.stdout


def test_that_check_would_find_a_misspelt_field(schemas: str) -> None:
    service = find(render(), "Service", "bzzz-scribe")
    service["spec"]["selectors"] = service["spec"].pop("selector")
    done = conform(schemas, json.dumps(service))
    assert done.returncode != 0
    assert "selectors" in done.stdout


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_the_api_server_would_take_every_manifest(api: ApiServer, values: Json) -> None:
    namespace = api.namespace()
    api.kubectl(
        *("apply", "--dry-run=server", "--warnings-as-errors", "-f", "-"),
        input=manifests(namespace, values, hooks=True),
    )


SCRIBE, OPERATOR, ARCHIVE = "bzzz-scribe", "bzzz-operator", "bzzz-archive"
CAN = [
    (OPERATOR, "create", "statefulsets.apps"),
    (OPERATOR, "patch", "hiveagents.bzzz.dev/status"),
    (OPERATOR, "patch", "metadiscussions.bzzz.dev/status"),
    (OPERATOR, "get", "secrets/bzzz-hive-key"),
    (OPERATOR, "create", "secrets"),
    (OPERATOR, "delete", "pods"),
    (OPERATOR, "update", "leases.coordination.k8s.io"),
    (OPERATOR, "list", "storageclasses.storage.k8s.io"),
    (SCRIBE, "watch", "hiveagents.bzzz.dev"),
    (SCRIBE, "patch", "hiveagents.bzzz.dev/status"),
    (SCRIBE, "create", "metadiscussions.bzzz.dev"),
    (SCRIBE, "patch", "metadiscussions.bzzz.dev/status"),
    (SCRIBE, "get", "configmaps/bzzz-members"),
    (SCRIBE, "watch", "configmaps/bzzz-members"),
    (SCRIBE, "create", "events"),
]
CANNOT = [
    (OPERATOR, "delete", "secrets"),
    (OPERATOR, "delete", "configmaps"),
    (OPERATOR, "patch", "hiveagents.bzzz.dev"),
    (OPERATOR, "delete", "hiveagents.bzzz.dev"),
    (OPERATOR, "patch", "metadiscussions.bzzz.dev"),
    (OPERATOR, "create", "pods/exec"),
    (OPERATOR, "create", "pods"),
    (OPERATOR, "create", "roles.rbac.authorization.k8s.io"),
    (OPERATOR, "patch", "customresourcedefinitions.apiextensions.k8s.io"),
    (OPERATOR, "get", "nodes"),
    (SCRIBE, "get", "secrets"),
    (SCRIBE, "list", "secrets"),
    (SCRIBE, "get", "secrets/bzzz-hive-key"),
    (SCRIBE, "get", "configmaps/bzzz-operator-config"),
    (SCRIBE, "list", "configmaps"),
    (SCRIBE, "patch", "configmaps/bzzz-members"),
    (SCRIBE, "patch", "hiveagents.bzzz.dev"),
    (SCRIBE, "create", "hiveagents.bzzz.dev"),
    (SCRIBE, "delete", "hiveagents.bzzz.dev"),
    (SCRIBE, "list", "pods"),
    (SCRIBE, "get", "storageclasses.storage.k8s.io"),
    (ARCHIVE, "get", "configmaps"),
    (ARCHIVE, "get", "secrets"),
    (ARCHIVE, "list", "hiveagents.bzzz.dev"),
]


def may(api: ApiServer, namespace: str, account: str, verb: str, what: str, of: str = "") -> bool:
    """Ask the API server whether a ServiceAccount may do something in a namespace, as `kubectl auth can-i` does.

    `what` is `resource.group/name` or `resource.group/subresource`; `of` is the account's namespace if another.
    """
    kind, _, rest = what.partition("/")
    resource, _, group = kind.partition(".")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
    attributes["subresource" if rest in {"status", "exec"} else "name"] = rest
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{of or namespace}:{account}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }
    answer = ask(api, api.admin_token, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", asked)
    return bool(answer.json()["status"]["allowed"])


@pytest.mark.parametrize(("account", "verb", "what"), CAN)
def test_an_account_may(api: ApiServer, hive: str, account: str, verb: str, what: str) -> None:
    assert may(api, hive, account, verb, what)


@pytest.mark.parametrize(("account", "verb", "what"), CANNOT)
def test_an_account_may_not(api: ApiServer, hive: str, account: str, verb: str, what: str) -> None:
    assert not may(api, hive, account, verb, what)


@pytest.mark.parametrize("account", [OPERATOR, SCRIBE])
def test_no_account_may_do_anything_in_another_hives_namespace(
    api: ApiServer, hive: str, account: str
) -> None:
    for what in ("secrets", "configmaps", "hiveagents.bzzz.dev", "pods"):
        assert not may(api, "kube-system", account, "get", what, of=hive), what


def test_the_operators_rights_are_what_its_code_asks_for() -> None:
    def flat(rules: list[Json]) -> set[tuple[str, str, str]]:
        return {
            (group, resource, verb)
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    objects = render()
    assert flat(find(objects, "Role", "bzzz-operator")["rules"]) == flat(list(rights.ROLE))
    told = render({"escalation": {"url": "https://n8n.example.org/webhook/x", "secretName": "e"}})
    assert flat(find(told, "Role", "bzzz-operator")["rules"]) == flat([*rights.ROLE, *rights.ANSWERS_ROLE])
    assert flat(find(objects, "ClusterRole", "hives-bzzz-operator")["rules"]) == flat(
        list(rights.CLUSTER_ROLE)
    )


def test_the_hooks_account_applies_our_crds_even_where_they_are_missing_and_no_others(
    api: ApiServer,
) -> None:
    namespace = api.namespace()
    hooks = [
        o for o in render(namespace=namespace) if is_hook(o) and "crds" in named(o) and o["kind"] != "Job"
    ]
    api.apply(documents(hooks))
    token = token_of(api, namespace, "bzzz-crds")
    flags = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--field-manager=bzzz-crds")
    for path in sorted((CHART / "crds").iterdir()):
        api.kubectl(*flags, "--validate=false", "-f", path, token=token)
    stranger = (CHART / "crds" / "hiveagents.bzzz.dev.yaml").read_text().replace("hiveagents", "strangers")
    refused = api.kubectl(*flags, "--validate=false", "-f", "-", token=token, input=stranger, check=False)
    assert refused.returncode != 0
    assert "cannot" in refused.stderr


def test_people_who_may_edit_the_namespace_may_edit_its_hive(api: ApiServer) -> None:
    objects = {named(o): o for o in render()}
    edit, view = (objects[f"ClusterRole/hives-bzzz-{name}"] for name in ("edit", "view"))
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    statuses = [r for rule in edit["rules"] for r in rule["resources"] if r.endswith("/status")]
    assert statuses == []
