"""Foreign words in what we post are shown and do nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzz_agent.github import harmless
from bzzz_agent.github.text import MAX_BODY_CHARS, marker, with_marker

words = st.text(max_size=80) | st.lists(
    st.sampled_from(
        ["@", "ada", "#", "12", "GH-", "closes ", "fixes: ", "https://github.com/a/b/issues/1", "<!--", "`"]
    )
).map("".join)


@pytest.mark.parametrize(
    "text", ["@ada look", "thanks @acme/maintainers", "see #12", "acme/widgets#12", "GH-12", "gh-12"]
)
def test_mentions_and_references_lead_nowhere(text: str) -> None:
    shown = harmless(text)
    assert shown != text
    assert shown.replace("\u2060", "") == text


@pytest.mark.parametrize(
    "text", ["closes https://github.com/acme/widgets/issues/1", "Fixed: https://x.test/1"]
)
def test_a_closing_word_before_a_link_closes_nothing(text: str) -> None:
    assert not re.search(r"(?i)\b(closes|fixed)[:\s]", harmless(text))


@pytest.mark.parametrize("text", ["mail ada@example.test", "a # b", "GH- x", "the fix is in https://x.test"])
def test_harmless_words_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


@given(words, st.integers(1, 200))
def test_nothing_comes_through(text: str, limit: int) -> None:
    shown = harmless(text, limit=limit)
    assert len(shown) <= limit
    assert "<!--" not in shown
    assert not re.search(r"(?<!\w)@[A-Za-z0-9]|#\d|\bgh-\d", shown, re.IGNORECASE)
    shown.encode()


@given(words)
def test_a_marked_comment_ends_in_its_own_marker_and_holds_no_other(text: str) -> None:
    body = with_marker(text * 3, "id-1")
    assert body.endswith("\n\n<!-- bzzz:id-1 -->")
    assert body.count("<!-- bzzz:") == 1
    assert len(body) <= MAX_BODY_CHARS


@pytest.mark.parametrize("identifier", ["", "a b", "-->", "a--b", "x" * 121, "ü"])
def test_an_id_that_would_leave_its_comment_is_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="comment id"):
        marker(identifier)


def test_half_a_character_does_not_stop_a_comment() -> None:
    assert harmless("broken \ud800 half") == "broken ? half"
