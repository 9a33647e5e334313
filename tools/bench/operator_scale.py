"""HiveAgents by the hundred on an API server without nodes: our operator, and a peer on controller-runtime beside it.

Each run has an API server of its own, so that none inherits another's objects. Ours runs as it does in production, as
its ServiceAccount with the rights that the chart gives it: keys and tokens into Secrets, signed cards into the ledger,
the list of logs to an archive that only takes it. Writes are counted from the API server's audit log.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bzzz_operator.settings import OperatorSettings
from tests.operator.rig import ACCOUNT, HIVE, NO_CHILDREN, Rig, manifest, prepare
from tests.support.kube_api import ApiServer
from tests.support.kube_audit import Write
from tests.support.processes import Process, Processes, eventually
from tools.bench import operator_peer
from tools.bench.operator_archive import list_taker
from tools.bench.operator_load import Client, Json, Load, run_load
from tools.bench.rows import BrokenError

WORKERS = 10
CHILDREN = {
    "statefulsets": 1,
    "services": 1,
    "serviceaccounts": 1,
    "configmaps": 2,
    "secrets": 3,
    "networkpolicies": 1,
    "poddisruptionbudgets": 1,
}
"""What one HiveAgent becomes."""
WRITES = sum(CHILDREN.values()) + 1
"""One a child and one status."""
LEDGER = f"{HIVE}-members"
QUIET_S = 2.0
QUIET_SHARE = 0.05
"""An operator that uses less of a core than this for so long has nothing more to do."""
SETTLED_WITHIN_S = 120.0
RESTART_S = 8.0
"""An operator is watched for at least so long after a restart."""

Start = Callable[[], Process]


@dataclass(frozen=True)
class Operators:
    """How to start each, on one API server."""

    api: ApiServer
    rig: Rig
    starts: dict[str, Start]
    users: dict[str, str]


@dataclass
class Run:
    """What one operator did with one number of HiveAgents."""

    count: int
    load: Load
    load_before: float
    """Of the machine."""
    writes: Counter[str] = field(default_factory=Counter[str])
    """By resource; the ledger's ConfigMap apart."""
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    api_cpu_s: float = 0.0
    restart_writes: Counter[str] = field(default_factory=Counter[str])
    restart_cpu_s: float = 0.0
    restart_peak_mb: float = 0.0

    @property
    def children_and_status(self) -> float:
        """Writes a HiveAgent, the ledger's left out."""
        return sum(n for what, n in self.writes.items() if what != "ledger") / self.count


@contextmanager
def operators(folder: Path, say: Callable[[str], None], which: Sequence[str]) -> Generator[Operators]:
    """Run an API server with one hive's namespace, where operators can be started."""
    parent = folder if len(str(folder)) < 80 else None
    with (
        ApiServer.start() as api,
        tempfile.TemporaryDirectory(prefix="bo", dir=parent, ignore_cleanup_errors=True) as name,
        Processes(Path(name)) as processes,
    ):
        prepare(api)
        rig = Rig(api, processes, Path(name))
        with closing(rig), list_taker(rig.archive_port):
            peer = f"system:serviceaccount:{rig.namespace}:peer"
            ours = f"system:serviceaccount:{rig.namespace}:{ACCOUNT}"
            starts: dict[str, Start] = {"ours": lambda: rig.operator(**settings_of(rig))}
            if "peer" in which:
                starts["peer"] = _peer(rig, processes, say)
            yield Operators(api, rig, starts, {"ours": ours, "peer": peer})


def one_run(here: Operators, who: str, count: int) -> Run:
    """Have an operator take in so many HiveAgents, then restart it. Raises BrokenError when it does not."""
    with closing(Client(here.api)) as client:
        return _one_run(here, client, who, count)


def _one_run(here: Operators, client: Client, who: str, count: int) -> Run:
    process = here.starts[who]()
    warm = run_load(client, here.rig.namespace, [manifest("warm", replicas=1)], CHILDREN)
    _check(warm, process)
    quiet(process)
    mark, cpu, api_cpu = here.api.mark(), cpu_of(process.pid), cpu_of(here.api.pid)
    before = os.getloadavg()[0]
    manifests: list[Json] = [manifest(f"hive-{n:05d}", replicas=1) for n in range(count)]
    load = run_load(client, here.rig.namespace, manifests, CHILDREN)
    _check(load, process)
    quiet(process)
    run = Run(count, load, before)
    run.writes = by_kind(here.api.writes(since=mark, user=here.users[who]))
    run.cpu_s, run.peak_mb = cpu_of(process.pid) - cpu, peak_mb(process.pid)
    run.api_cpu_s = cpu_of(here.api.pid) - api_cpu
    process.stop(30)
    mark = here.api.mark()
    process = here.starts[who]()
    quiet(process, RESTART_S)
    run.restart_writes = by_kind(here.api.writes(since=mark, user=here.users[who]))
    run.restart_cpu_s, run.restart_peak_mb = cpu_of(process.pid), peak_mb(process.pid)
    process.stop(30)
    return run


def settings_of(rig: Rig) -> Json:
    """Return what is told to our operator beside what the rig tells: the product's own times, and the workers."""
    return {
        "workers": WORKERS,
        "leaseS": 15,
        "archive": {"url": f"http://127.0.0.1:{rig.archive_port}"},
    }


def by_kind(writes: Sequence[Write]) -> Counter[str]:
    """Count writes by resource; Events and leases, which are nobody's children, are left out."""
    counted: Counter[str] = Counter()
    for write in writes:
        if write.resource not in NO_CHILDREN:
            counted["ledger" if write.name == LEDGER else write.resource] += 1
    return counted


def quiet(process: Process, least_s: float = 0.0) -> None:
    """Wait until an operator has nothing to do."""
    begin = time.monotonic()
    since, used = begin, cpu_of(process.pid)

    def still() -> bool:
        nonlocal since, used
        now, cpu = time.monotonic(), cpu_of(process.pid)
        if now - since < QUIET_S:
            return False
        is_quiet = cpu - used < QUIET_SHARE * (now - since) and now - begin >= least_s
        since, used = now, cpu
        return is_quiet

    eventually(still, within=SETTLED_WITHIN_S, what=f"{process.name} has nothing to do")


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held, in MB, shared pages included."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6


def _peer(rig: Rig, processes: Processes, say: Callable[[str], None]) -> Start:
    """Build the peer and give it an account and what a HiveAgent becomes."""
    program = operator_peer.built(say)
    token = rig.api.token_for(rig.namespace, "peer")
    rbac = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    head = {"apiVersion": f"{rbac}/v1", "metadata": {"name": "peer"}}
    subject = {"kind": "ServiceAccount", "name": "peer", "namespace": rig.namespace}
    ref = {"apiGroup": rbac, "kind": "Role", "name": "peer"}
    rig.apply(
        {**head, "kind": "Role", "rules": rules},
        {**head, "kind": "RoleBinding", "roleRef": ref, "subjects": [subject]},
    )
    settings = OperatorSettings.model_validate_json(json.dumps(rig.config()))
    children = rig.folder / "children.json"
    operator_peer.write_template(children, operator_peer.template(settings, manifest(replicas=1)))
    kubeconfig = rig.api.kubeconfig_of(token, rig.namespace)
    return lambda: operator_peer.start(processes, program, kubeconfig, rig.namespace, children, WORKERS)


def _check(load: Load, process: Process) -> None:
    if load.missing:
        raise BrokenError(f"{process.name}: {load.missing}; {process.tail()[-500:]}")
