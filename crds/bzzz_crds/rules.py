"""Rules over several fields at once, reported at the very field that should change.

pydantic ties an error of a model's own validator to the model. A manifest's reader wants the field: these errors
carry it, and `manifests` takes it out again.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import PydanticCustomError

RULE_ERROR = "bzzz_rule"


def refuse(problems: Sequence[tuple[str, str]]) -> None:
    """Raise one error for all the problems, each a (path below this model, what was expected and came)."""
    if problems:
        context = {"problems": [list(problem) for problem in problems]}
        raise PydanticCustomError(RULE_ERROR, "fields do not fit together", context)
