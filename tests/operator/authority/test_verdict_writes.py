"""Verdicts on a real API server, beside the scribe's part of the same status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bzzz_operator.authority import Authority
from hmmm.identity import IssueIdentity
from hmmm.verdict import read_verdict
from tests.operator.authority.conftest import Cluster
from tests.support.kube_api import ApiServer

CRD = Path(__file__).parents[3] / "crds" / "metadiscussions.bzzz.dev.yaml"
NAME = "acme-widgets-42-abc"


@pytest.fixture(scope="module", autouse=True)
def definitions(server: ApiServer) -> None:
    server.apply(CRD.read_text())


def opened(cluster: Cluster) -> None:
    body = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "MetaDiscussion",
        "metadata": {"name": NAME, "namespace": cluster.namespace},
        "spec": {"issue": {"repository": "acme/widgets", "number": 42}},
    }
    cluster.server.kubectl("create", "-f", "-", input=json.dumps(body))


def scribe_says(cluster: Cluster, **status: Any) -> None:
    body = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "MetaDiscussion",
        "metadata": {"name": NAME, "namespace": cluster.namespace},
        "status": status,
    }
    apply = ("apply", "--server-side", "--field-manager=bzzz-scribe", "--subresource=status", "-f", "-")
    cluster.server.kubectl(*apply, input=json.dumps(body))


def resolve(cluster: Cluster, **resolution: str) -> None:
    patch = json.dumps({"spec": {"resolution": resolution}})
    cluster.server.kubectl(
        "patch", "metadiscussion", NAME, "-n", cluster.namespace, "--type=merge", "-p", patch
    )


def reconcile(cluster: Cluster) -> tuple[bool, dict[str, Any], str]:
    found = cluster.get("metadiscussion", NAME)

    async def act(authority: Authority) -> tuple[bool, str]:
        return await authority.answer(found), authority.public_key

    wrote, key = cluster.run(act)
    return wrote, cluster.get("metadiscussion", NAME)["status"], key


def reasons(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["reason"] for c in status["conditions"]}


def test_a_user_s_debate_waits_is_claimed_escalates_and_is_decided(cluster: Cluster) -> None:
    opened(cluster)
    assert reasons(reconcile(cluster)[1]) == {"Accepted": "WaitingForClaim"}
    assert not reconcile(cluster)[0]
    scribe_says(cluster, phase="Escalated", epoch=3, round=2)
    resolve(cluster, verdict="revise", text="keep the old name", by="ana")
    wrote, status, key = reconcile(cluster)
    assert wrote
    assert reasons(status) == {"Accepted": "Claimed", "ResolutionAccepted": "Signed"}
    issue = IssueIdentity(repository="acme/widgets", number=42, epoch=3)
    signed = read_verdict(status["verdict"]["signed"].encode(), bytes.fromhex(key), issue)
    assert (signed.verdict, signed.text, signed.decided_by) == ("revise", "keep the old name", "ana")
    assert (status["phase"], status["round"]) == ("Escalated", 2), "the scribe's part stays"
    assert not reconcile(cluster)[0], "and a restart signs nothing"
    scribe_says(cluster, phase="Listening", epoch=4, round=1)
    assert reasons(reconcile(cluster)[1])["ResolutionAccepted"] == "Stale"
    assert not reconcile(cluster)[0]


def test_a_discussion_that_was_made_anew_meanwhile_gets_no_verdict_of_the_old_one(cluster: Cluster) -> None:
    opened(cluster)
    scribe_says(cluster, phase="Escalated", epoch=1)
    resolve(cluster, verdict="proceed")
    old = cluster.get("metadiscussion", NAME)
    cluster.server.kubectl("delete", "metadiscussion", NAME, "-n", cluster.namespace)
    opened(cluster)

    async def act(authority: Authority) -> bool:
        return await authority.answer(old)

    assert not cluster.run(act)
    assert "verdict" not in cluster.get("metadiscussion", NAME).get("status", {})


def test_a_verdict_is_for_the_claim_that_there_is_now_not_for_the_one_in_a_cache(cluster: Cluster) -> None:
    opened(cluster)
    scribe_says(cluster, phase="Escalated", epoch=1)
    resolve(cluster, verdict="proceed")
    cached = cluster.get("metadiscussion", NAME)
    scribe_says(cluster, phase="Closed", epoch=1)

    async def act(authority: Authority) -> bool:
        return await authority.answer(cached)

    assert cluster.run(act)
    status = cluster.get("metadiscussion", NAME)["status"]
    assert reasons(status)["ResolutionAccepted"] == "DiscussionClosed"
    assert "verdict" not in status
