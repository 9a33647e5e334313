"""`make demo ONCE=1`: the newcomer's first minute."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RUN = Path(__file__).parents[2] / "examples" / "demo" / "run.sh"


def test_three_agents_open_three_pull_requests(tmp_path: Path) -> None:
    report = tmp_path / "report"
    keys = {name: "" for name in os.environ if name.endswith("_API_KEY") or name == "GITHUB_TOKEN"}
    run = subprocess.run(
        [str(RUN)],
        env={**os.environ, **keys, "ONCE": "1", "REPORT": str(report), "MODEL": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    issues = json.loads((report / "report.json").read_text())["issues"]
    assert [entry["outcome"] for entry in issues] == ["pull_request"] * 3
    assert {entry["claimant"] for entry in issues} == {"mend-0", "ruff-0", "writer-0"}
    diffs = {entry["number"]: _diff(report, entry["pullRequest"]) for entry in issues}
    assert "while total >= each" in diffs[1]
    assert "-import os" in diffs[2]
    assert "README.md" in diffs[3]
    assert all(entry["pullRequest"] in run.stdout for entry in issues)


def _diff(report: Path, url: str) -> str:
    return (report / f"pr-{url.rsplit('/', 1)[1]}.diff").read_text()
