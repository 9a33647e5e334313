"""`bzzz revoke` and `bzzz rotate` against a real API server and the real authority."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from typer.testing import CliRunner

from bzzz_cli.cluster.requests import ANNOTATIONS
from bzzz_cli.main import app
from bzzz_operator.api import Api
from bzzz_operator.authority import (
    REVOKE_ANNOTATION,
    ROTATE_ANNOTATION,
    AgentWish,
    Authority,
    AuthoritySettings,
    requests_of,
)
from tests.support.kube_api import ApiServer
from tests.support.processes import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bare() -> Iterator[ApiServer]:
    """A cluster in which nothing of ours was installed yet."""
    with ApiServer.start() as api:
        yield api


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer.start() as api:
        api.apply((ROOT / "crds" / "hiveagents.bzzz.dev.yaml").read_text())
        yield api


class Hive:
    """A HiveAgent of two, and an operator's authority that acts when it is told to."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.namespace = server.namespace()
        manifest = (ROOT / "examples" / "demo" / "hiveagent.yaml").read_text()
        server.apply(manifest, "-n", self.namespace)
        names = server.kubectl("get", "hiveagents", "-n", self.namespace, "-o", "name").stdout.split()
        self.name = names[0].partition("/")[2]

    @property
    def agent(self) -> dict[str, Any]:
        return dict(self.server.get("hiveagent", self.name, "-n", self.namespace))

    @property
    def annotations(self) -> dict[str, str]:
        return self.agent["metadata"].get("annotations", {})

    @property
    def nodes(self) -> dict[str, Any]:
        data: Any = self.server.get("configmap", "hive-members", "-n", self.namespace)["data"]
        return json.loads(data["ledger.json"])["nodes"]

    def reconcile(self) -> None:
        metadata = self.agent["metadata"]
        revoke, rotate = requests_of(metadata.get("annotations"))
        wish = AgentWish(self.name, metadata["uid"], 2, revoke=revoke, rotate=rotate)

        async def act() -> None:
            login = kopf.ConnectionInfo(
                server=self.server.url, ca_path=str(self.server.ca_file), token=self.server.admin_token
            )
            api = Api(login, self.namespace)
            try:
                authority = Authority(api, AuthoritySettings("hive", self.namespace), lambda: [wish])
                await authority.open()
                await authority.ensure_keys(wish)
                await authority.settle()
            finally:
                await api.close()

        asyncio.run(act())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        config = self.server.kubeconfig_of(self.server.admin_token)
        return subprocess.Popen(
            [sys.executable, "-m", "bzzz_cli", *arguments],
            env={**os.environ, "KUBECONFIG": str(config)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def bzzz(self, *arguments: str, token: str | None = None) -> tuple[int, str, str]:
        config = self.server.kubeconfig_of(token or self.server.admin_token)
        return invoke(config, *arguments, "-n", self.namespace)

    def bzzz_with_operator(self, verb: str, node: str) -> tuple[int, str, str]:
        before = self.annotations
        process = self.start(verb, node, "-n", self.namespace)
        eventually(lambda: self.annotations != before, within=30, what="the HiveAgent is annotated")
        self.reconcile()
        return ended(process)


def invoke(config: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command in this process: starting Python takes longer than the whole conversation."""
    result = CliRunner().invoke(app, arguments, env={"KUBECONFIG": str(config)})
    return result.exit_code, result.stdout, result.stderr


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def hive(server: ApiServer) -> Hive:
    return Hive(server)


def test_the_command_line_and_the_operator_speak_of_the_same_annotations() -> None:
    assert ANNOTATIONS == {"revoke": REVOKE_ANNOTATION, "rotate": ROTATE_ANNOTATION}


def test_a_node_is_revoked_and_then_rotated(hive: Hive) -> None:
    hive.reconcile()
    node = f"{hive.name}-1"
    old = hive.nodes[node]["serial"]
    code, out, err = hive.bzzz_with_operator("revoke", node)
    assert (code, err) == (0, "")
    assert f"{node}: card {old} is revoked" in out
    assert f"bzzz rotate {node} -n {hive.namespace}" in out
    assert hive.nodes[node]["revoked"]
    code, out, err = hive.bzzz_with_operator("rotate", node)
    assert (code, err) == (0, "")
    assert f"{node}: new mesh key and new log; it had no card" in out
    assert f"card {hive.nodes[node]['serial']}, valid until" in out
    assert hive.nodes[node]["serial"] > old


def test_without_waiting_the_request_is_left_for_the_operator(hive: Hive) -> None:
    hive.reconcile()
    code, out, _ = hive.bzzz("rotate", f"{hive.name}-0", "--no-wait")
    assert code == 0
    assert "the operator carries it out" in out
    assert hive.annotations["bzzz.dev/rotate.0"] in out


def test_an_operator_that_does_not_act_is_said_with_what_it_complains_of(hive: Hive) -> None:
    hive.reconcile()
    status = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "HiveAgent",
        "metadata": {"name": hive.name, "namespace": hive.namespace},
        "status": {
            "conditions": [
                {
                    "type": "Degraded",
                    "status": "True",
                    "reason": "KeyDamaged",
                    "message": "Secret x: expected 64 hex digits",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ]
        },
    }
    hive.server.kubectl(
        "apply",
        "--server-side",
        "--field-manager=op",
        "--subresource=status",
        "-f",
        "-",
        input=json.dumps(status),
    )
    code, _, err = hive.bzzz("revoke", f"{hive.name}-0", "--timeout", "1s")
    assert code == 1
    assert "within 1 s" in err
    assert "Secret x: expected 64 hex digits" in err
    assert "deployment/hive-operator" in err


@pytest.mark.parametrize(
    ("node", "code", "says"),
    [
        ("NAME-7", 1, "its nodes are: NAME-0, NAME-1"),
        ("other-0", 1, "there are: NAME"),
        ("NAME", 2, "expected an agent's pod, like bzzz-0"),
        ("NAME-01", 2, "expected an agent's pod"),
        ("../secrets-0", 2, "expected an agent's pod"),
    ],
)
def test_a_node_that_is_none_is_said_with_those_there_are(
    hive: Hive, node: str, code: int, says: str
) -> None:
    hive.reconcile()
    came, out, err = hive.bzzz("revoke", node.replace("NAME", hive.name))
    assert came == code
    assert says.replace("NAME", hive.name) in err
    assert out == ""
    assert not any("revoke" in key for key in hive.annotations)


def test_a_namespace_without_a_hive_is_said(hive: Hive) -> None:
    code, _, err = hive.bzzz("revoke", f"{hive.name}-0")
    assert code == 1
    assert "is the operator running?" in err


def test_who_may_not_is_told_which_right_is_missing(hive: Hive) -> None:
    hive.reconcile()
    token = hive.server.token_for(hive.namespace, "nobody")
    code, _, err = hive.bzzz("revoke", f"{hive.name}-0", token=token)
    assert code == 1
    assert "kubectl auth can-i list configmaps" in err
    code, _, err = hive.bzzz("revoke", f"{hive.name}-0", token="wrong")
    assert code == 1
    assert "log in anew" in err


def test_a_cluster_without_our_definitions_is_told_the_command_that_installs_them(bare: ApiServer) -> None:
    namespace = bare.namespace()
    data = '{"format":"bzzz-ledger/1","nodes":{}}'
    bare.kubectl("create", "configmap", "hive-members", "-n", namespace, f"--from-literal=ledger.json={data}")
    bare.kubectl(
        "label",
        "configmap",
        "hive-members",
        "-n",
        namespace,
        "app.kubernetes.io/managed-by=bzzz-operator",
        "bzzz.dev/hive=hive",
    )
    code, _, err = invoke(bare.kubeconfig, "revoke", "bzzz-0", "-n", namespace)
    assert code == 1
    assert "kubectl apply --server-side -f crds/" in err


@pytest.mark.parametrize(
    ("arguments", "config", "code", "says"),
    [
        (("revoke", "bzzz-0"), "", 1, "set KUBECONFIG"),
        (("revoke", "bzzz-0", "--context", "nowhere"), "KUBECONFIG", 1, "nowhere"),
        (("revoke", "bzzz-0", "--timeout", "soon"), "KUBECONFIG", 2, "--timeout"),
        (("rotate", "bzzz-0"), "DEAD", 1, "kubectl cluster-info"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_said(
    server: ApiServer, tmp_path: Path, arguments: tuple[str, ...], config: str, code: int, says: str
) -> None:
    good = server.kubeconfig.read_text()
    path = tmp_path / "config"
    if config:
        path.write_text(good if config == "KUBECONFIG" else good.replace(server.url, "https://127.0.0.1:9"))
    came, _, err = invoke(path, *arguments)
    assert came == code, err
    assert says in err
    assert "Traceback" not in err
