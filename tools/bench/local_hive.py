"""A whole hive on this machine, started as users start it (`bzzz local`), with an executor that takes no time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bzzz_cli.local import linux
from tools.bench.rows import Context

Json = dict[str, Any]
T = TypeVar("T")

REPOSITORY = "acme/bench"
TOOLS = Path(__file__).parent / "instant"
LAUNCHER = ("-m", "bzzz_cli")
UP_S, DOWN_S = 120.0, 90.0
POLL_S = 0.1
BEGUN = "2026-01-01T00:00:00Z"
MANIFEST = """\
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {{name: bench}}
spec:
  replicas: {agents}
  github: {{repositories: [{repository}]}}
  execution:
    type: command
    plan: dryRun
    command: [note]
    test: ["true"]
    timeout: 1m
  discussion: {{window: {window_ms}ms, reviewers: 2}}
"""


@dataclass
class LocalHive:
    """A hive that is up."""

    state_dir: Path
    record: Path
    names: tuple[str, ...]
    scribe: httpx.Client
    github: httpx.Client

    def open_issue(self, title: str, body: str | None = None) -> tuple[int, float]:
        """Open an issue that the hive may take; its number and the wall clock's time when it was there."""
        issue = {"title": title, "body": body or f"{title}, please.", "labels": ["bzzz"]}
        answer = self.github.post(f"/repos/{REPOSITORY}/issues", json=issue).raise_for_status()
        return int(answer.json()["number"]), time.time()

    def discussions(self) -> list[Json]:
        """Return every discussion as the scribe has it."""
        found: list[Json] = self.scribe.get("/api/state").raise_for_status().json()["discussions"]
        return found

    def settled(self, numbers: Sequence[int]) -> dict[int, Json] | None:
        """Return the discussions that ended in a pull request by issue, once all of these have; None before."""
        ended = {
            view["number"]: view for view in self.discussions() if view["pullRequest"] and not view["live"]
        }
        return ended if set(numbers) <= set(ended) else None

    def pids(self) -> dict[str, int]:
        """Return the hive's processes by name."""
        return {name: entry["pid"] for name, entry in _read(self.state_dir / "processes.json").items()}

    def exchanges(self) -> list[Json]:
        """Return every request to GitHub so far, with its answer."""
        return [json.loads(line) for line in self.record.read_text().splitlines()]


@contextmanager
def running(
    context: Context,
    agents: int,
    window_s: float,
    launcher: Sequence[str] = LAUNCHER,
    *,
    manifest: str = MANIFEST,
    files: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[LocalHive]:
    """Start a hive, end it in order, and leave nothing of it behind."""
    folder = context.folder
    names = tuple(f"bench-{ordinal}" for ordinal in range(agents))
    (folder / "hive.yaml").write_text(
        manifest.format(agents=agents, repository=REPOSITORY, window_ms=round(window_s * 1000))
    )
    _repository(folder / "repo", files or {})
    state, record = folder / "state", folder / "record.jsonl"
    arguments = ["local", "-f", folder / "hive.yaml", "--repo", folder / "repo", "--tools", TOOLS]
    arguments += ["--state", state, "--github-record", record, *options]
    context.say(f"a hive of {agents} agents comes up")
    with (folder / "hive.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *launcher, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
            start_new_session=True,
            preexec_fn=lambda: linux.die_with_parent(signal.SIGTERM),
        )
    try:
        wait_for(lambda: _is_up(process, state, names, folder / "hive.log"), UP_S, "the hive is up")
        github = _read(state / "config" / "github.json")
        scribe = _read(state / "config" / "scribe.json")["http"]
        token = {"Authorization": f"Bearer {github['users'][0]['token']}"}
        with (
            httpx.Client(
                base_url=f"http://{scribe['host']}:{scribe['port']}", timeout=30, trust_env=False
            ) as to_scribe,
            httpx.Client(
                base_url=f"http://{github['host']}:{github['port']}",
                headers=token,
                timeout=30,
                trust_env=False,
            ) as to_github,
        ):
            yield LocalHive(state, record, names, to_scribe, to_github)
    finally:
        _stop(process)


def wait_for(look: Callable[[], T | None], within_s: float, what: str) -> T:
    """Call `look` until it returns something true. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected {what} within {within_s:g} s")
        time.sleep(POLL_S)


def _environment() -> dict[str, str]:
    """Ours, but with no credential: a hive with one would leave the local GitHub server for the real one."""
    return {name: value for name, value in os.environ.items() if not name.endswith(("_TOKEN", "_API_KEY"))}


def _repository(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "README.md").write_text("# A repository for benches\n")
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "Begin"]):
        # one moment for all: the same files are the same commit in every bench's repository
        when = {"GIT_AUTHOR_DATE": BEGUN, "GIT_COMMITTER_DATE": BEGUN}
        subprocess.run(["git", "-C", str(folder), *arguments], check=True, env={**os.environ, **when})


def _is_up(process: subprocess.Popen[bytes], state: Path, names: tuple[str, ...], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the hive ended with {process.returncode}: {log.read_text()[-2000:]}")
    processes = state / "processes.json"
    return processes.exists() and {f"agent/{name}" for name in names} <= set(_read(processes))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(DOWN_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _read(path: Path) -> Json:
    content: Json = json.loads(path.read_text())
    return content
