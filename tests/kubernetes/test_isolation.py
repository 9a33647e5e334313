"""Every pod of a hive is hardened; a command that looks around in a workspace finds nothing to take, nobody to call."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.hive import REPOSITORY
from tests.kubernetes.hive import PodHive, hive_agent
from tests.kubernetes.places import run
from tests.support.processes import eventually
from tools.up.github_pod import NAME, PORT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Json = dict[str, Any]
PROBE = Path(__file__).with_name("probe.py").read_text()
HIVE = "bzzz"
NO_TOKEN = {"bzzz-agent", "bzzz-archive"}
"""`app.kubernetes.io/name` of pods that have no business with the API server."""


def pods(hive: PodHive) -> list[Json]:
    """Return the hive's pods that run and shall go on doing so."""
    found = hive.kube.items("pods", "-l", f"bzzz.dev/hive={HIVE}", "--field-selector=status.phase=Running")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def containers(pod: Json) -> list[Json]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def role(pod: Json) -> str:
    return pod["metadata"]["labels"]["app.kubernetes.io/name"]


def security(pod: Json, container: Json, name: str) -> Any:
    """A container's setting, or its pod's."""
    inherited = pod["spec"].get("securityContext", {}).get(name)
    return container.get("securityContext", {}).get(name, inherited)


def volumes(pod: Json) -> str:
    return json.dumps(pod["spec"].get("volumes", []))


RULES: dict[str, Callable[[Json, Json], bool]] = {
    "does not run as root": lambda p, c: (
        security(p, c, "runAsNonRoot") is True and security(p, c, "runAsUser") != 0
    ),
    "has a root file system that cannot be written": lambda p, c: bool(
        security(p, c, "readOnlyRootFilesystem")
    ),
    "gains no privileges": lambda p, c: (
        security(p, c, "allowPrivilegeEscalation") is False and not security(p, c, "privileged")
    ),
    "has no capabilities": lambda p, c: security(p, c, "capabilities") == {"drop": ["ALL"]},
    "has the runtime's seccomp profile": lambda p, c: (
        security(p, c, "seccompProfile") == {"type": "RuntimeDefault"}
    ),
    "has requests and limits": lambda _, c: all(
        {"cpu", "memory"} <= set(c["resources"].get(part, {})) for part in ("requests", "limits")
    ),
    "shares nothing of the node": lambda p, c: (
        not any(
            p["spec"].get(name) for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
        )
        and "hostPath" not in volumes(p)
        and not any(port.get("hostPort") for port in c.get("ports", []))
    ),
    "has a token of the API server only where it needs one": lambda p, _: (
        ("serviceAccountToken" not in volumes(p) and p["spec"].get("automountServiceAccountToken") is False)
        if role(p) in NO_TOKEN
        else role(p) in {"bzzz-operator", "bzzz-scribe"}
    ),
    "is told of no services by its environment": lambda p, _: p["spec"].get("enableServiceLinks") is False,
}


@pytest.mark.parametrize("rule", RULES)
def test_every_container_of_the_hive(hive: PodHive, rule: str) -> None:
    found = pods(hive)
    assert {role(pod) for pod in found} == {"bzzz-agent", "bzzz-archive", "bzzz-operator", "bzzz-scribe"}
    broken = [
        f"{pod['metadata']['name']}/{container['name']}"
        for pod in found
        for container in containers(pod)
        if not RULES[rule](pod, container)
    ]
    assert broken == [], f"a container of the hive {rule}"


def test_the_kernel_says_the_same_of_every_running_container(hive: PodHive) -> None:
    for pod in pods(hive):
        for container in containers(pod):
            place = (pod["metadata"]["name"], container["name"])
            said = run(hive.kube, *place, "sh", "-c", "cat /proc/self/status; touch /touched 2>&1 || true")
            status = {
                name: value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())
            }
            assert "0" not in status["Uid"].split(), place
            assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, place
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), place
            assert "Read-only file system" in said, place


def test_the_hive_runs_where_pod_security_is_restricted(hive: PodHive) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    command = hive.kube.argv("kubectl", "label", "namespace", hive.kube.namespace, label, "--dry-run=server")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "violate" not in done.stderr, done.stderr


