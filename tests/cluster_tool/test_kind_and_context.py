"""The command lines for kind and for a context of the user's, and what a foreign cluster is spared."""

from pathlib import Path

import pytest
import yaml

from tools.cluster import ClusterError, UnsupportedError
from tools.cluster.current import ContextCluster, view_command
from tools.cluster.kind import config, container, create_command, cut_commands, delete_command, load_command
from tools.cluster.layout import Layout
from tools.cluster.steps import Steps


def test_kind_makes_a_control_plane_and_workers() -> None:
    assert [n["role"] for n in yaml.safe_load(config(3))["nodes"]] == ["control-plane", "worker", "worker"]


def test_kind_is_told_name_kubeconfig_and_version(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    command = create_command(layout)
    assert command[:5] == ["kind", "create", "cluster", "--name", layout.identity]
    assert command[command.index("--kubeconfig") + 1] == str(tmp_path / "kubeconfig")
    assert command[command.index("--image") + 1] == "kindest/node:v1.34.4"
    assert layout.identity in delete_command(layout)
    archive = tmp_path / "agent.tar"
    assert load_command(layout, archive) == [
        "kind",
        "load",
        "image-archive",
        str(archive),
        "--name",
        layout.identity,
    ]


def test_nodes_have_the_same_names_as_in_the_built_in_cluster(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    assert container(layout, "n1", 3) == f"{layout.identity}-control-plane"
    assert container(layout, "n2", 3) == f"{layout.identity}-worker"
    assert container(layout, "n3", 3) == f"{layout.identity}-worker2"
    assert container(layout, f"{layout.identity}-worker", 3) == f"{layout.identity}-worker"
    with pytest.raises(ClusterError, match="n1, n2"):
        container(layout, "n3", 2)


def test_healing_takes_back_every_rule_that_cutting_made() -> None:
    cut, heal = cut_commands("x", connected=False), cut_commands("x", connected=True)
    assert [[w.replace("-I", "-D") for w in command] for command in cut] == heal
    assert all(command[:4] == ["docker", "exec", "x", "iptables"] for command in cut)


def test_a_context_is_copied_whole() -> None:
    assert "--context" not in view_command(Path("kubectl"), None)
    assert view_command(Path("kubectl"), "prod")[-2:] == ["--context", "prod"]


def test_a_cluster_of_the_users_is_not_disturbed(tmp_path: Path) -> None:
    theirs = ContextCluster(Layout.at(tmp_path), Steps(quiet=True), "prod")
    for disturb in (lambda: theirs.cut("n1"), theirs.restart_apiserver, lambda: theirs.execute("n1", ["id"])):
        with pytest.raises(UnsupportedError, match="this cluster is yours"):
            disturb()
    with pytest.raises(UnsupportedError, match="push the images to a registry"):
        theirs.load([tmp_path / "agent.tar"])
