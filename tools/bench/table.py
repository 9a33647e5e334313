"""The figures as a table: for the terminal, and as Markdown for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from tools.bench.rows import Row, plain

RIGHT = frozenset({"figure", "promise", "ratio"})
WRAPPED = frozenset({"what", "verdict"})
COLUMNS = ("bench", "what", "figure", "unit", "promise", "beside it", "ratio", "verdict")


def rich_table(rows: Mapping[str, Sequence[Row]], broken: Mapping[str, str]) -> Table:
    """Return the table for a terminal; `broken` says of a bench what broke."""
    table = Table(title="Bzzz & HMMM in numbers", title_justify="left")
    for column in COLUMNS:
        justify = "right" if column in RIGHT else "left"
        table.add_column(column, justify=justify, no_wrap=column not in WRAPPED)
    for name, measured in rows.items():
        for index, row in enumerate(measured):
            note = f"\n  [dim]{escape(row.note)}[/dim]" if row.note else ""
            table.add_row("" if index else name, escape(row.name) + note, *_figures(row, "\n"))
        if broken.get(name):
            table.add_row(name, f"[bold red]BROKEN[/bold red] {escape(broken[name])}")
        table.add_section()
    return table


def markdown(rows: Mapping[str, Sequence[Row]]) -> str:
    """Return the table as Markdown."""
    lines = [COLUMNS, tuple("--:" if column in RIGHT else "---" for column in COLUMNS)]
    for name, measured in rows.items():
        for index, row in enumerate(measured):
            note = f" ({row.note})" if row.note else ""
            lines.append(("" if index else name, row.name + note, *_figures(row, ", ")))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _figures(row: Row, separator: str) -> tuple[str, ...]:
    """Return the cells from the figure on."""
    return (
        plain(row.figure),
        row.unit,
        "" if row.promise is None else str(row.promise),
        separator.join(f"{peer} {plain(figure)}" for peer, figure in row.peers.items()),
        separator.join(f"{ratio:.2f}×" for ratio in row.ratios),
        row.verdict,
    )
