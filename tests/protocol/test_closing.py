"""A pull request closes what GitHub's own words say that it closes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.closing import closes


@pytest.mark.parametrize(
    "text",
    [
        "Fixes #42",
        "fix #42: a crash",
        "This resolves:  #42 and more",
        "CLOSED #42",
        "Closes acme/widgets#42",
        "fixes ACME/Widgets#42.",
        "fixes #7, closes #42",
    ],
)
def test_a_keyword_before_the_number_closes(text: str) -> None:
    assert closes(text, "acme/widgets", 42)


@pytest.mark.parametrize(
    "text",
    [
        "#42",
        "see #42",
        "Fixes 42",
        "Fixes #421",
        "Fixes #4",
        "prefixes #42",
        "hot-fix #42",
        "fixes other/widgets#42",
        "fixes\u00a0#42x",
        "Fixes #042",
    ],
)
def test_anything_else_does_not(text: str) -> None:
    assert not closes(text, "acme/widgets", 42)


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    closes(text, "acme/widgets", 1)
