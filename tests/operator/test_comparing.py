"""Drift is a field of ours that is missing or different; nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from bzzz_operator.desired.compare import covers


@pytest.mark.parametrize(
    ("name", "have", "want", "expected"),
    [
        ("equal", {"a": 1}, {"a": 1}, True),
        ("a default of the server", {"a": 1, "b": 2}, {"a": 1}, True),
        ("another value", {"a": 2}, {"a": 1}, False),
        ("missing", {}, {"a": 1}, False),
        ("an empty value that the server dropped", {}, {"a": []}, True),
        ("false is a value", {}, {"a": False}, False),
        ("zero is a value", {"a": 3}, {"a": 0}, False),
        ("a rule more than wanted", {"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}]}, False),
        (
            "entries by name, in any order",
            {"a": [{"name": "q"}, {"name": "p"}]},
            {"a": [{"name": "p"}]},
            True,
        ),
        ("an entry by name that is gone", {"a": [{"name": "q"}]}, {"a": [{"name": "p"}]}, False),
        ("an amount in other words", {"cpu": "1"}, {"cpu": "1000m"}, True),
        ("another amount", {"cpu": "2"}, {"cpu": "1000m"}, False),
        ("memory in other words", {"memory": "1Gi"}, {"memory": "1024Mi"}, True),
        ("text that looks like an amount", {"image": "1"}, {"image": "1.0"}, False),
        ("a mapping that became text", {"a": "x"}, {"a": {"b": 1}}, False),
    ],
)
def test_comparison(name: str, have: Any, want: Any, expected: bool) -> None:
    assert covers(have, want) is expected
