"""The chart's values as the table of docs/install.md: `python -m tests.chart.values_table` writes it there.

values.yaml is the one place: a comment stands above each value, and becomes its row. Lines of YAML are read as text,
because its readers drop comments; the values themselves are then read with YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.chart.rendering import CHART, ROOT

PAGE = ROOT / "docs" / "install.md"
BEGIN = "<!-- values: from charts/bzzz/values.yaml by python -m tests.chart.values_table -->\n"
END = "<!-- end of values -->\n"
_KEY = re.compile(r"^( *)([A-Za-z0-9]+):(.*)$")


@dataclass(frozen=True)
class Value:
    """One value: where it is, what it is by default, what is said of it."""

    path: str
    default: Any
    text: str

    def row(self) -> str:
        """Return its row of the table."""
        shown = json.dumps(self.default, separators=(", ", ": "))
        return f"| `{self.path}` | `{shown}` | {self.text.replace('|', chr(92) + '|')} |"


def values() -> list[Value]:
    """Return all values that have a comment, in the file's order. Raises ValueError for one that has none."""
    text = (CHART / "values.yaml").read_text()
    defaults = yaml.safe_load(text)
    found = [Value(path, _at(defaults, path), comment) for path, comment in _commented(text) if comment]
    for path in _leaves(defaults):
        if not any(path == value.path or path.startswith(f"{value.path}.") for value in found):
            raise ValueError(f"values.yaml, {path}: expected a comment above it, came none")
    return [value for value in found if not _is_section(value, found)]


def table() -> str:
    """Return the table in Markdown."""
    return "\n".join(
        ["| value | default | what it is |", "|---|---|---|", *(value.row() for value in values())]
    )


def page_with_table(page: str) -> str:
    """Return the page with the table in its place. Raises ValueError when it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name}: expected the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}{table()}\n{END}{after}"


def _commented(text: str) -> Iterator[tuple[str, str]]:
    """Yield each key's path and the comment above it."""
    stack: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
        elif match := _KEY.match(line):
            indent = len(match[1])
            stack = [each for each in stack if each[0] < indent] + [(indent, match[2])]
            yield ".".join(name for _, name in stack), " ".join(comment)
            comment = []
        else:
            comment = []


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    else:
        yield path


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value[key]
    return value


def _is_section(value: Value, others: list[Value]) -> bool:
    return any(other.path.startswith(f"{value.path}.") for other in others)


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
