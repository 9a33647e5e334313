"""A cluster begins anew after a crash and leaves nothing when it ends."""

import os
import signal
from pathlib import Path

import pytest

from tools.cluster import Choice, Cluster, ClusterError, MissingToolError, processes
from tools.cluster.cgroups import Cgroups
from tools.cluster.layout import Layout

pytestmark = pytest.mark.timeout(900)


def traces(state: Path) -> list[str]:
    """The machine's links and mounts that come from a cluster (others may come and go beside it)."""
    links = [p.name for p in Path("/sys/class/net").iterdir()]
    ours = [link for link in links if link == "nodes" or link.startswith(("to-n", "peer-n"))]
    return ours + [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(state) in line]


def settings() -> list[str]:
    names = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
    return [Path("/proc/sys", name).read_text() for name in names]


def test_after_a_crash_it_starts_anew_and_down_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "own"
    before = settings()
    try:
        cluster = Cluster.up(state, choice=Choice("builtin"), nodes=1)
    except MissingToolError as error:
        pytest.skip(str(error))
    try:
        pid = processes.running(cluster.layout.pids, "node-n1")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        cluster = Cluster.up(state, choice=Choice("builtin"), nodes=1)
        assert cluster.kubectl.ready_nodes() == 1
        assert processes.running(cluster.layout.pids, "node-n1") != pid
        assert settings() == before
        assert traces(state) == []
    finally:
        assert Cluster.end(state)
    cgroups = Cgroups(cluster.layout.identity)
    assert cgroups.processes() == set()
    assert not any((h.mount / cluster.layout.identity).exists() for h in cgroups.hierarchies)
    assert not state.exists()
    assert settings() == before
    assert traces(state) == []
    assert not Cluster.end(state)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ClusterError, match="it holds other files; choose another"):
        Cluster.up(tmp_path)
    assert not Cluster.end(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_asking_for_a_cluster_that_is_not_there_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"python -m tools.cluster up"):
        Cluster.at(tmp_path / "none")


def test_two_state_folders_have_names_of_their_own(tmp_path: Path) -> None:
    one, two = Layout.at(tmp_path / "one"), Layout.at(tmp_path / "two")
    assert one.identity != two.identity
    assert one.lock != two.lock
    assert one.identity == Layout.at(tmp_path / "one").identity
