"""Who can connect to whom, and what becomes of those who can and do not belong there."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bzzz_operator.network.flows import FLOWS, pod_labels
from hmmm.envelope import SigningKey
from hmmm.membership import MembershipCard, sign_card
from tests.kubernetes.hive import PodHive, hive_agent
from tests.kubernetes.places import (
    dials,
    metrics,
    reached,
    reached_by_node,
    refusals,
    run,
    stranger,
    strangers,
)
from tests.support.processes import eventually
from tools.cluster import Cluster
from tools.up.github_pod import NAME, PORT
from tools.up.kube import Kube

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

Json = dict[str, Any]
INTRUDER = Path(__file__).with_name("intruder.py").read_text()
HIVE = "bzzz"
LISTENING = {
    "agent": (4001, 4002, 9400, 9401),
    "scribe": (4001, 8080),
    "archive": (8081, 9401),
    "operator": (9400, 8082),
}
"""Every port of every role."""
API = "kubernetes.default.svc:443"
DNS = "10.96.0.10:53"
GITHUB = f"{NAME}:{PORT}"
MARKS = 300
"""Messages that an intruder forces upon an agent: more than it hears from its hive meanwhile."""


def pod_of(hive: PodHive, role: str) -> Json:
    """The pod of a role; of the agents the second, whom the first may or may not reach."""
    if role == "agent":
        return hive.kube.get("pod", "edit-1")
    selector = f"app.kubernetes.io/name=bzzz-{role},bzzz.dev/hive={HIVE}"
    (found,) = hive.kube.items("pods", "-l", selector, "--field-selector=status.phase=Running")
    return found


def expected_of(hive: PodHive, source: str) -> dict[str, bool]:
    """Every port of every other role, and what is outside: whether the flow table lets this role connect."""
    allowed = {(flow.target, port) for flow in FLOWS if flow.source == source for port in flow.ports}
    expected = {
        f"{pod_of(hive, role)['status']['podIP']}:{port}": (role, port) in allowed
        for role, ports in LISTENING.items()
        for port in ports
        if role != source or role == "agent"
    }
    targets = {target for target, _ in allowed}
    outside = {API: "api-server" in targets, DNS: "dns" in targets, GITHUB: source == "agent"}
    return expected | outside


@pytest.mark.parametrize("source", LISTENING)
def test_a_role_reaches_what_the_table_lets_it_and_nothing_else(hive: PodHive, source: str) -> None:
    expected = expected_of(hive, source)
    if source == "archive":
        found = reached_by_node(hive.kube, f"{HIVE}-archive-0", *expected)
    elif source == "agent":
        found = reached(hive.kube, "edit-0", "agent", *expected)
        # the plugin of this cluster judges both directions of one policy together, so the hole for Prometheus lets
        # agents of one HiveAgent see each other's metrics ports, which ask for a token
        for port in (9400, 9401):
            place = f"{pod_of(hive, 'agent')['status']['podIP']}:{port}"
            expected.pop(place), found.pop(place)
    else:
        found = reached(hive.kube, pod_of(hive, source)["metadata"]["name"], None, *expected)
    assert {target: said == "open" for target, said in found.items()} == expected


@pytest.fixture(scope="module")
def elsewhere(hive: PodHive) -> Iterator[Kube]:
    """A namespace that has nothing to do with the hive, with a pod in it."""
    kube = Kube(hive.kube.kubeconfig, hive.kube.tools, f"elsewhere-{secrets.token_hex(3)}")
    kube.kubectl("create", "namespace", kube.namespace)
    try:
        with strangers(kube, stranger("stranger", pod_labels("agent", HIVE))):
            yield kube
    finally:
        kube.kubectl("delete", "namespace", kube.namespace, "--wait=false")


@pytest.fixture(scope="module")
def inside(hive: PodHive) -> Iterator[Kube]:
    """The hive's namespace, with a pod of nobody's and one that bears the labels of an agent."""
    impostor = stranger("impostor", pod_labels("agent", HIVE))
    with strangers(hive.kube, stranger("stranger"), impostor):
        yield hive.kube


@pytest.mark.parametrize("place", ["inside", "elsewhere"])
def test_a_stranger_reaches_pages_and_metrics_ports_and_nothing_else(
    hive: PodHive, place: str, request: pytest.FixtureRequest
) -> None:
    expected = {
        f"{pod_of(hive, role)['status']['podIP']}:{port}": any(
            flow.source in ("people", "prometheus") and flow.target == role and port in flow.ports
            for flow in FLOWS
        )
        for role, ports in LISTENING.items()
        for port in ports
    }
    found = reached(request.getfixturevalue(place), "stranger", None, *expected)
    assert {target: said == "open" for target, said in found.items()} == expected


def test_metrics_of_agents_are_for_those_with_the_token(hive: PodHive, elsewhere: Kube) -> None:
    program = (
        "import http.client, sys\n"
        "for port in (9400, 9401):\n"
        "    for token in ('', 'Bearer wrong'):\n"
        "        call = http.client.HTTPConnection(sys.argv[1], port, timeout=10)\n"
        "        call.request('GET', '/metrics', headers={'Authorization': token} if token else {})\n"
        "        print(call.getresponse().status)\n"
    )
    address = hive.kube.get("pod", "edit-0")["status"]["podIP"]
    assert set(run(elsewhere, "stranger", None, "python3", "-c", program, address).split()) == {"401"}


def card_of_another_hive(seed: bytes) -> bytes:
    """A good card of this very name and key, signed by another hive of the same name."""
    now = datetime.now(UTC)
    card = MembershipCard(
        hive=HIVE,
        serial=1,
        node_id="edit-0",
        peer_id=SigningKey.mesh(seed).key_id,
        log_key="0" * 64,
        role="agent",
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(hours=1),
    )
    return sign_card(card, SigningKey.hive(secrets.token_bytes(32)))


@pytest.mark.parametrize("shown", ["no card", "a card of another hive", "a member's card"])
def test_who_gets_through_to_the_mesh_without_a_card_of_its_own_is_refused(
    hive: PodHive, inside: Kube, shown: str
) -> None:
    seed = secrets.token_bytes(32)
    card = {
        "no card": lambda: None,
        "a card of another hive": lambda: card_of_another_hive(seed),
        "a member's card": lambda: hive.kube.get("configmap", f"{HIVE}-members")["data"][
            "card-edit-1.json"
        ].encode(),
    }[shown]()
    agents = {agent["nodeId"]: agent for agent in hive.kube.get("hiveagent", "edit")["status"]["agents"]}
    order = {
        "victim": f"/ip4/{hive.kube.get('pod', 'edit-0')['status']['podIP']}/tcp/4001",
        "peer": agents["edit-0"]["peerId"],
        "seed": seed.hex(),
        "card": base64.b64encode(card).decode() if card else None,
        "marks": MARKS,
    }
    before = metrics(hive.kube, "edit-0")
    said = json.loads(run(inside, "impostor", None, "python3", "-c", INTRUDER, stdin=json.dumps(order)))
    after = metrics(hive.kube, "edit-0")
    assert said["connected"], "the policy lets whoever bears the agents' labels through"
    assert said["ended"], said
    assert said["after"] < 15, said
    assert said["heard"] == 0, "no gossip for strangers"
    assert refusals(after) > refusals(before)
    assert after["bzzz_mesh_members"] == before["bzzz_mesh_members"]
    received = "bzzz_mesh_messages_received_total"
    assert after[received] - before[received] < MARKS


# Two hives


@pytest.fixture(scope="module")
def second(hive: PodHive, loaded: Cluster) -> Iterator[PodHive]:
    """A hive of the same name in another namespace, with an agent of the same name, for a repository of the same name;
    no policies guard it.
    """
    made = PodHive.install(loaded, "hive-two", HIVE, **{"networkPolicy.enabled": "false"})
    try:
        made.apply(hive_agent("edit", 1, discussion={"reviewers": 0}))
        yield made
    finally:
        made.close()


def keys(hive: PodHive) -> set[str]:
    """Peer ids and log keys of a hive's agents, once all are known."""

    def known() -> set[str] | None:
        agents = hive.kube.get("hiveagent", "edit").get("status", {}).get("agents", [])
        found = {agent.get(name) for agent in agents for name in ("peerId", "logKey")}
        return found if found and None not in found else None

    found = eventually(known, within=120, what="the agents' keys are known")
    assert found is not None
    return found


