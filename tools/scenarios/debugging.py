"""Collaborative debugging: the tests fail, a peer with another capability helps, its suggestion is tried and works."""

from __future__ import annotations

from typing import Any

from bzzz_cli.errors import CommandError
from tests.support.openai_server import Reply, says, scripted
from tools.scenarios.stage import FIRST_S, Stage

SUGGESTION = "Integer division drops the rest: round up."


def think(request: dict[str, Any]) -> Reply:
    """Review without objection; help with what everybody gets wrong about division: the scripted peer."""
    asked = str(request["messages"])
    if "What failed:" not in asked:
        return says({"verdict": "no_objection", "severity": "advisory", "reason": "Fine.", "quoted": None})
    if "arithmetic: 7 things need 2 packs, came 1" not in asked:
        return says({"can_help": False, "suggestion": "", "files": []})
    return says({"can_help": True, "suggestion": SUGGESTION, "files": []})


def play(stage: Stage, model: str | None) -> None:
    """Tell the story. Raises CommandError if it ends otherwise."""
    with scripted(think) as server:
        stage.give_model(1, model, server.url)
        stage.tell(
            "A hive of three agents; the one that can take the issue divides without thinking of the rest"
        )
        stage.hive.start(once=False)
        done = stage.hive.wait_phase(1, "Closed", "Abandoned", "Escalated", within=FIRST_S)
    if done["pullRequest"] is None:
        raise CommandError(f"expected a pull request, it ended {done['phase']}: {done['reason']}")
    stage.show_transcript(done)
    if "suggested" not in stage.show_pull_request(done):
        raise CommandError("expected the pull request to name the helper")
