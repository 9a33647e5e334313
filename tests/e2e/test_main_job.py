"""The main job, end to end, on a repository that the hive has never seen."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.hive import BZZZ, Hive, agent, issue, number_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_every_issue_is_accounted_for_and_every_pull_request_verifies(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of(
        [agent("edit", replicas=3)],
        [
            issue("Mend a", "touch: src/a.py"),
            issue("Mend b", "touch: src/b.py"),
            issue("Nobody asked the hive", "touch: src/c.py", labels=("bug",)),
            issue("A stranger asks", "touch: src/d.py", author="NONE"),
            issue("Change the workflow", "touch: .github/workflows/ci.yml"),
            issue("Cannot be done", "fail: the attic is locked"),
        ],
    )
    issues = hive.check_all(hive.start().wait(400))
    assert [issues[n]["outcome"] for n in (1, 2)] == ["pull_request"] * 2
    assert [issues[n]["eligible"] for n in (3, 4)] == [False, False]
    assert issues[5]["outcome"] != "pull_request"
    assert ".github/workflows/ci.yml" in issues[5]["reason"]
    assert issues[6]["outcome"] != "pull_request"
    assert "the attic is locked" in issues[6]["reason"]
    assert len(hive.pull_requests()) == 2
    for entry in (issues[1], issues[2]):
        pull_request = hive.pull_requests()[number_of(entry)]
        assert "countersigned" in pull_request["body"]
        assert pull_request["draft"] is True
        assert f"# issue {entry['number']}" in hive.diff(pull_request["number"])
    _one_flipped_byte_is_refused(hive, number_of(issues[1]))


def _one_flipped_byte_is_refused(hive: Hive, number: int) -> None:
    bundle = json.loads((hive.report_folder / f"bundle-{number}.json").read_text())
    block = bundle["proof"]["blocks"][3]
    block["data"] = ("A" if block["data"][40] != "A" else "B").join((block["data"][:40], block["data"][41:]))
    forged = hive.folder / "forged.json"
    forged.write_text(json.dumps(bundle))
    checked = hive.verify(number, forged)
    assert checked.returncode == 1
    assert "FAILS" in checked.stdout


def test_links_open_while_the_hive_runs_and_ctrl_c_leaves_nothing(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of([agent("edit", replicas=2, reviewers=1)], [issue("Mend a", "touch: src/a.py")])
    hive.start(once=False)
    closed = hive.wait_phase(1, "Closed")
    page = httpx.get(closed["pullRequest"])
    assert page.status_code == 200
    body = httpx.get(
        closed["pullRequest"].replace("/acme/", "/repos/acme/").replace("/pull/", "/pulls/")
    ).json()["body"]
    link = next(word.strip("<>|") for word in body.split() if "/logs/" in word)
    transcript = httpx.get(link)
    assert transcript.status_code == 200
    assert "Mend a" in transcript.text
    assert httpx.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 404
    checked = subprocess.run(
        [*BZZZ, "verify", closed["pullRequest"]], capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert ".bzzz/hive.pub" in checked.stdout
    assert hive.interrupt() in {0, 130}
