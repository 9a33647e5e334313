"""Rigs for help: an agent with a workspace, a repository with something to do, and an issue."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.agent.rig import Rig
from tests.support.processes import Processes
from tests.support.sidecar import Logs
from tests.support.workspace import TOKEN, Repository, start_runner

PLAN = """import json
print(json.dumps({"summary": "Say it", "footprint": ["said.txt"], "tests": ["check.py"]}))
"""
DO = '''"""Say what a helper said, else nothing useful; a file that is there already is left alone."""
import json, os, pathlib

said = json.loads(pathlib.Path(os.environ["BZZZ_PLAN_FILE"]).read_text())["feedback"]
words = [item["text"] for item in said if item["kind"] == "help"]
if not pathlib.Path("said.txt").exists():
    pathlib.Path("said.txt").write_text((words or ["nothing"])[-1] + "\\n")
'''
CHECK = """import pathlib, sys
file = pathlib.Path("said.txt")
said = file.read_text().strip() if file.exists() else "please"
sys.exit(0 if said == "please" else f"the magic word is missing, said: {said}")
"""
HELP = '''"""Help whoever misses the magic word, and read what was tried before."""
import json, os, pathlib, sys

trouble = json.loads(pathlib.Path(os.environ["BZZZ_PROBLEM_FILE"]).read_text())
plan = json.loads(pathlib.Path(os.environ["BZZZ_PLAN_FILE"]).read_text())
issue = json.loads(pathlib.Path(os.environ["BZZZ_ISSUE_FILE"]).read_text())
if "magic" not in trouble["problem"]:
    sys.exit(3)
print(f"{issue['title']}: {plan['summary']}: try {len(trouble['tried']) + 1}")
pathlib.Path("said.txt").write_text("please\\n")
pathlib.Path("elsewhere.txt").write_text("left by the tool\\n")
'''
FILES = {"README.md": "# Widgets\n", "plan.py": PLAN, "do.py": DO, "check.py": CHECK, "help.py": HELP}


@contextmanager
def helping_rig(tmp_path: Path, out: Path, **spec: Any) -> Generator[tuple[Rig, Repository]]:
    """Give a pod whose log and workspace run; `spec` is merged into the manifest's."""
    source = Repository.make(tmp_path / "source", FILES)
    with Processes(out) as processes:
        folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/bzXXXXXX"], text=True).strip())
        runner = start_runner(processes)
        try:
            served = {"source": str(source.folder)}
            rig = Rig(processes, Logs(processes, folder), tmp_path, repository=served)
            (tmp_path / "runner-token").write_text(TOKEN)
            rig.config["runner"] = {"socket": str(runner.socket), "tokenFile": rig.path("runner-token")}
            rig.config["spec"] |= spec
            rig.log.start()
            rig.write_card()
            yield rig, source
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(runner.folder, ignore_errors=True)


def open_issue(rig: Rig) -> None:
    """Let the owner write the issue, once everybody is there who is to hear of it."""
    answer = httpx.post(
        f"{rig.github}/repos/acme/widgets/issues",
        json={"title": "Say it", "body": "Properly.", "labels": ["bzzz"]},
        headers={"Authorization": "Bearer token-owner"},
    )
    answer.raise_for_status()
