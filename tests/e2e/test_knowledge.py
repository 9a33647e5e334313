"""What one discussion said about a file is before the planner of the next one, cited by where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.hive import REPOSITORY, Hive, agent, issue
from tests.support.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PLAN = '''"""Plan a line more in a file, and say whether anything was told about it before."""
import json, os, pathlib

told = json.loads(pathlib.Path(os.environ["BZZZ_ISSUE_FILE"]).read_text())
known = [one["reference"] for one in told.get("earlier", [])]
summary = f"Another line; known: {known[0]}" if known else "Another line; nothing is known"
print(json.dumps({"summary": summary, "footprint": ["src/a.py"], "tests": ["check.py"]}))
'''


def test_a_planner_is_given_what_was_said_about_its_files(hive_of: Callable[..., Hive]) -> None:
    editor = agent(
        "edit",
        reviewers=1,
        execution={"plan": "command", "planCommand": ["python3", "plan.py"]},
    )
    hive = hive_of([editor], [issue("Touch a", "touch: src/a.py")])
    hive.files["plan.py"] = PLAN
    hive.start(once=False)
    first = hive.wait_phase(1, "Closed", within=120)
    assert "nothing is known" in first["plan"]["summary"]
    github = hive.config("github")
    url = f"http://127.0.0.1:{github['port']}/repos/{REPOSITORY}/issues"
    headers = {"Authorization": f"Bearer {github['users'][0]['token']}"}

    def knows() -> str | None:
        """Open one more issue on the same file; the archive is read every few seconds."""
        entry = {"title": "Touch a once more", "body": "touch: src/a.py", "labels": ["bzzz"]}
        number = httpx.post(url, headers=headers, json=entry).raise_for_status().json()["number"]
        summary = hive.wait_phase(number, "Closed", within=120)["plan"]["summary"]
        found = re.search(r"known: log ([0-9a-f]{64})#(\d+)", summary)
        return found[1] if found else None

    key = eventually(knows, within=120, every=3, what="a plan that knows the earlier ones")
    assert key in {one["logKey"] for one in hive.discussions()}
    assert hive.interrupt() in {0, 130}
