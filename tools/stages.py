"""Run the project's checks stage by stage, say what each took, and end with one total line.

    python tools/stages.py                 every stage: lint, build, each suite under tests/, the whole-hive tests last
    python tools/stages.py lint            only the linters
    python tools/stages.py build           only Kubernetes' programs, the images and n8n (cached outside the checkout)
    python tools/stages.py mesh claims     only these suites

A failed stage does not hide the next one: all run, the exit code is 1 if any failed. With CI=true a skipped test
counts as a failure, because nobody reads skips there. One Kubernetes cluster serves all suites that need one; it is
started by the first of them and ended with the run.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
REPORTS = ROOT / "build" / "junit"
STAGE_LIMIT_S = 45 * 60
"""A stage that takes longer is hung; its whole process group is ended."""

SUITES_LAST = ("e2e", "n8n", "cluster_tool", "kubernetes")
CLUSTER_STATE = ROOT / "build" / "cluster-test"
NOT_SUITES = ("support",)
NODE_FOLDERS = ("sidecar", "tools/github/emulator")


@dataclass
class Outcome:
    """What a stage came to; a linter counts no tests."""

    name: str
    ok: bool
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def environment() -> dict[str, str]:
    """Our own tools first, so that a stage run from any shell uses the pinned ones."""
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "BZZZ_CLUSTER_STATE": str(CLUSTER_STATE),
    }


def run(command: list[str], folder: Path = ROOT) -> bool:
    """Run a command in a process group of its own; return whether it ended with 0 in time."""
    with started(command, folder) as process:
        return ended_well(process)


@contextmanager
def started(command: list[str], folder: Path = ROOT) -> Generator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own; whatever is left of it at the end is ended."""
    print(f"  $ {' '.join(command)}", flush=True)
    with subprocess.Popen(command, cwd=folder, env=environment(), start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ended_well(process: subprocess.Popen[bytes]) -> bool:
    """Wait for a command; return whether it ended with 0 in time."""
    try:
        return process.wait(timeout=STAGE_LIMIT_S) == 0
    except subprocess.TimeoutExpired:
        print(f"  expected an end within {STAGE_LIMIT_S} s; stopped", flush=True)
        return False


def lint() -> Outcome:
    """Every linter, even after one complained: one run shows all there is to mend."""
    begun = time.monotonic()
    commands = [
        ["python", "-m", "tools.n8n.workflows", "--check"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["basedpyright"],
        ["lint-imports", "--no-cache"],
    ]
    results = [run(command) for command in commands]
    for folder in NODE_FOLDERS:
        scripts = node_scripts(ROOT / folder)
        results += [
            run(["npm", "run", "--silent", s], ROOT / folder) for s in ("lint", "typecheck") if s in scripts
        ]
    return Outcome("lint", all(results), time.monotonic() - begun)


def node_scripts(folder: Path) -> set[str]:
    """Names of the npm scripts of a folder; none where there is no package."""
    import json

    package = folder / "package.json"
    return set(json.loads(package.read_text()).get("scripts", {})) if package.exists() else set()


def suite(name: str) -> Outcome:
    """One folder of tests in a pytest of its own: a crash takes nothing else with it."""
    begun = time.monotonic()
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    REPORTS.mkdir(parents=True, exist_ok=True)
    ok = run(
        ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", f"tests/{name}"]
    )
    seconds = time.monotonic() - begun
    if not report.exists():
        return Outcome(name, ok=False, seconds=seconds, failed=1)
    total = failed = skipped = 0
    for element in ElementTree.parse(report).iter("testsuite"):  # noqa: S314 - written by our own pytest
        total += int(element.get("tests", 0))
        failed += int(element.get("failures", 0)) + int(element.get("errors", 0))
        skipped += int(element.get("skipped", 0))
    if skipped and os.environ.get("CI") == "true":
        print(f"  {name}: expected no skipped test in CI, got {skipped}", flush=True)
        ok = False
    return Outcome(name, ok, seconds, max(total - failed - skipped, 0), failed, skipped)


def build() -> Outcome:
    """Build what suites would otherwise build within a test's time limit: a new machine needs a quarter of an hour."""
    begun = time.monotonic()
    commands = [
        ["python", "-m", "tools.cluster", "build"],
        ["python", "-m", "tools.images", "build", "--export"],
    ]
    # beside the others, for it waits for a registry and a disk where they need the cores
    with started(["tools/n8n/install.sh"]) as n8n:
        results = [*(run(command) for command in commands), ended_well(n8n)]
    return Outcome("build", all(results), time.monotonic() - begun)


def end_cluster() -> None:
    """Leave nothing of the run's cluster behind."""
    if CLUSTER_STATE.exists():
        run(["python", "-m", "tools.cluster", "down", "--state", str(CLUSTER_STATE)])


def suites() -> list[str]:
    """Names of the folders under tests/ that hold tests, the whole-hive ones last."""
    folders = sorted(p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and any(p.rglob("test_*.py")))
    return sorted((f for f in folders if f not in NOT_SUITES), key=lambda f: (f in SUITES_LAST, f))


def main(wanted: list[str]) -> int:
    """Run the wanted stages (all if none is named); return the exit code."""
    known = ["lint", "build", *suites()]
    unknown = [w for w in wanted if w not in known]
    if unknown:
        print(f"stages: expected some of {', '.join(known)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    if shutil.which("ruff", path=environment()["PATH"]) is None:
        print("stages: expected the tools in .venv; run: make install", file=sys.stderr)
        return 2
    try:
        outcomes = [stage(name) for name in known if not wanted or name in wanted]
    finally:
        end_cluster()
    print_summary(outcomes)
    return 0 if all(o.ok for o in outcomes) else 1


def stage(name: str) -> Outcome:
    """Run one stage and say what it came to."""
    print(f"== {name}", flush=True)
    special = {"lint": lint, "build": build}
    outcome = special[name]() if name in special else suite(name)
    print(f"== {name}: {'ok' if outcome.ok else 'FAILED'} in {outcome.seconds / 60:.1f} min", flush=True)
    return outcome


def print_summary(outcomes: list[Outcome]) -> None:
    """Print a table of the stages and, as the very last line, the total in pytest's words."""
    print(f"\n{'stage':<20}{'result':<8}{'minutes':>8}{'passed':>8}{'failed':>8}{'skipped':>8}")
    for o in outcomes:
        result = "ok" if o.ok else "FAILED"
        print(f"{o.name:<20}{result:<8}{o.seconds / 60:>8.1f}{o.passed:>8}{o.failed:>8}{o.skipped:>8}")
    broken = [o.name for o in outcomes if not o.ok]
    if broken:
        print(f"failed stages: {', '.join(broken)}")
    passed, failed, skipped = (sum(getattr(o, k) for o in outcomes) for k in ("passed", "failed", "skipped"))
    words = [f"{passed} passed"] if not failed else [f"{failed} failed", f"{passed} passed"]
    words += [f"{skipped} skipped"] if skipped else []
    print(f"==== {', '.join(words)} in {sum(o.seconds for o in outcomes):.2f}s ====", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
