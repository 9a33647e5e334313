"""Collaborative debugging: the work fails, a peer with another capability helps, and the pull request names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bzzz_agent.failpoints import HELP_POINTS
from tests.e2e.hive import Hive, agent, issue, number_of
from tests.support.openai_server import Reply, says, scripted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PLAN = '''"""Plan a function that tells how many packs are needed."""
import json

print(json.dumps({"summary": "Count packs in src/packs.py", "footprint": ["src/packs.py"], "tests": ["check.py"]}))
'''
DO = '''"""Write the function, as somebody who does not think of the last, half full pack; unless a helper said so."""
import json, os, pathlib

said = json.loads(pathlib.Path(os.environ["BZZZ_PLAN_FILE"]).read_text())["feedback"]
advice = " ".join(item["text"] for item in said if item["kind"] == "help")
division = "-(-things // 6)" if "round up" in advice else "things // 6"
pathlib.Path("src/packs.py").write_text(f"def packs(things):\\n    return {division}\\n")
'''
CHECK = '''"""The repository's tests."""
import sys

sys.path.insert(0, "src")
try:
    from packs import packs
except ImportError:
    sys.exit(0)
if packs(7) != 2:
    sys.exit(f"arithmetic: 7 things need 2 packs, came {packs(7)}")
'''


STUMBLE = '''"""Advise what does not help, however often it is asked."""
print("divide by seven")
'''


def think(request: dict[str, Any]) -> Reply:
    """Review without objection; help with what everybody gets wrong about division."""
    asked = str(request["messages"])
    if "What failed:" not in asked:
        return says({"verdict": "no_objection", "severity": "advisory", "reason": "Fine.", "quoted": None})
    if "arithmetic: 7 things need 2 packs, came 1" not in asked:
        return says({"can_help": False, "suggestion": "", "files": []})
    return says({"can_help": True, "suggestion": "Integer division drops the rest: round up.", "files": []})


@pytest.fixture
def hive(hive_of: Callable[..., Hive]) -> Hive:
    """A maker that stumbles, a peer with a model that knows arithmetic, and one that can do neither."""
    maker = agent(
        "maker",
        capabilities={"tools": ["maker"]},
        reviewers=1,
        window="15s",
        discussion={"closeEarly": True},
        execution={"plan": "command", "planCommand": ["python3", "plan.py"], "command": ["python3", "do.py"]},
    )
    knower = agent("knower", capabilities={"tools": ["arithmetic"]})
    other = agent("other", capabilities={"tools": ["carpentry"]})
    made = hive_of(
        [maker, knower, other], [issue("Count packs", "Six a pack.", labels=("bzzz", "tool:maker"))]
    )
    made.files |= {"plan.py": PLAN, "do.py": DO, "check.py": CHECK}
    return made


def test_a_failure_is_mended_by_a_peer_s_suggestion_and_the_pull_request_names_it(hive: Hive) -> None:
    with scripted(think) as model:
        hive.manifests[1]["spec"]["model"] = {"name": "openai:scripted", "baseUrl": model.url}
        done = hive.check_all(hive.start().wait(300))[1]
    assert done["outcome"] == "pull_request"
    pull_request = hive.pull_requests()[number_of(done)]
    assert "-(-things // 6)" in hive.diff(pull_request["number"])
    body = pull_request["body"]
    assert "**knower-0** suggested: Integer division drops the rest: round up." in body
    assert "**it worked**" in body
    assert "tool:arithmetic" in body
    assert "Tests: passed" in body
    checked = hive.verify(pull_request["number"])
    assert "helped by knower-0" in checked.stdout


def test_killed_at_each_point_of_getting_help_a_claimant_goes_on_and_nothing_is_said_twice(
    hive: Hive,
) -> None:
    """The first helper, which has no model, has nothing useful to say; the second does."""
    stumbler = agent(
        "stumbler",
        capabilities={"tools": ["arithmetic"]},
        execution={"helpCommand": ["python3", "stumble.py"]},
    )
    hive.files["stumble.py"] = STUMBLE
    del hive.manifests[1]["spec"]["capabilities"]  # a generalist: asked after whoever has what is wanted
    hive.manifests[2] = stumbler
    # one talk is closed in this story, and killed when that is written down the claimant says it no more
    points = sorted(HELP_POINTS - {"after_publish:help_closed"})
    with scripted(think) as model:
        hive.manifests[1]["spec"]["model"] = {"name": "openai:scripted", "baseUrl": model.url}
        hive.start(*(f"--failpoint=maker-0={point}" for point in points))
        done = hive.check_all(hive.wait(480))[1]
    hit = {m.name for m in (hive.state / "agents" / "maker-0" / "state" / "failpoints").iterdir()}
    assert {name.replace(".", ":") for name in hit} == set(points)
    assert (done["outcome"], done["epoch"]) == ("pull_request", 1)
    body = hive.pull_requests()[number_of(done)]["body"]
    assert "2 of 2 who answered offered it" in body
    assert body.count("Help was asked for") == 1
    assert "**stumbler-0** suggested on try 2: divide by seven; it did not work" in body
    assert body.count("**knower-0**") == 1
    assert "**knower-0** suggested: Integer division drops the rest: round up.; **it worked**" in body
