"""What the authority says by way of the cluster: verdicts reach the claimant, revocations the mesh; and the rights."""

from __future__ import annotations

import base64
import json
import ssl
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import trio

from hmmm.envelope import SigningKey
from hmmm.messages import ESCALATION_TOPIC, MetaMessage, VerdictMessage, issue_topic, parse_message
from hmmm.meta import HumanVerdict
from hmmm.observer import speaker_of
from hmmm.verdict import SignedVerdict, sign_verdict
from tests.scribe.kube import Cluster, from_chart
from tests.scribe.test_mesh_sights import on_the_mesh, until
from tests.support.discussions import Claimant, seed_of
from tests.support.processes import eventually


def sign(cluster: Cluster, chair: Claimant, key: SigningKey | None = None, **fields: Any) -> str:
    """A verdict on a claimant's question, as the operator signs it."""
    values = {"verdict_id": "v1", "issue": chair.issue, "verdict": "proceed", "text": "do it"} | fields
    return sign_verdict(SignedVerdict(decided_at=chair.now, **values), key or cluster.rig.hive.key).decode()


def answer(cluster: Cluster, chair: Claimant, signed: str, verdict: str = "proceed") -> None:
    """Write `status.verdict` as the operator does."""
    name = cluster.discussion(chair.issue.number)["metadata"]["name"]
    body = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "MetaDiscussion",
        "metadata": {"name": name},
        "status": {"verdict": {"id": "v1", "epoch": chair.issue.epoch, "verdict": verdict, "signed": signed}},
    }
    apply = ("apply", "--server-side", "--field-manager=bzzz-operator", "--subresource=status")
    cluster.kubectl(*apply, "-f", "-", input=json.dumps(body))


def as_the_scribe(cluster: Cluster, name: str, status: dict[str, Any]) -> httpx.Response:
    """Patch a status with the scribe's rights; kubectl would read the subresource first, which the scribe may not."""
    path = f"/apis/bzzz.dev/v1alpha1/namespaces/{cluster.namespace}/metadiscussions/{name}/status"
    headers = {"authorization": f"Bearer {cluster.token}", "content-type": "application/merge-patch+json"}
    trust = ssl.create_default_context(cafile=str(cluster.api.ca_file))
    return httpx.patch(
        cluster.api.url + path, headers=headers, content=json.dumps({"status": status}), verify=trust
    )


def relayed_so_far(cluster: Cluster) -> float:
    """How often the running scribe has said a verdict."""
    lines = cluster.rig.ask("/metrics").text.splitlines()
    return next(float(x.split()[1]) for x in lines if x.startswith("bzzz_scribe_verdicts_relayed_total "))


async def test_a_signed_verdict_reaches_the_claimant_and_is_repeated_until_the_log_shows_it(
    cluster: Cluster,
) -> None:
    voice = cluster.agent()
    chair = voice.claimant
    cluster.escalated(voice)
    cluster.rig.start()
    status = await until(lambda: cluster.wait_phase("Escalated"), within=40)
    assert status["escalation"]["state"] == "Waiting"
    assert status["escalation"]["reason"] == "cannot agree"
    async with on_the_mesh(cluster.rig, chair.node) as mesh, AsyncExitStack() as stack:
        talk = aiter(await stack.enter_async_context(mesh.subscribe(issue_topic(42))))
        asked = aiter(await stack.enter_async_context(mesh.subscribe(ESCALATION_TOPIC)))
        signed = sign(cluster, chair)
        await trio.to_thread.run_sync(answer, cluster, chair, signed)
        with trio.fail_after(30):
            first = parse_message((await anext(talk)).data)
            relayed = parse_message((await anext(asked)).data)
            cluster.rig.live.kill()
            await trio.to_thread.run_sync(cluster.rig.start)
        await mesh.connect(cluster.rig.node.key.key_id, cluster.rig.live.ready["addresses"])
        with trio.fail_after(40):
            while True:
                again = parse_message((await anext(talk)).data)
                if again.digest != first.digest:
                    break
        assert isinstance(first.message, MetaMessage)
        assert isinstance(first.message.parameters, HumanVerdict)
        assert (first.message.parameters.signed, first.message.content.text) == (signed, "do it")
        assert isinstance(relayed.message, VerdictMessage)
        assert relayed.message.signed == signed
        assert again.message.msg_id == first.message.msg_id, (
            "ids follow from the verdict, whoever says it when"
        )
        chair.now = again.message.sent_at
        assert speaker_of(again, chair.state, chair.owner, chair.now) == "authority"
        chair.hear_signed(again, cluster.rig.node)
        await trio.to_thread.run_sync(voice.write)
        await until(lambda: cluster.status()["escalation"]["state"] == "Answered", within=30)
        said = relayed_so_far(cluster)
        with trio.move_on_after(12):  # above the longest pause so far
            while True:
                await anext(talk)
        assert relayed_so_far(cluster) == said
    assert chair.state.verdict == "proceed"