def test_no_two_containers_of_an_agent_share_a_uid_or_a_volume_but_the_sockets(hive: PodHive) -> None:
    pod = hive.kube.get("pod", "edit-0")
    users = [security(pod, container, "runAsUser") for container in containers(pod)]
    assert len(set(users)) == len(users) == 3
    mounted: dict[str, set[str]] = {}
    for container in containers(pod):
        for mount in container["volumeMounts"]:
            place = f"{mount['name']}:{mount.get('subPath') or mount.get('subPathExpr') or ''}"
            mounted.setdefault(place, set()).add(container["name"])
    shared = {place: who for place, who in mounted.items() if len(who) > 1}
    assert shared == {
        "log-socket:": {"hypercore", "agent"},
        "run-socket:": {"workspace", "agent"},
        "runner-token:": {"workspace", "agent"},
        "metrics-token:": {"hypercore", "agent"},
    }


# What a workspace sees


ASK = """
import http.client, json, sys
found = {}
for path in ("/", "/v1/logs", "/metrics"):
    for method in ("GET", "PUT"):
        for token in ("", "Bearer wrong"):
            call = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=10)
            call.request(method, path, body="[]", headers={"Authorization": token} if token else {})
            found[f"{method} {path} {token}"] = call.getresponse().status
print(json.dumps(found))
"""


def digest(data: bytes) -> str:
    return hashlib.sha256(data.strip()).hexdigest()


def targets(hive: PodHive) -> dict[str, bool]:
    """Where a command tries to connect, and whether the flow table lets an agent's pod (so a command, too)."""
    everybody = {role(pod): pod for pod in pods(hive)}
    edit = hive.kube.get("pod", "edit-0")["status"]
    address = {name: pod["status"]["podIP"] for name, pod in everybody.items()}
    slices = hive.kube.get("endpointslices", "-n", "default", "-l", "kubernetes.io/service-name=kubernetes")
    (api,) = slices["items"][0]["endpoints"][0]["addresses"]
    closed = [
        "kubernetes.default.svc:443",
        "10.96.0.1:443",
        f"{api}:6443",
        f"{edit['hostIP']}:10250",
        "169.254.169.254:80",
        "169.254.169.254:443",
        f"{address['bzzz-archive']}:9401",
        f"{HIVE}-scribe:8080",
        f"{address['bzzz-scribe']}:8080",
        f"{address['bzzz-operator']}:9400",
        f"{address['bzzz-operator']}:8082",
        f"{edit['podIP']}:4002",
    ]
    opened = [
        f"{edit['podIP']}:4001",
        f"{address['bzzz-scribe']}:4001",
        f"{HIVE}-archive:8081",
        f"{NAME}:{PORT}",
    ]
    return dict.fromkeys(closed, False) | dict.fromkeys(opened, True)


def packed(program: str) -> str:
    """A program that fits into one argument of a manifest."""
    text = base64.b64encode(zlib.compress(program.encode(), 9)).decode()
    return f"import zlib,base64;exec(zlib.decompress(base64.b64decode('{text}')))"


def findings_of_a_command(hive: PodHive) -> Json:
    """Have the hive work on an issue by a command that looks around; its findings come in the pull request."""
    number = hive.open_issue("Look around", labels=("probe",))
    status = hive.wait_pull_request(number, within=300)
    assert status["claimant"] == "probe-0"
    (pull,) = hive.pulls(number)
    found = hive.api(
        "GET", f"/repos/{REPOSITORY}/contents/findings.json", params={"ref": pull["head"]["ref"]}
    )
    hive.api("PATCH", f"/repos/{REPOSITORY}/pulls/{pull['number']}", json={"state": "closed"})
    return json.loads(base64.b64decode(found["content"]))


