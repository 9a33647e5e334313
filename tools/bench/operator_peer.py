"""The peer: an operator on controller-runtime (Go) that does the same work, built on demand from pinned modules.

What a HiveAgent becomes is handed to it as a template: every object that our operator applies, byte for byte from its
own `desired_state`, and the three Secrets. Left out is what no other operator has: keys that are made and read back,
cards that are signed, the ledger; the peer's Secrets have fixed contents.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bzzz_crds import HiveAgentSpec
from bzzz_operator.authority.contents import SEED, TOKEN, secret_of
from bzzz_operator.desired import HiveFacts, TokenCredential, WantedAgent, desired_state, names
from bzzz_operator.kinds import SECRET
from bzzz_operator.run import runner_program
from bzzz_operator.settings import OperatorSettings
from tests.support.processes import Process, Processes
from tools.bench.rows import BrokenError
from tools.cluster.binaries import find_go, go_environment
from tools.cluster.layout import cache_folder
from tools.cluster.locks import locked
from tools.cluster.steps import Steps

SOURCE = Path(__file__).resolve().parent / "controller-runtime"
NAME, NAMESPACE, UID = "NAME-PLACE", "NAMESPACE-PLACE", "UID-PLACE"
"""Placeholders, as main.go has them."""
BUILD_LIMIT_S = 30 * 60

Json = dict[str, Any]


def built(say: Callable[[str], None]) -> Path:
    """Return the peer's program, built first if it is not there: two to five minutes with an empty cache of Go.

    Raises MissingToolError without Go, BrokenError when the build fails.
    """
    program = cache_folder().parent / "bench" / "controller-runtime"
    stamp = program.with_suffix(".stamp")
    digest = _digest()
    program.parent.mkdir(parents=True, exist_ok=True)
    with locked(program.parent / ".lock", Steps(), "another build of the peer"):
        if program.exists() and stamp.exists() and stamp.read_text() == digest:
            return program
        say("building the controller-runtime peer with Go; kept for the next time")
        fresh = program.with_suffix(".new")
        argv = [find_go(), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(fresh), "."]
        done = subprocess.run(
            argv,
            cwd=SOURCE,
            env=go_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_LIMIT_S,
        )
        if done.returncode != 0:
            raise BrokenError(f"go build of the peer: {done.stderr.strip()[-500:]}")
        fresh.replace(program)
        stamp.write_text(digest)
    return program


def template(settings: OperatorSettings, manifest: Json) -> list[Json]:
    """Return what a HiveAgent with this manifest becomes, with placeholders for what differs from one to the next."""
    spec = HiveAgentSpec.model_validate(manifest["spec"])
    anywhere = settings.model_copy(update={"namespace": NAMESPACE})
    facts = HiveFacts(anywhere, hive_key="a" * 64, archive_key="b" * 64, runner_program=runner_program())
    wanted = WantedAgent(NAME, UID, spec, TokenCredential(), spec.replicas)
    pods = {f"{NAME}-{ordinal}": "c" * 64 for ordinal in range(spec.replicas)}
    assert all(SEED.pattern.fullmatch(seed) for seed in pods.values())
    token = {"token": "d" * len(TOKEN.make())}
    secrets: list[Json] = []
    for name, data in (
        (names.runner_token(NAME), token),
        (names.mesh_keys(NAME), pods),
        (names.log_seeds(NAME), pods),
    ):
        head = names.metadata(SECRET, name, NAME, UID, settings.hive, NAMESPACE)["metadata"]
        body = secret_of(name, head["labels"], data, head["ownerReferences"])
        body["metadata"]["namespace"] = NAMESPACE
        secrets.append(body)
    return [*secrets, *(made.body for made in desired_state(wanted, facts))]


def start(
    processes: Processes, program: Path, kubeconfig: Path, namespace: str, children: Path, workers: int
) -> Process:
    """Start the peer; it says nothing when it is ready."""
    argv = [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--namespace={namespace}",
        f"--children={children}",
        f"--workers={workers}",
    ]
    return processes.start("peer", argv, ready_within=None)


def write_template(file: Path, objects: list[Json]) -> None:
    """Write the template as the peer reads it."""
    file.write_text(json.dumps(objects))


def _digest() -> str:
    hashed = hashlib.sha256()
    for file in sorted(p for p in SOURCE.iterdir() if p.suffix in {".mod", ".sum", ".go"}):
        hashed.update(file.name.encode() + b"\0" + file.read_bytes())
    return hashed.hexdigest()