async def test_a_verdict_by_another_key_or_for_an_earlier_claim_is_not_relayed(cluster: Cluster) -> None:
    voice = cluster.agent()
    chair = voice.claimant
    cluster.escalated(voice)
    cluster.rig.start()
    await until(lambda: cluster.wait_phase("Escalated"), within=40)
    async with on_the_mesh(cluster.rig, chair.node) as mesh, mesh.subscribe(ESCALATION_TOPIC) as asked:
        forged = sign(cluster, chair, SigningKey.hive(seed_of("another hive")))
        await trio.to_thread.run_sync(answer, cluster, chair, forged)
        await until(lambda: cluster.rig.live.logged("verdict does not hold and is not relayed"), within=20)
        await trio.to_thread.run_sync(
            answer, cluster, chair, sign(cluster, chair, issue=chair.issue.at_epoch(9))
        )
        with trio.move_on_after(4) as silence:
            await anext(aiter(asked))
    assert silence.cancelled_caught


async def test_members_revocations_and_the_own_new_card_come_by_the_config_map(cluster: Cluster) -> None:
    voice = cluster.agent()
    node = voice.claimant.node
    voice.claimant.claim()
    voice.write()
    cluster.rig.start()
    async with on_the_mesh(cluster.rig, node) as mesh:
        await until(lambda: cluster.rig.ask("/readyz").status_code == 200, within=30)
        await until(lambda: any(a["present"] for a in cluster.rig.state()["agents"]), within=30)
        data = {"members.json": "[]", "revocations.json": cluster.rig.hive.revoke(node.card.serial).decode()}
        renewed = cluster.rig.hive.node(
            "scribe-0", role="scribe", log_key=None, not_after=cluster.rig.node.card.not_after
        )
        data["card-scribe-0.json"] = renewed.card_bytes.decode()
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "test-members"}, "data": data}
        await until(lambda: cluster.kubectl("apply", "-f", "-", input=json.dumps(body)))

        def taken() -> bool:
            lines = cluster.rig.live.logged("taken into use")
            return {line["what"] for line in lines} == {"revocations", "own card"}

        await until(taken, within=20)

        def alone() -> bool:
            return not any(peer.connected for peer in mesh.peers())

        await until(alone, within=30)


@pytest.fixture
def guarded(cluster: Cluster) -> Cluster:
    """A namespace in which the chart's admission policy is in force."""
    cluster.api.apply(from_chart("cluster/admission.yaml", cluster.namespace))
    probe = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "MetaDiscussion",
        "metadata": {"name": "probe", "namespace": cluster.namespace},
        "spec": {"issue": {"repository": "acme/widgets", "number": 1}, "resolution": {"verdict": "proceed"}},
    }

    def refused() -> bool:
        done = cluster.kubectl("create", "-f", "-", token=cluster.token, input=json.dumps(probe), check=False)
        if done.returncode == 0:
            cluster.kubectl("delete", "metadiscussions", "probe")
        return "expected a person to write it" in done.stderr

    eventually(refused, within=60, what="the policy is in force")
    return cluster


def test_the_scribe_writes_status_and_no_resolution_whoever_else_may(guarded: Cluster) -> None:
    voice = guarded.agent()
    guarded.escalated(voice)
    guarded.rig.start()
    guarded.wait_phase("Escalated", within=40)
    name = guarded.discussion()["metadata"]["name"]
    patch = (
        "patch",
        "metadiscussions",
        name,
        "--type=merge",
        "-p",
        '{"spec":{"resolution":{"verdict":"abandon"}}}',
    )
    denied = guarded.kubectl(*patch, token=guarded.token, check=False)
    assert denied.returncode != 0
    assert "spec.resolution: expected a person to write it, came the scribe" in denied.stderr
    refused = as_the_scribe(guarded, name, {"verdict": {"id": "v", "verdict": "proceed", "epoch": 1}})
    assert refused.status_code == 403
    assert "status.verdict: expected the operator to write it" in refused.json()["message"]
    guarded.kubectl(*patch)
    assert guarded.discussion()["spec"]["resolution"]["verdict"] == "abandon"
    answer(guarded, voice.claimant, sign(guarded, voice.claimant))
    voice.claimant.human("proceed", guarded.rig.node)
    voice.claimant.execute()
    voice.write()
    status = guarded.wait_phase("Executing")
    assert status["verdict"]["id"] == "v1", "the scribe's status writes pass beside the operator's"


@pytest.mark.parametrize(
    "what",
    [
        ("get", "secrets"),
        ("get", "secret", "mesh-keys"),
        ("get", "configmaps"),
        ("get", "configmap", "another"),
        ("delete", "hiveagents", "--all"),
        ("get", "pods"),
    ],
)
def test_the_scribes_account_may_nothing_else(cluster: Cluster, what: tuple[str, ...]) -> None:
    cluster.kubectl("create", "secret", "generic", "mesh-keys", "--from-literal=a=b")
    cluster.kubectl("create", "configmap", "another", "--from-literal=a=b")
    cluster.hive_agent()
    done = cluster.kubectl(*what, token=cluster.token, check=False)
    assert "Forbidden" in done.stderr or "forbidden" in done.stderr
    encoded = base64.b64encode(b"b").decode()
    assert encoded not in done.stdout


async def test_a_token_that_was_replaced_is_used_from_then_on(cluster: Cluster) -> None:
    voice = cluster.agent()
    voice.claimant.claim()
    voice.write()
    token_file = cluster.rig.folder / "kube-token"
    token_file.write_text("expired")
    cluster.rig.start()
    await until(lambda: cluster.rig.live.logged("watch is broken; tried again"), within=40)
    assert cluster.rig.ask("/readyz").status_code == 503
    token_file.write_text(cluster.token)
    await until(lambda: cluster.wait_phase("Planning"), within=40)
    assert cluster.rig.live.running
