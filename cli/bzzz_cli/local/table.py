"""The live table: a row an agent; on anything but a terminal, a line whenever something changed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bzzz_cli.console import printable
from bzzz_cli.local.status import DiscussionView, State

COLUMNS = ("AGENT", "ISSUE", "PHASE", "ROUND", "WINDOW LEFT", "OBJECTIONS", "PULL REQUEST")


@dataclass(frozen=True)
class Row:
    """What an agent is doing."""

    agent: str
    issue: str = ""
    phase: str = ""
    round: str = ""
    window_left: str = ""
    objections: str = ""
    pull_request: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns, in order."""
        return (
            self.agent,
            self.issue,
            self.phase,
            self.round,
            self.window_left,
            self.objections,
            self.pull_request,
        )

    @property
    def news(self) -> tuple[str, ...]:
        """What is worth a new line when it changes: all but the seconds."""
        return (self.issue, self.phase, self.round, self.objections, self.pull_request)


def rows_of(state: State, agents: tuple[str, ...], now: datetime) -> tuple[Row, ...]:
    """Return a row for each agent, in order, heard of or not."""
    phases = {agent.node_id: agent.phase for agent in state.agents}
    return tuple(_row(name, phases.get(name, "starting"), state.discussions, now) for name in agents)


def _row(agent: str, phase: str, discussions: tuple[DiscussionView, ...], now: datetime) -> Row:
    own = [d for d in discussions if d.claimant == agent]
    pulls = ", ".join(f"#{d.pull_request.rpartition('/')[2]}" for d in own if d.pull_request)
    live = next((d for d in reversed(own) if d.live), None)
    if live is None:
        return Row(agent, phase=phase, pull_request=pulls)
    left = "" if live.deadline is None else f"{max((live.deadline - now).total_seconds(), 0):.0f} s"
    return Row(
        agent,
        issue=f"{live.repository}#{live.number}",
        phase=live.phase,
        round=str(live.round) if live.round else "",
        window_left=left if live.phase == "Listening" else "",
        objections=str(len(live.objections)) if live.objections else "",
        pull_request=pulls,
    )


class Display:
    """Shows rows on a console."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live
        self._shown: dict[str, tuple[str, ...]] = {}

    def show(self, rows: tuple[Row, ...]) -> None:
        """Show the rows as they are now."""
        if self._live is not None:
            self._live.update(as_table(rows), refresh=True)
            return
        for row in rows:
            if self._shown.get(row.agent) != row.news:
                self._shown[row.agent] = row.news
                self.say("  ".join(cell for cell in row.cells if cell))

    def say(self, text: str) -> None:
        """Print a line, above the table where there is one. Whatever it says is text, never markup."""
        self._console.print(Text(printable(text)), soft_wrap=True)


@contextmanager
def display(console: Console) -> Generator[Display]:
    """Show a table for the length of a block where the console is a terminal."""
    if not console.is_terminal:
        yield Display(console, None)
        return
    with Live(as_table(()), console=console, auto_refresh=False, transient=False) as live:
        yield Display(console, live)


def as_table(rows: tuple[Row, ...]) -> Table:
    """Return the rows as a table of plain text."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row.cells))
    return table


def now_utc() -> datetime:
    """Return the time with its zone."""
    return datetime.now(UTC)
