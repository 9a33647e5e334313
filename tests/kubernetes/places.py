"""Places in a cluster from which somebody tries to connect: stranger pods, and containers of the hive itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from tools.images.catalogue import REGISTRY
from tools.up.deploy import TAG
from tools.up.kube import Kube

Json = dict[str, Any]

REACH = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reach(target):
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 3):
            return "open"
    except OSError as error:
        return type(error).__name__

targets = json.loads(sys.argv[1])
with ThreadPoolExecutor(24) as pool:
    print(json.dumps(dict(zip(targets, pool.map(reach, targets)))))
"""

REACH_BY_NODE = """
const net = require('net')
const reach = target => new Promise(resolve => {
  const at = target.lastIndexOf(':')
  const socket = net.connect({ host: target.slice(0, at), port: Number(target.slice(at + 1)) })
  const say = word => { socket.destroy(); resolve([target, word]) }
  socket.setTimeout(3000, () => say('timeout'))
  socket.on('connect', () => say('open'))
  socket.on('error', error => say(error.code))
})
Promise.all(JSON.parse(process.argv[1]).map(reach)).then(all => console.log(JSON.stringify(Object.fromEntries(all))))
"""


def run(kube: Kube, pod: str, container: str | None, *argv: str, stdin: str = "") -> str:
    """Run a program in a container and return what it printed; its failure is an AssertionError."""
    chosen = ["-c", container] if container else []
    command = kube.argv("kubectl", "exec", "-i", pod, *chosen, "--", *argv)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{pod} {argv[:1]}: {done.stderr[-2000:]}"
    return done.stdout


def reached(kube: Kube, pod: str, container: str | None, *targets: str) -> dict[str, str]:
    """Say of each `host:port` whether a connection from a container opens: `open`, or how it failed."""
    return json.loads(run(kube, pod, container, "python3", "-c", REACH, json.dumps(targets)))


def reached_by_node(kube: Kube, pod: str, *targets: str) -> dict[str, str]:
    """As `reached`, from a container that has Node.js and no Python."""
    return json.loads(run(kube, pod, None, "node", "-e", REACH_BY_NODE, json.dumps(targets)))


def stranger(name: str, labels: Mapping[str, str] | None = None) -> Json:
    """Return a pod of nobody's in particular, with the agent's programs in it."""
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": f"{REGISTRY}/agent:{TAG}",
                    "imagePullPolicy": "Never",
                    "command": ["sleep", "100000"],
                    "securityContext": security,
                }
            ],
        },
    }


@contextmanager
def strangers(kube: Kube, *pods: Json) -> Generator[None]:
    """Keep pods running for the length of a block."""
    names = [pod["metadata"]["name"] for pod in pods]
    kube.apply(*pods)
    try:
        kube.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{name}" for name in names))
        yield
    finally:
        kube.kubectl("delete", "pod", "--ignore-not-found", "--wait=false", *names)


def metrics(kube: Kube, pod: str) -> dict[str, float]:
    """Return an agent's metrics, read as its own container reads them."""
    script = (
        "import urllib.request as u; t=open('/etc/bzzz/metrics/token').read().strip();"
        "q=u.Request('http://127.0.0.1:9400/metrics',headers={'Authorization':'Bearer '+t});"
        "print(u.urlopen(q,timeout=10).read().decode())"
    )
    found: dict[str, float] = {}
    for line in run(kube, pod, "agent", "python3", "-c", script).splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def refusals(values: Mapping[str, float]) -> float:
    """Return how many connections an agent has refused, for whatever reason."""
    return sum(value for name, value in values.items() if name.startswith("bzzz_mesh_peers_refused_total"))


def dials(values: Mapping[str, float]) -> float:
    """Return how often an agent has tried to reach a peer; who is refused at once may see a connection fail."""
    return sum(value for name, value in values.items() if name.startswith("bzzz_mesh_dials_total"))
