"""A log is hostile input too: whatever its blocks hold, every observer folds it and none raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.discussion import decide
from hmmm.envelope import MESSAGE_TYPE, Envelope, canonical_json
from hmmm.messages import MetaMessage, TaskReleased, sign_message
from hmmm.meta import META_CONTENTS, Answer, RoundStatus
from hmmm.observer import LogObserver
from hmmm.records import RECORD_DATA, MessageSent
from hmmm.transcript import transcript_view
from tests.support.discussions import Claimant, debate

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def fold_after_plan(block: bytes) -> LogObserver:
    """An observer of an honest log that goes on with a block."""
    claimant, first, _ = debate()
    claimant.objection(first)
    observer = claimant.observe(range(len(claimant.blocks)))
    observer.add(len(claimant.blocks), block)
    state = observer.discussions[claimant.issue]
    decide(state, claimant.now)
    transcript_view(claimant.entries, state)
    return observer


@given(block=st.binary(max_size=200) | JSON.map(canonical_json))
def test_no_bytes_make_folding_raise(block: bytes) -> None:
    observer = fold_after_plan(block)
    assert observer.next_seq == 4


@given(kind=st.sampled_from([*sorted(RECORD_DATA), "dreamt"]), data=JSON, at=st.datetimes())
def test_no_record_makes_folding_raise(kind: str, data: Any, at: Any) -> None:
    issue = {"repository": "acme/widgets", "number": 42, "epoch": 1}
    record = {"id": "r", "at": at.isoformat() + "Z", "kind": kind, "issue": issue, "data": data}
    assert fold_after_plan(canonical_json(record)).next_seq == 4


@given(
    query=st.sampled_from(sorted(META_CONTENTS)),
    changes=st.dictionaries(st.text(max_size=12), JSON, max_size=3),
    header=st.dictionaries(st.sampled_from(["epoch", "issue_id", "log_seq", "hop_count"]), st.integers(0, 3)),
)
def test_no_word_of_the_claimant_s_makes_folding_raise(
    query: str, changes: dict[str, Any], header: dict[str, int]
) -> None:
    claimant, _, _ = debate()
    message = claimant.sent[-1].message
    assert isinstance(message, MetaMessage)
    parameters = message.content.parameters | {"plan_digest": claimant.plan_digest, "ok": True} | changes
    payload = message.to_object() | {"msg_id": "x", "log_seq": 2, "previous": claimant.plan_digest} | header
    payload["content"] = {"query_type": query, "text": "", "parameters": parameters}
    entry = log_as_sent(claimant, payload)
    assert entry.seq == 2
    decide(claimant.state, claimant.now)


def log_as_sent(claimant: Claimant, payload: dict[str, Any]) -> Any:
    envelope = Envelope.sign(MESSAGE_TYPE, canonical_json(payload), claimant.node.key)
    return claimant.record(MessageSent(topic="x", envelope=envelope.raw.decode()))


@pytest.mark.parametrize("epoch", [0, 2, 2**31])
def test_a_claimant_s_word_about_another_epoch_is_refused_and_held_against_it(epoch: int) -> None:
    claimant, _, _ = debate()
    payload = json.loads(claimant.compose(Answer()).message.to_json()) | {"epoch": epoch}
    assert "not acme/widgets#42@1" in log_as_sent(claimant, payload).refused
    assert claimant.state.violations != ()


def test_a_discussion_s_unlogged_words_have_no_place_in_a_log() -> None:
    claimant, _, _ = debate()
    claimant.say(RoundStatus(plan_digest=claimant.plan_digest, round=1, remaining_s=3))
    assert "round_status is not possible" in claimant.state.violations[0]


def test_others_news_on_the_hive_s_topic_means_nothing_to_a_discussion() -> None:
    claimant, first, _ = debate()
    before = claimant.state
    news = TaskReleased(
        node_id="bzzz-1", msg_id="n", sent_at=claimant.now, repository="acme/widgets", issue_id=42, epoch=1
    )
    assert claimant.hear_signed(sign_message(news, first.key), first).refused == ""
    assert claimant.state == before
