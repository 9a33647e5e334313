"""Task clarification: an issue says too little, a peer asks, its author answers, and another change is made."""

from __future__ import annotations

from typing import Any

from bzzz_cli.errors import CommandError
from tests.support.openai_server import Reply, says, scripted
from tests.support.processes import eventually
from tools.scenarios.stage import FIRST_S, Stage

ANSWER = "CSV, please."


def review(request: dict[str, Any]) -> Reply:
    """Ask for the format, unless the plan has the right one: the scripted reviewer."""
    agreed = "src/export.csv" in str(request["messages"])
    verdict = {"severity": "advisory", "quoted": None if agreed else "Export the table"}
    if agreed:
        return says({"verdict": "no_objection", "reason": "As it was asked for.", **verdict})
    return says({"verdict": "question", "reason": "Which output format is expected?", **verdict})


def play(stage: Stage, model: str | None) -> None:
    """Tell the story. Raises CommandError if it ends otherwise."""
    hive = stage.hive
    with scripted(review) as server:
        stage.give_model(1, model, server.url)
        stage.tell("A hive of two agents; its issue does not say in which format the table is wanted")
        hive.start(once=False)
        hive.wait_phase(1, "Listening", within=FIRST_S)
        (asked,) = eventually(stage.comments, within=FIRST_S, what="the question stands on the issue")
        stage.tell(
            "The reviewer asked; neither issue nor repository answers, so the author is asked on the issue"
        )
        stage.quote(asked)
        stage.tell("The author replies")
        stage.quote(ANSWER)
        stage.comment(ANSWER)
        done = hive.wait_phase(1, "Closed", "Abandoned", "Escalated", within=FIRST_S)
    if done["pullRequest"] is None:
        raise CommandError(f"expected a pull request, it ended {done['phase']}: {done['reason']}")
    stage.show_transcript(done)
    stage.show_pull_request(done)
    if done["round"] != 2:
        raise CommandError(f"expected the answer to make a second plan, it ended in round {done['round']}")
