"""What the scribe knows, as `kubectl` shows it: a debate as it happens, agents, and nothing written for nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from hmmm.identity import IssueIdentity
from tests.scribe.kube import DISCUSSION, Cluster, essence, forget
from tests.support.processes import eventually

PHASES = ["Planning", "Listening", "Revising", "Listening", "Executing", "Reporting", "Closed"]


def test_kubectl_shows_a_debate_as_it_happens(cluster: Cluster, tmp_path: Path) -> None:
    voice = cluster.agent()
    cluster.rig.start()
    watched = tmp_path / "watched"
    with watched.open("wb") as out:
        argv = ["get", "metadiscussions", "-w", "--no-headers", "-n", cluster.namespace]
        columns = ["-o", "custom-columns=P:.status.phase,C:.status.claimant,R:.status.round"]
        kubectl = cluster.rig.processes.start(
            "kubectl",
            [
                *("env", f"KUBECONFIG={cluster.api.kubeconfig}", "KUBECACHEDIR=" + str(tmp_path / "cache")),
                *(_kubectl(), *argv, *columns),
            ],
            ready_within=None,
        )
        out.write(b"")
    cluster.debate(voice, cluster.wait_phase)
    lines = [line.split() for line in kubectl.out.read_text().splitlines()]
    shown = [line[0] for line in lines if line[0] != "<none>"]
    assert [p for i, p in enumerate(shown) if i == 0 or shown[i - 1] != p] == PHASES
    status = cluster.status()
    assert (status["claimant"], status["round"], status["epoch"], status["title"]) == (
        "bzzz-0",
        2,
        1,
        "mend x",
    )
    assert status["pullRequest"] == {"url": "http://github.test/acme/widgets/pull/7", "number": 7}
    assert status["outcome"] == "pull_request"
    assert set(status["phaseTimestamps"]) == set(PHASES)
    (objection,) = status["objections"]
    assert (objection["nodeId"], objection["severity"], objection["reason"]) == (
        "bzzz-1",
        "blocking",
        "breaks y",
    )
    assert status["objectionSummary"] == "0/1 open"
    assert status["lastMessages"][-1]["type"] == "discussion_closed"
    assert status["plan"]["summary"] == "mend x, take 2"
    transcript = status["transcript"]
    assert (transcript["logKey"], transcript["firstSeq"]) == (voice.log.key, 1)
    assert "url" not in transcript, (
        "the link is the only key to the page; who may read status need not have it"
    )
    assert voice.claimant.state.sealed is not None
    whole = cluster.kubectl("get", "metadiscussions", "-o", "yaml").stdout
    assert voice.claimant.state.sealed.transcript_token not in whole


def test_status_is_written_at_most_once_a_second_and_not_at_all_when_nothing_changed(
    cluster: Cluster,
) -> None:
    cluster.hive_agent()
    voice = cluster.agent()
    chair = voice.claimant
    chair.claim()
    voice.write()
    cluster.rig.start()
    cluster.wait_phase("Planning")
    begin, mark = time.monotonic(), cluster.api.mark()
    chair.propose()
    voice.write()
    for _ in range(30):
        chair.reopen()
        voice.write()
    eventually(lambda: cluster.status().get("transcript", {}).get("lastSeq") == voice.written - 1, within=30)
    took = time.monotonic() - begin
    patches = [w for w in cluster.writes(mark) if w.resource == "metadiscussions/status"]
    assert 1 <= len(patches) <= took + 2
    quiet = cluster.wait_quiet(5)
    cluster.rig.live.stop()
    cluster.rig.start()
    eventually(lambda: cluster.rig.live.logged("caught up with the archive"), within=30)
    cluster.wait_quiet(5)
    assert cluster.writes(quiet, refused=True) == [], "a restart writes nothing, nor does an idle hive"


def test_the_operators_account_of_a_delivery_is_left_alone_and_costs_no_write(cluster: Cluster) -> None:
    voice = cluster.agent()
    cluster.escalated(voice)
    cluster.rig.start()
    cluster.wait_phase("Escalated")
    quiet = cluster.wait_quiet(3)
    told = {"id": cluster.status()["escalation"]["id"], "state": "Failing", "attempts": 1}
    body = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "MetaDiscussion",
        "metadata": {"name": cluster.discussion(42)["metadata"]["name"]},
        "status": {"escalation": {"delivery": told}},
    }
    apply = ("apply", "--server-side", "--field-manager=bzzz-operator-relay", "--subresource=status")
    cluster.kubectl(*apply, "-f", "-", input=json.dumps(body))
    cluster.wait_quiet(4)
    assert cluster.writes(quiet, refused=True) == []
    assert cluster.status()["escalation"]["delivery"] == told


def test_deleted_discussions_come_back_as_they_were(cluster: Cluster) -> None:
    one, other = (
        cluster.agent("bzzz-0"),
        cluster.agent("bzzz-9", issue=IssueIdentity(repository="acme/widgets", number=7, epoch=3)),
    )
    for voice in (one, other):
        voice.claimant.claim()
        voice.claimant.propose()
        voice.claimant.objection(cluster.peers[0])
        voice.write()
    cluster.rig.start()
    cluster.wait_phase("Listening", 42)
    cluster.wait_phase("Listening", 7)
    before = {name: essence(d) for name, d in cluster.discussions().items()}
    assert len(before) == 2

    def back() -> bool:
        now = {name: essence(d) for name, d in cluster.discussions().items() if d.get("status")}
        return now == before

    cluster.kubectl("delete", "metadiscussions", "--all")
    eventually(back, within=20, what="the running scribe made them again")
    cluster.rig.live.kill()
    cluster.kubectl("delete", "metadiscussions", "--all")
    forget(cluster.rig)
    cluster.rig.start()
    eventually(back, within=30, what="a new scribe made them again from the archive")


def test_a_scribe_killed_amid_a_debate_goes_on_with_it(cluster: Cluster) -> None:
    voice = cluster.agent()
    cluster.rig.start()
    seen: list[str] = []

    def watch(phase: str) -> None:
        cluster.wait_phase(phase)
        seen.append(phase)
        if phase in {"Revising", "Executing"}:
            cluster.rig.live.kill()
            cluster.rig.start()

    cluster.debate(voice, watch)
    assert seen == PHASES
    assert len(cluster.discussions()) == 1


def test_the_api_server_may_go_and_come_back(cluster: Cluster) -> None:
    voice = cluster.agent()
    cluster.rig.start()
    voice.claimant.claim()
    voice.write()
    cluster.wait_phase("Planning")
    cluster.api.kill()
    try:
        voice.claimant.propose()
        voice.write()
        eventually(lambda: (cluster.rig.discussion() or {}).get("phase") == "Listening", within=20)
        eventually(
            lambda: cluster.rig.live.logged("API server is away; the latest state is written later"),
            within=20,
        )
        assert cluster.rig.ask("/healthz").status_code == 200
        assert cluster.rig.ask("/readyz").status_code == 200, (
            "who has been ready stays so: what is known is served"
        )
    finally:
        cluster.api.serve()
    cluster.wait_phase("Listening", within=40)
    cluster.kubectl("delete", "metadiscussions", "--all")
    cluster.wait_phase("Listening", within=40)
    assert cluster.rig.live.running


def test_an_api_server_that_hangs_holds_nothing_up(cluster: Cluster) -> None:
    voice = cluster.agent()
    cluster.rig.start()
    voice.claimant.claim()
    voice.write()
    cluster.wait_phase("Planning")
    os.kill(cluster.api.pid, signal.SIGSTOP)
    try:
        voice.claimant.propose()
        voice.write()
        eventually(lambda: (cluster.rig.discussion() or {}).get("phase") == "Listening", within=20)
        eventually(
            lambda: cluster.rig.live.logged("API server is away; the latest state is written later"),
            within=40,
        )
        assert cluster.rig.ask("/healthz").status_code == 200
    finally:
        os.kill(cluster.api.pid, signal.SIGCONT)
    cluster.wait_phase("Listening", within=40)


def test_a_scribe_starts_before_the_api_server_does(cluster: Cluster) -> None:
    voice = cluster.agent()
    voice.claimant.claim()
    voice.write()
    cluster.api.kill()
    try:
        cluster.rig.start()
        eventually(lambda: cluster.rig.discussion(), within=20)
        report = cluster.rig.ask("/readyz")
        assert (report.status_code, report.json()["kubernetes"]) == (503, False)
        assert cluster.rig.ask("/healthz").status_code == 200
    finally:
        cluster.api.serve()
    cluster.wait_phase("Planning", within=40)
    assert cluster.rig.ask("/readyz").json() == {
        "ready": True,
        "archive": True,
        "mesh": True,
        "kubernetes": True,
    }


def test_a_closed_discussion_goes_when_its_time_is_over_and_stays_away(cluster: Cluster) -> None:
    voice = cluster.agent()
    cluster.rig.start()
    cluster.debate(voice, lambda _: None)
    cluster.wait_phase("Closed")
    name = cluster.discussion()["metadata"]["name"]
    cluster.kubectl(
        "patch", "metadiscussions", name, "--type=merge", "-p", '{"spec":{"ttlAfterClosed":"1s"}}'
    )
    eventually(lambda: cluster.discussions() == {}, within=20, what="it is deleted")
    mark = cluster.api.mark()
    voice.claimant.bite("rate", cluster.peers[0])
    voice.write()
    cluster.rig.wait_folded(voice)
    cluster.wait_quiet(3)
    assert cluster.writes(mark, refused=True) == []


def test_a_users_discussion_shows_the_debate_and_no_second_one_is_made(cluster: Cluster) -> None:
    mine = DISCUSSION.format(name="mine", namespace=cluster.namespace, repository="Acme/Widgets", number=42)
    cluster.api.apply(mine)
    voice = cluster.agent()
    voice.claimant.claim()
    voice.claimant.propose()
    voice.write()
    cluster.rig.start()
    cluster.wait_phase("Listening")
    assert list(cluster.discussions()) == ["mine"]
    cluster.kubectl("delete", "metadiscussions", "mine")
    eventually(lambda: cluster.status().get("phase") == "Listening", within=20)
    cluster.api.apply(mine)
    eventually(
        lambda: (
            [d.get("status", {}).get("phase") for d in cluster.discussions().values()] == ["Listening"] * 2
        ),
        within=20,
    )


def test_issues_of_one_number_do_not_collide_and_the_newest_claim_is_shown(cluster: Cluster) -> None:
    cluster.rig.config["repositories"] = []
    where = [("acme/widgets", 1), ("acme-widgets/x", 1), ("acme/widgets-x", 1), ("acme/widgets", 2)]
    for index, (repository, epoch) in enumerate(where):
        voice = cluster.agent(
            f"bzzz-{index + 3}", issue=IssueIdentity(repository=repository, number=42, epoch=epoch)
        )
        voice.claimant.claim()
        voice.write()
    cluster.rig.start()

    def shown() -> dict[str, int]:
        found = cluster.discussions().values()
        return {d["spec"]["issue"]["repository"]: d.get("status", {}).get("epoch") for d in found}

    wanted = {"acme/widgets": 2, "acme-widgets/x": 1, "acme/widgets-x": 1}
    eventually(lambda: shown() == wanted, within=30, what="each issue has its own, of its newest claim")


def _kubectl() -> str:
    from tests.support.kube_programs import binary

    return str(binary("kubectl"))
