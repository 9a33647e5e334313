"""What was said before is found by file and word, cited by where it stands, and never decides anything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzz_agent.knowledge import Memory, Passage
from bzzz_agent.knowledge.memory import MAX_PASSAGES
from bzzz_agent.knowledge.passages import MAX_TEXT
from hmmm.errors import RemoteProtocolError
from hmmm.identity import IssueIdentity
from hmmm.records import data_of, read_record, signed_of
from tests.support.planted import REPOSITORY, Past, past

NEW = IssueIdentity(repository=REPOSITORY, number=9_999, epoch=1)


@pytest.fixture(scope="module")
def told() -> Past:
    return past(60, 12, seed=3)


@pytest.fixture(scope="module")
def memory(told: Past) -> Memory:
    made = Memory()
    for key, blocks in told.logs.items():
        for seq, block in enumerate(blocks):
            made.read(key, seq, block)
    return made


def test_a_fact_about_a_file_is_found_by_whoever_touches_it_and_by_whoever_asks(
    told: Past, memory: Memory
) -> None:
    for fact in told.planted:
        by_plan = memory.find(NEW, "make it faster", (fact.path,))
        by_words = memory.find(NEW, fact.question)
        assert fact.fact in [passage.text for passage in by_plan]
        assert fact.fact in [passage.text for passage in by_words]


def test_a_reference_names_the_very_record_in_which_it_was_said(told: Past, memory: Memory) -> None:
    fact = told.planted[0]
    (passage, *_) = [p for p in memory.find(NEW, "", (fact.path,)) if p.text == fact.fact]
    assert passage.reference == f"log {fact.log_key}#{fact.seq}"
    assert (passage.log_key, passage.seq) == (fact.log_key, fact.seq)
    data = data_of(read_record(told.logs[passage.log_key][passage.seq]))
    assert fact.fact in signed_of(data).envelope.payload.decode()  # type: ignore[arg-type, union-attr]
    assert passage.reference in passage.line
    assert passage.to_object()["paths"] == [fact.path]


def test_nothing_is_told_of_other_repositories_of_the_issue_itself_or_of_what_has_nothing_to_do_with_it(
    told: Past, memory: Memory
) -> None:
    fact = told.planted[0]
    elsewhere = IssueIdentity(repository="acme/other", number=1, epoch=1)
    assert memory.find(elsewhere, fact.question, (fact.path,)) == ()
    assert memory.find(NEW, "The logo is blue", ("assets/logo.svg",)) == ()
    (passage, *_) = [p for p in memory.find(NEW, "", (fact.path,)) if p.text == fact.fact]
    again = memory.find(passage.issue, fact.question, (fact.path,))
    assert passage not in again


def test_a_discussion_that_is_not_over_is_not_told(told: Past) -> None:
    (key, blocks) = next(iter(told.logs.items()))
    running = Memory()
    for seq, block in enumerate(blocks[:4]):
        running.read(key, seq, block)
    assert len(running) == 0


def test_no_more_than_asked_for_and_one_a_speaker_and_issue(told: Past, memory: Memory) -> None:
    found = memory.find(NEW, "everything", [fact.path for fact in told.planted], most=5)
    assert len(found) == 5
    assert len({(passage.issue.number, passage.node_id) for passage in found}) == 5


def test_the_memory_is_bounded(told: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bzzz_agent.knowledge.memory.MAX_PASSAGES", 10)
    small = Memory()
    for key, blocks in told.logs.items():
        for seq, block in enumerate(blocks):
            small.read(key, seq, block)
    assert len(small) == 10
    assert MAX_PASSAGES == 5000


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200) | st.just(b"{}"), max_size=5), st.integers(0, 40))
def test_whatever_a_log_holds_nothing_but_texts_come_of_it(garbage: list[bytes], at: int) -> None:
    (key, blocks) = next(iter(past(6, 2, seed=1).logs.items()))
    torn = Memory()
    mixed = [*blocks[:at], *garbage, *blocks[at:]]
    for seq, block in enumerate(mixed):
        torn.read(key, seq, block)
    for passage in torn.find(NEW, "anything", ("src/parser/core.py",), most=50):
        assert isinstance(passage, Passage)
        assert len(passage.text) <= MAX_TEXT
        assert "\n" not in passage.line
        try:
            read_record(mixed[passage.seq])
        except RemoteProtocolError as error:
            raise AssertionError(f"{passage.reference} is no record") from error
