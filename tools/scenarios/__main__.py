"""`python -m tools.scenarios NAME`: a story of docs/scenarios.md, on real parts; exit 0 if it ends as it should."""

from __future__ import annotations

import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from hmmm.errors import BzzzError
from hmmm.meta import Verdict
from tools.scenarios import clarification, debugging, escalation
from tools.scenarios.stage import staged

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


class Name(StrEnum):
    """The stories."""

    CLARIFICATION = "clarification"
    DEBUGGING = "debugging"
    ESCALATION = "escalation"


class Decision(StrEnum):
    """What the person decides in the story of the escalation."""

    PROCEED = "proceed"
    ABANDON = "abandon"


@app.command()
def main(
    name: Annotated[Name, typer.Argument(help="Which story.")],
    model: Annotated[
        str | None,
        typer.Option(help="Model of the peer, in place of the scripted one (clarification, debugging)."),
    ] = None,
    verdict: Annotated[
        Decision, typer.Option(help="What the person decides (escalation).")
    ] = Decision.PROCEED,
) -> None:
    """Tell a story and print its transcript and its pull request, or how the issue was given back."""
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as folder:
        try:
            with staged(name.value, Path(folder), console) as stage:
                if name is Name.CLARIFICATION:
                    clarification.play(stage, model)
                elif name is Name.DEBUGGING:
                    debugging.play(stage, model)
                else:
                    stage.tell(
                        "A real n8n with the hive's workflow; what it would post to Slack is written down"
                    )
                    with escalation.reached() as people:
                        escalation.play(stage, people, cast("Verdict", verdict.value))
        except (BzzzError, AssertionError) as error:
            print(f"scenario: {error}", file=sys.stderr)
            raise typer.Exit(1) from error
    console.print("\nAs it should be.")


if __name__ == "__main__":
    app()