def let_in(hive: PodHive, other: PodHive) -> Json:
    """A policy by which a careless person lets another namespace through to the mesh."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": other.kube.namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "careless"},
        "spec": {
            "podSelector": {"matchLabels": pod_labels("agent", HIVE)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [peer], "ports": [{"protocol": "TCP", "port": 4001}]}],
        },
    }


def told_to_dial(hive: PodHive, other: PodHive) -> None:
    """Put an agent of another hive into a hive's list of members; its operator is away and cannot take it back."""
    address = other.kube.get("pod", "edit-0")["status"]["podIP"]
    (stranger,) = [
        agent
        for agent in other.kube.get("hiveagent", "edit")["status"]["agents"]
        if agent["nodeId"] == "edit-0"
    ]
    members = json.loads(hive.kube.get("configmap", f"{HIVE}-members")["data"]["members.json"])
    members.append(
        {"nodeId": "edit-9", "peerId": stranger["peerId"], "addresses": [f"/ip4/{address}/tcp/4001"]}
    )
    patch = json.dumps({"data": {"members.json": json.dumps(members)}})
    hive.kube.kubectl("patch", "configmap", f"{HIVE}-members", "--type=merge", "-p", patch)
    # the kubelet looks at a pod's volumes again when the pod changes, instead of within a minute
    hive.kube.kubectl("annotate", "pod", "edit-0", f"test/dial={secrets.token_hex(4)}")


