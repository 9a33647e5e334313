"""The operator's bench: what it says of figures, how it reads what it measures, and one small run of both operators."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bzzz_operator.settings import OperatorSettings
from tests.operator.rig import manifest
from tests.support.kube_audit import Write
from tools.bench import operator_peer
from tools.bench.operator import scale_rows
from tools.bench.operator_load import Load, is_observed
from tools.bench.operator_scale import CHILDREN, WRITES, Run, by_kind, one_run, operators
from tools.bench.operator_watch import objects_in
from tools.bench.pod_cgroups import processor_time, working_set
from tools.bench.rows import Row

SETTINGS = {
    "hive": "hive",
    "namespace": "here",
    "publicUrl": "https://hive.example.com",
    "images": {"agent": "agent:1", "sidecar": "sidecar:1", "workspace": "workspace:1"},
    "archive": {"url": "http://archive:8081"},
}


def a_run(seconds: float, *, status: int = 10, ledger: int = 0, after: int = 0) -> Run:
    run = Run(10, Load(seconds, 0.5, [0.1, seconds]), 0.3)
    run.writes = Counter({"services": 100, "hiveagents/status": status, "ledger": ledger})
    run.restart_writes = Counter({"hiveagents/status": after} if after else {})
    return run


def rows_of(ours: list[Run], peers: list[Run]) -> dict[str, Row]:
    return {row.name: row for row in scale_rows(10, ours, peers)}


def test_what_keeps_up_with_the_peer_keeps_every_promise() -> None:
    rows = rows_of([a_run(2.0, ledger=4), a_run(2.5)], [a_run(2.0), a_run(2.0)])
    assert {row.verdict for row in rows.values()} == {"", "kept"}
    assert rows["10 HiveAgents, time ours / controller-runtime"].figure == 1.0
    assert rows["10 HiveAgents, API writes for each, the ledger's apart"].figure == WRITES
    assert rows["10 HiveAgents, writes of the ledger for all of them"].figure == 4


def test_a_slow_or_chatty_operator_is_said_to_be_so() -> None:
    rows = rows_of([a_run(3.0, status=20, after=7)], [a_run(2.0)])
    short = {name for name, row in rows.items() if row.verdict == "short of promise"}
    assert short == {
        "10 HiveAgents, time ours / controller-runtime",
        "10 HiveAgents, API writes for each, the ledger's apart",
        "10 HiveAgents, API writes after a restart",
    }
    assert rows["10 HiveAgents, API writes after a restart"].note == "hiveagents/status 7"


def test_writes_are_counted_by_kind_and_the_ledger_apart() -> None:
    def write(resource: str, name: str) -> Write:
        return Write("me", "", "patch", resource, "here", name, 200)

    kinds = [("configmaps", "one-config"), ("configmaps", "hive-members"), ("leases", "l"), ("events", "e")]
    counted = by_kind([write(*kind) for kind in kinds])
    assert counted == {"configmaps": 1, "ledger": 1}


def test_a_hive_agent_is_done_when_its_status_tells_of_its_generation() -> None:
    metadata = {"generation": 2}
    assert not is_observed({"metadata": metadata})
    assert not is_observed({"metadata": metadata, "status": {"observedGeneration": 1}})
    assert is_observed({"metadata": metadata, "status": {"observedGeneration": 2}})


def test_the_peer_gets_every_object_that_a_hive_agent_becomes_and_nothing_of_one() -> None:
    settings = OperatorSettings.model_validate(SETTINGS)
    objects = operator_peer.template(settings, manifest("mine", replicas=1))
    kinds = Counter(f"{one['kind'].lower()}s" for one in objects)
    assert {"networkpolicies" if k == "networkpolicys" else k: n for k, n in kinds.items()} == CHILDREN
    for one in objects:
        head = one["metadata"]
        assert head["name"].startswith("NAME-PLACE")
        assert head["namespace"] == "NAMESPACE-PLACE"
        assert head["ownerReferences"][0]["uid"] == "UID-PLACE"
    assert '"here"' not in json.dumps(objects)


@pytest.mark.parametrize("indent", [None, 4])
def test_objects_printed_one_after_the_other_are_told_apart(indent: int | None) -> None:
    bodies = [{"object": {"metadata": {"name": f"n{n}"}, "text": "}\n{"}} for n in range(3)]
    text = "".join(json.dumps(body, indent=indent) + "\n" for body in bodies)
    assert list(objects_in(iter(text.splitlines(keepends=True)))) == bodies


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({"memory.current": "500\n", "memory.stat": "anon 300\ninactive_file 120\n"}, 380),
        ({"memory.usage_in_bytes": "500\n", "memory.stat": "cache 1\ntotal_inactive_file 100\n"}, 400),
    ],
)
def test_memory_is_what_could_not_be_dropped_at_once(
    tmp_path: Path, files: dict[str, str], memory: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert working_set(tmp_path) == memory


@pytest.mark.parametrize(
    ("name", "text"), [("cpuacct.usage", "2500000000\n"), ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n")]
)
def test_processor_time_is_read_in_both_versions(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert processor_time(tmp_path) == 2.5


@pytest.mark.timeout(1500)  # the first time, the peer is built
@pytest.mark.parametrize("who", ["peer", "ours"])
def test_five_hive_agents_cost_a_write_a_child_and_one_status_and_a_restart_none(
    who: str, tmp_path: Path
) -> None:
    with operators(tmp_path, print, [who]) as here:
        run = one_run(here, who, 5)
    assert run.load.missing == ""
    assert len(run.load.latencies_s) == 5
    ledger = run.writes.pop("ledger", 0)
    assert run.writes == {**{kind: 5 * each for kind, each in CHILDREN.items()}, "hiveagents/status": 5}
    assert 1 <= ledger <= 5 if who == "ours" else ledger == 0
    assert run.restart_writes == {}
