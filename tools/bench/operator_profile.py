"""Where our operator's processor time goes: the product with a sampler in it, a launcher of the operator bench.

    python -m tools.bench.operator_profile run --config FILE

Every 5 ms of processor time the stack is looked at; at the end one JSON line on stderr says how often which part of
the operator was on it (a sample counts for each part once).
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import FrameType

from bzzz_operator.__main__ import main
from tests.operator.rig import manifest
from tools.bench.operator_load import Client, run_load
from tools.bench.operator_scale import CHILDREN, Operators, cpu_of, quiet, settings_of
from tools.bench.rows import BrokenError

EVERY_S = 0.005
EVENT = "bench_profile"
PRODUCT = "bzzz_operator/"
AUTHORITY = "bzzz_operator/authority"


def share_of_authority(here: Operators, count: int) -> tuple[float, float]:
    """Return the authority's share (0 to 1) of our processor time for so many HiveAgents, and that time in seconds."""
    rig = here.rig
    file = rig.folder / "profiled.json"
    file.write_text(json.dumps(rig.config(**settings_of(rig))))
    env = {"KUBECONFIG": str(here.api.kubeconfig_of(rig.token, rig.namespace)), "POD_NAME": "profiled"}
    argv = [sys.executable, "-m", "tools.bench.operator_profile", "run", "--config", str(file)]
    root = Path(__file__).resolve().parents[2]
    process = rig.processes.start("profiled", argv, env=env, cwd=root)
    manifests = [manifest(f"hive-{n:05d}", replicas=1) for n in range(count)]
    with closing(Client(here.api)) as client:
        load = run_load(client, rig.namespace, manifests, CHILDREN)
    if load.missing:
        raise BrokenError(f"profiled operator: {load.missing}")
    quiet(process)
    cpu_s = cpu_of(process.pid)
    process.stop(30)
    (told,) = process.logged(EVENT)
    return told["parts"].get(AUTHORITY, 0) / told["samples"], cpu_s


class Sampler:
    """Counts the parts that are on the stack."""

    def __init__(self) -> None:
        self.samples = 0
        self.parts: Counter[str] = Counter()
        self.ours: Counter[str] = Counter()
        self.innermost: Counter[str] = Counter()

    def take(self, _signal: int, frame: FrameType | None) -> None:
        """Take a sample."""
        self.samples += 1
        parts: set[str] = set()
        ours: set[str] = set()
        innermost = True
        while frame is not None:
            code = frame.f_code
            place = Path(code.co_filename)
            parts.add(f"{place.parent.parent.name}/{place.parent.name}")
            name = f"{place.parent.name}/{place.name}:{code.co_qualname}"
            if PRODUCT in code.co_filename:
                ours.add(name)
            if innermost:
                self.innermost[name] += 1
                innermost = False
            frame = frame.f_back
        self.parts.update(parts)
        self.ours.update(ours)


if __name__ == "__main__":
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.take)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    exit_code = main()
    signal.setitimer(signal.ITIMER_PROF, 0)
    told: dict[str, object] = {"event": EVENT, "samples": sampler.samples}
    for kind in ("parts", "ours", "innermost"):
        told[kind] = dict(getattr(sampler, kind).most_common(40))
    print(json.dumps(told), file=sys.stderr)
    sys.exit(exit_code)
