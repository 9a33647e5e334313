"""A whole local hive for a test: a repository it has never seen, a manifest, issues; then what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from tests.support.processes import eventually

BZZZ = [str(Path(sys.executable).parent / "bzzz")]
REPOSITORY = "acme/attic"

EDIT = '''"""Do what an issue says: `touch: PATH` appends a line to a file, `fail: WHY` fails, `sleep: S` hangs."""
import json, os, pathlib, sys, time

issue = json.loads(pathlib.Path(os.environ["BZZZ_ISSUE_FILE"]).read_text())
for line in issue["body"].splitlines():
    word, _, rest = line.partition(": ")
    if word == "touch":
        path = pathlib.Path(rest)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"# issue {issue['number']}\\n")
    elif word == "fail":
        sys.exit(rest)
    elif word == "sleep":
        time.sleep(float(rest))
'''

FILES = {
    "edit.py": EDIT,
    "check.py": "import pathlib, sys\nsys.exit(0 if pathlib.Path('src').is_dir() else 1)\n",
    "README.md": "An attic.\n",
    "src/a.py": "A = 1\n",
    "src/b.py": "B = 2\n",
    "generated/table.txt": "do not edit\n",
    ".github/workflows/ci.yml": "on: push\n",
}


def agent(
    name: str, *, replicas: int = 1, window: str = "1s", reviewers: int = 2, **spec: Any
) -> dict[str, Any]:
    """Return a HiveAgent that edits files as the issues say, deterministically."""
    execution = {
        "type": "command",
        "plan": "dryRun",
        "command": ["python3", "edit.py"],
        "test": ["python3", "check.py"],
        "timeout": "60s",
        **spec.pop("execution", {}),
    }
    return {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "HiveAgent",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "github": {"repositories": [REPOSITORY]},
            "execution": execution,
            "discussion": {"window": window, "reviewers": reviewers, **spec.pop("discussion", {})},
            **spec,
        },
    }


def issue(
    title: str, *lines: str, labels: tuple[str, ...] = ("bzzz",), author: str = "OWNER"
) -> dict[str, Any]:
    """Return an entry of the list of issues."""
    return {"title": title, "body": "\n".join(lines), "labels": list(labels), "author_association": author}


@dataclass
class Hive:
    """One run of `bzzz local` in a folder of its own."""

    folder: Path
    manifests: list[dict[str, Any]]
    issues: list[dict[str, Any]]
    process: subprocess.Popen[bytes] | None = None
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    """The repository's content."""

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def report_folder(self) -> Path:
        return self.folder / "report"

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def start(self, *arguments: str, once: bool = True) -> Hive:
        """Start it; with `once` it ends by itself and leaves a report."""
        repo = self.folder / "checkout"
        _make_repository(repo, self.files)
        manifest, issues = self.folder / "hiveagent.yaml", self.folder / "issues.yaml"
        manifest.write_text("---\n".join(yaml.safe_dump(m) for m in self.manifests))
        issues.write_text(yaml.safe_dump(self.issues))
        argv = [*BZZZ, "local", "-f", str(manifest), "--repo", str(repo), "--issues", str(issues)]
        argv += ["--state", str(self.state), "--timeout", "8m", *arguments]
        if once:
            argv += ["--once", "--report", str(self.report_folder)]
        with (self.folder / "output.txt").open("wb") as output:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        return self

    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "start the hive first"
        return self.process

    def wait(self, within: float) -> int:
        """Wait for its end and return its exit code."""
        try:
            return self.running().wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the hive is still running after {within} s:\n{self.output[-4000:]}"
            ) from None

    def interrupt(self) -> int:
        """Ctrl-C; return the exit code. Nothing that it started is left."""
        family = self.family()
        self.running().send_signal(signal.SIGINT)
        code = self.wait(60)
        gone, alive = psutil.wait_procs(family, timeout=5)
        assert not alive, f"left behind: {[p.cmdline() for p in alive]} of {len(gone) + len(alive)}"
        return code

    def family(self) -> list[psutil.Process]:
        """Return every process of the hive."""
        top = psutil.Process(self.running().pid)
        return [top, *top.children(recursive=True)]

    def end(self) -> None:
        """Leave nothing behind, however the test went."""
        if self.process is None:
            return
        family: list[psutil.Process] = []
        if self.process.poll() is None:
            family = self.family()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(15)
        psutil.wait_procs(family, timeout=10)

    def pids(self) -> dict[str, int]:
        """Return the process ids of its components by name, as the hive's own list has them."""
        try:
            listed = json.loads((self.state / "processes.json").read_text())
        except (OSError, ValueError):
            return {}
        return {name: int(entry["pid"]) for name, entry in listed.items()}

    def kill(self, name: str, number: int = signal.SIGKILL) -> bool:
        """Signal a component; return whether it was there."""
        pid = self.pids().get(name)
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def config(self, name: str) -> dict[str, Any]:
        """Return a component's configuration."""
        return json.loads((self.state / "config" / f"{name}.json").read_text())

    def scribe_url(self) -> str:
        """Return the scribe's address, once it is known."""

        def url() -> str | None:
            try:
                http = self.config("scribe")["http"]
            except (OSError, ValueError):
                return None
            return f"http://{http['host']}:{http['port']}"

        return eventually(url, within=60, what="the scribe is configured") or ""

    def discussions(self) -> list[dict[str, Any]]:
        """Return the discussions as the scribe tells them; none while it is away."""
        try:
            answer = httpx.get(f"{self.scribe_url()}/api/state", timeout=5)
        except httpx.HTTPError:
            return []
        return answer.json()["discussions"] if answer.status_code == 200 else []

    def wait_phase(self, number: int, *phases: str, within: float = 90) -> dict[str, Any]:
        """Wait until an issue's newest discussion is in one of the phases."""

        def there() -> dict[str, Any] | None:
            assert self.running().poll() is None, f"the hive ended:\n{self.output[-4000:]}"
            mine = [d for d in self.discussions() if d["number"] == number and d["phase"] in phases]
            return max(mine, key=lambda d: d["epoch"]) if mine else None

        found = eventually(there, within=within, what=f"issue {number} is in {phases}: {self.output[-2000:]}")
        assert found is not None
        return found

    def report(self) -> dict[str, Any]:
        """Return report.json."""
        return json.loads((self.report_folder / "report.json").read_text())

    def pull_requests(self) -> dict[int, dict[str, Any]]:
        """Return the reported pull requests by number."""
        files = self.report_folder.glob("pr-*.json")
        return {p["number"]: p for p in (json.loads(f.read_text()) for f in files)}

    def diff(self, number: int) -> str:
        """Return a reported pull request's diff."""
        return (self.report_folder / f"pr-{number}.diff").read_text()

    def verify(self, number: int, bundle: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Check a reported pull request's evidence offline, with the key that the report names."""
        folder = self.report_folder
        return subprocess.run(
            [
                *BZZZ,
                "verify",
                "--bundle",
                str(bundle or folder / f"bundle-{number}.json"),
                "--pr",
                str(folder / f"pr-{number}.json"),
                "--diff",
                str(folder / f"pr-{number}.diff"),
                "--hive-key",
                self.report()["hiveKey"],
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def check_all(self, code: int) -> dict[int, dict[str, Any]]:
        """Check what holds for every run: exit 0, each issue accounted for, one PR an issue, evidence that verifies.

        Returns the report's issues by number.
        """
        assert code == 0, f"exit code {code}:\n{self.output[-6000:]}"
        issues = {entry["number"]: entry for entry in self.report()["issues"]}
        assert sorted(issues) == list(range(1, len(self.issues) + 1))
        heads = [p["head"]["ref"] for p in self.pull_requests().values()]
        assert len(heads) == len(set(heads)), "two pull requests for one issue"
        for number in self.pull_requests():
            checked = self.verify(number)
            assert checked.returncode == 0, checked.stdout + checked.stderr
        return issues


def number_of(entry: dict[str, Any]) -> int:
    """Return the number in a reported pull request's address."""
    return int(entry["pullRequest"].rsplit("/", 1)[1])


def _make_repository(folder: Path, files: dict[str, str]) -> None:
    if folder.exists():
        return
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    identity = ["-c", "user.name=owner", "-c", "user.email=owner@example.test"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [*identity, "commit", "-q", "-m", "An attic"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
