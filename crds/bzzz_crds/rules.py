"""Rules over several fields at once, reported at the very field that should change.

A rule is written twice, side by side: as a Python predicate for `bzzz local` and the operator, and in CEL for the API
server. A test drives both with the same manifests. pydantic ties an error of a model's own validator to the model; a
manifest's reader wants the field: these errors carry it, and `manifests` takes it out again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticCustomError

RULE_ERROR = "bzzz_rule"


@dataclass(frozen=True)
class Rule:
    """What must hold between the fields of one model."""

    field: str
    """Path of the field to change, below the model, in the manifest's names: `limits.tokens`."""
    expected: str
    """`expected …, because …`: what both sides say when it is broken."""
    cel: str
    """The rule for the API server; `self` is the model's value."""
    holds: Callable[[Any], bool] | None
    """The same over the model's instance; None for a rule about changes, which only the server can see."""
    came: Callable[[Any], str] | str = "nothing"
    """What stands there instead."""

    def to_cel(self) -> dict[str, str]:
        """Return the entry of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.expected, "fieldPath": f".{self.field}"}


def unchanged(field: str, because: str) -> Rule:
    """Return the rule that a required field keeps the value that it was made with."""
    rule = f"self.{field} == oldSelf.{field}"
    return Rule(field, f"expected what it was made with, because {because}", rule, None)


def check(rules: Sequence[Rule], value: object) -> None:
    """Raise one error for all the rules that a model breaks."""
    refuse(
        [
            (
                rule.field,
                f"{rule.expected}; came {rule.came if isinstance(rule.came, str) else rule.came(value)}",
            )
            for rule in rules
            if rule.holds is not None and not rule.holds(value)
        ]
    )


def refuse(problems: Sequence[tuple[str, str]]) -> None:
    """Raise one error for all the problems, each a (path below this model, what was expected and came)."""
    if problems:
        context = {"problems": [list(problem) for problem in problems]}
        raise PydanticCustomError(RULE_ERROR, "fields do not fit together", context)