def test_two_hives_of_one_name_do_not_hear_each_other(hive: PodHive, second: PodHive) -> None:
    assert hive.hive_key != second.hive_key
    assert keys(hive).isdisjoint(keys(second))
    quiet, calm = metrics(hive.kube, "edit-0"), metrics(second.kube, "edit-0")
    with ExitStack() as stack:
        hive.kube.apply(let_in(hive, second))
        stack.callback(hive.kube.kubectl, "delete", "networkpolicy", "careless")
        second.kube.kubectl("scale", f"deployment/{HIVE}-operator", "--replicas=0")
        stack.callback(second.kube.kubectl, "scale", f"deployment/{HIVE}-operator", "--replicas=1")
        operators = f"app.kubernetes.io/name=bzzz-operator,bzzz.dev/hive={HIVE}"
        eventually(lambda: not second.pods(operators), within=60, what="the second hive's operator is away")
        told_to_dial(second, hive)

        def refused() -> bool:
            return refusals(metrics(hive.kube, "edit-0")) > refusals(quiet)

        eventually(refused, within=120, what="the first hive refuses the second's agent")
        # a dial counts once it has ended, for the dialler up to ten seconds after it was refused
        eventually(
            lambda: dials(metrics(second.kube, "edit-0")) > dials(calm),
            within=60,
            what="the second hive's agent has dialled",
        )
        # while the second hive's agent keeps dialling, each works on an issue of its own
        here, there = (
            hive.open_issue("Mend a", "touch: src/a.py"),
            second.open_issue("Mend b", "touch: src/b.py"),
        )
        mine, theirs = hive.wait_pull_request(here, 300), second.wait_pull_request(there, 300)
    assert mine["transcript"]["logKey"] in keys(hive)
    assert theirs["transcript"]["logKey"] in keys(second)
    assert [found["spec"]["issue"]["number"] for found in second.kube.items("metadiscussions")] == [there]
    for whose, other in ((hive, second), (second, hive)):
        logs = {each["status"]["transcript"]["logKey"] for each in whose.kube.items("metadiscussions")}
        assert logs.isdisjoint(keys(other))
    assert metrics(hive.kube, "edit-0")["bzzz_mesh_members"] == quiet["bzzz_mesh_members"]
    assert metrics(second.kube, "edit-0")["bzzz_mesh_members"] == 2, "its one agent and its scribe"
