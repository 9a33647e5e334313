"""Agents in their HiveAgent's status: by presence, phase and issue, and left alone where they are nobody's."""

from __future__ import annotations

import json
from typing import Any

from hmmm.messages import HIVE_TOPIC, sign_message
from tests.scribe.kube import Cluster
from tests.scribe.test_mesh_sights import capabilities, on_the_mesh, until
from tests.support.processes import eventually


def agents(cluster: Cluster, name: str = "bzzz") -> dict[str, Any]:
    """A HiveAgent's agents as its status has them, by node id."""
    return {entry["nodeId"]: entry for entry in cluster.hive_agent_status(name).get("agents", [])}


async def test_an_agent_is_shown_as_it_is_and_an_idle_hive_causes_no_writes(cluster: Cluster) -> None:
    await until(lambda: cluster.hive_agent() is None)
    voice = cluster.agent("bzzz-0")
    node = voice.claimant.node
    voice.claimant.claim()
    voice.claimant.propose()
    voice.write()
    cluster.rig.start()
    async with on_the_mesh(cluster.rig, node) as mesh:
        word = capabilities(node)
        await mesh.publish(HIVE_TOPIC, sign_message(word, node.key).envelope.raw)
        await until(lambda: agents(cluster).get("bzzz-0", {}).get("phase") == "Listening", within=30)
        entry = agents(cluster)["bzzz-0"]
        assert (entry["peerId"], entry["logKey"]) == (node.key.key_id, voice.log.key)
        assert (entry["present"], entry["issue"], entry["models"]) == (
            True,
            "acme/widgets#42",
            ["gemma-3-270m"],
        )
        assert entry["lastSeen"]
        assert "#42" in cluster.kubectl("get", "hiveagents").stdout
        quiet = await until(lambda: cluster.wait_quiet(4), within=60)
        for n in range(3):
            again = capabilities(node, msg_id=f"again-{n}", load=n)
            await mesh.publish(HIVE_TOPIC, sign_message(again, node.key).envelope.raw)
        await until(lambda: cluster.wait_quiet(6), within=60)
        assert cluster.writes(quiet, refused=True) == [], "that it is still there is no news"
        idle = capabilities(node, msg_id="idle", phase="idle", load=0)
        await mesh.publish(HIVE_TOPIC, sign_message(idle, node.key).envelope.raw)
        await until(lambda: agents(cluster)["bzzz-0"]["phase"] == "idle", within=30)


def test_agents_of_no_hive_agent_and_of_a_deleted_one_are_written_nowhere(cluster: Cluster) -> None:
    cluster.hive_agent("bzzz")
    voice, foreign = cluster.agent("bzzz-0"), cluster.agent("other-0")
    for one in (voice, foreign):
        one.claimant.claim()
        one.write()
    cluster.rig.start()
    eventually(lambda: set(agents(cluster)) == {"bzzz-0"}, within=30)
    cluster.kubectl("delete", "hiveagents", "bzzz")
    cluster.wait_quiet(3)
    mark = cluster.api.mark()
    voice.claimant.propose()
    voice.write()
    cluster.wait_phase("Listening")
    cluster.wait_quiet(3)
    assert [w for w in cluster.writes(mark, refused=True) if w.resource.startswith("hiveagents")] == []
    cluster.hive_agent("bzzz")
    eventually(
        lambda: set(agents(cluster)) == {"bzzz-0"}, within=30, what="a HiveAgent made anew gets its agents"
    )


def test_what_another_manager_owns_is_left_to_it_and_said_once(cluster: Cluster) -> None:
    voice = cluster.agent()
    voice.claimant.claim()
    voice.write()
    cluster.rig.start()
    cluster.wait_phase("Planning")
    name = cluster.discussion()["metadata"]["name"]
    theirs = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "MetaDiscussion",
        "metadata": {"name": name},
        "status": {"title": "a better title", "plan": {"summary": "theirs"}},
    }
    apply = (
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=somebody",
        "--subresource=status",
    )
    cluster.kubectl(*apply, "-f", "-", input=json.dumps(theirs))
    voice.claimant.propose()
    voice.write()
    status = cluster.wait_phase("Listening")
    assert (status["title"], status["plan"]["summary"]) == ("a better title", "theirs")
    assert status["plan"]["footprint"] == ["x.py"], "the plan's other fields are still the scribe's"
    mark = cluster.api.mark()
    voice.claimant.objection(cluster.peers[0])
    voice.write()
    eventually(lambda: cluster.status().get("objectionSummary") == "1/1 open", within=20)
    assert [w.code for w in cluster.writes(mark, refused=True)] == [200], "no further conflict"
    assert len(cluster.rig.live.logged("fields belong to another manager and are left to it")) <= 2
    said = cluster.rig.live.logged("fields belong to another manager and are left to it")
    assert sorted(f for line in said for f in line["fields"]) == [".status.plan.summary", ".status.title"]