@pytest.fixture(scope="module")
def probed(hive: PodHive) -> Iterator[dict[str, Json]]:
    """What a command found that the runner ran for an issue, and what somebody finds who is let into the container."""
    where = targets(hive)
    agent = hive_agent(
        "probe",
        1,
        execution={"command": ["python3", "-c", packed(PROBE), json.dumps(list(where)), "findings.json"]},
        storage={"retain": False},
        model={"name": "openai:none", "baseUrl": f"http://{NAME}:{PORT}/v1"},
    )
    agent["spec"]["github"]["issues"] = {"labels": ["probe"]}
    try:
        hive.apply(agent, ready_within=240)
        found = {"command": findings_of_a_command(hive)}
        said = run(hive.kube, "probe-0", "workspace", "python3", "-", json.dumps(list(where)), stdin=PROBE)
        found["exec"] = json.loads(said)
        for each in found.values():
            each["expected"] = where
        yield found
    finally:
        hive.kube.kubectl("delete", "hiveagent", "probe")
        gone = lambda: not hive.pods("app.kubernetes.io/instance=probe")  # noqa: E731
        eventually(gone, within=120, what="the probe's pod is gone")


@pytest.fixture(params=["command", "exec"])
def found(request: pytest.FixtureRequest, probed: dict[str, Json]) -> Json:
    return probed[request.param]


def test_a_workspace_holds_no_secret_but_the_runners_token(hive: PodHive, found: Json) -> None:
    known = {
        digest(base64.b64decode(value)): f"{secret['metadata']['name']}/{key}"
        for secret in hive.kube.items("secrets")
        for key, value in secret.get("data", {}).items()
    }
    assert len(known) > 10
    seen = {*found["files"].values(), *found["environment"]}
    assert {known[each] for each in seen & known.keys()} == {"probe-runner-token/token"}
    assert not [path for path in found["files"] if "serviceaccount" in path or path.startswith("/var")]
    bzzz = {path for path in found["files"] if path.startswith("/etc/bzzz")}
    assert all(path.startswith("/etc/bzzz/runner/") for path in bzzz), bzzz


def test_a_workspace_sees_no_process_but_its_own_and_nothing_of_the_runners(found: Json) -> None:
    assert found["uid"] == 10002
    commands = [process["command"] for process in found["processes"]]
    assert any("bzzz_runner.py" in command for command in commands)
    assert not [command for command in commands if "bzzz-agent" in command or "hypercore" in command]
    (first,) = [process for process in found["processes"] if process["pid"] == 1]
    assert first["opened"] == [], "the runner's memory, environment and files"


def test_a_workspace_can_reach_no_socket_but_the_runners_which_refuses_its_uid(found: Json) -> None:
    assert found["unix"]["/run/bzzz/log/log.sock"] == "FileNotFoundError"
    connected = {name for name, said in found["unix"].items() if said == "connected"}
    assert connected == {"/run/bzzz/run/run.sock"}
    assert not [name for name in found["unix"] if name.startswith("@")], (
        "abstract sockets ignore the file system"
    )
    assert found["runner"] == "HTTP/1.1 403 Forbidden"


def test_every_port_in_the_pod_asks_for_something(found: Json) -> None:
    ports = {port for _, port in found["listening"]}
    assert ports == {4001, 4002, 9400, 9401, 9402}
    assert [address for address, port in found["listening"] if port == 9402] == ["127.0.0.1"]
    for place, said in found["answers"].items():
        port, answers = int(place.rpartition(":")[2]), set(said.values())
        if port == 4001:
            assert all("/multistream/1.0.0" in answer for answer in answers), "then Noise, then a card"
        elif port == 4002:
            assert answers <= {"", "TimeoutError", "ConnectionResetError"}, "Noise, by the archive's key"
        else:
            assert all(" 401 " in answer for answer in answers), (place, said)


def test_a_workspace_reaches_what_agents_may_and_nothing_else(found: Json) -> None:
    assert {target: said == "open" for target, said in found["reach"].items()} == found["expected"]


def test_the_archive_which_a_workspace_can_reach_wants_a_token(hive: PodHive) -> None:
    said = json.loads(run(hive.kube, "edit-0", "workspace", "python3", "-c", ASK, f"{HIVE}-archive", "8081"))
    assert set(said.values()) == {401}, said
