"""Messages: the seed's meta_msg field for field, typed parameters, and a reason for whatever is dropped (§5)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hmmm.base import Model
from hmmm.envelope import MAX_ENVELOPE_BYTES, MESSAGE_TYPE, Envelope, SigningKey, canonical_json
from hmmm.errors import LocalProtocolError, MalformedError, NotAdmittedError, RemoteProtocolError
from hmmm.limits import DiscussionLimits
from hmmm.messages import (
    ESCALATION_TOPIC,
    HIVE_TOPIC,
    MESSAGE_TYPES,
    Capabilities,
    MetaMessage,
    check_age,
    check_author,
    check_topic,
    issue_topic,
    parse_message,
    query_type_of,
    sign_message,
)
from hmmm.meta import CLAIMANT_ONLY, META_CONTENTS, ROOTS, ClarificationNeeded, NoObjection, PlanProposed
from hmmm.records import MAX_RECORD_BYTES, data_of, read_record, record_kind_of
from tests.support.discussions import START, Hive, a_plan

NODE = Hive().node("bzzz-07")
SEED: dict[str, Any] = {
    "type": "meta_msg",
    "issue_id": 42,
    "node_id": "bzzz-07",
    "msg_id": "abc123",
    "parent_id": None,
    "hop_count": 1,
    "content": {
        "query_type": "clarification_needed",
        "text": "What is the expected output format?",
        "parameters": {"field": "output_format"},
    },
}
"""The message of the project's seed, as architecture §5 quotes it."""
OURS = SEED | {"repository": "acme/widgets", "epoch": 1, "sent_at": "2026-01-01T00:00:00Z"}


def signed(payload: object) -> bytes:
    return Envelope.sign(MESSAGE_TYPE, canonical_json(payload), NODE.key).raw


def test_the_seed_s_message_is_taken_field_for_field() -> None:
    message = parse_message(signed(OURS)).message
    assert isinstance(message, MetaMessage)
    assert message.parameters == ClarificationNeeded(field="output_format")
    assert {name: message.model_dump(mode="json")[name] for name in SEED} == SEED


def test_fields_and_types_of_a_newer_version_are_kept() -> None:
    newer = json.loads(json.dumps(OURS)) | {"mood": "good"}
    newer["content"]["parameters"]["colour"] = {"deep": [1, 2]}
    message = parse_message(signed(newer)).message
    assert isinstance(message, MetaMessage)
    again = parse_message(sign_message(message, NODE.key).envelope.raw).message
    assert again == message
    assert again.to_object()["mood"] == "good"
    assert again.to_object()["content"]["parameters"]["colour"] == {"deep": [1, 2]}


BAD: list[tuple[str, bytes, str]] = [
    ("no JSON", b"nonsense", "malformed"),
    ("too large", b"x" * (MAX_ENVELOPE_BYTES + 1), "oversized"),
    ("a payload that is no object", signed([1]), "malformed"),
    ("no type", signed({k: v for k, v in OURS.items() if k != "type"}), "unknown_type"),
    ("a type that is no text", signed(OURS | {"type": {"a": 1}}), "unknown_type"),
    ("an unknown type", signed(OURS | {"type": "gossip"}), "unknown_type"),
    ("an unknown query", signed(OURS | {"content": {"query_type": "dance"}}), "unknown_type"),
    ("no issue", signed(OURS | {"issue_id": None}), "malformed"),
    ("issue zero", signed(OURS | {"issue_id": 0}), "malformed"),
    ("an endless number", signed(OURS | {"issue_id": 10**400}), "malformed"),
    ("no repository", signed(OURS | {"repository": "widgets"}), "malformed"),
    ("a repository with a path", signed(OURS | {"repository": "a/b/../c"}), "malformed"),
    ("an id that is too long", signed(OURS | {"msg_id": "m" * 65}), "malformed"),
    ("an id with a space", signed(OURS | {"msg_id": "a b"}), "malformed"),
    ("an empty id", signed(OURS | {"msg_id": ""}), "malformed"),
    ("a node that is no DNS label", signed(OURS | {"node_id": "BZZZ"}), "malformed"),
    ("no hops", signed(OURS | {"hop_count": 0}), "malformed"),
    ("a time without a zone", signed(OURS | {"sent_at": "2026-01-01T00:00:00"}), "malformed"),
    ("a time before our era", signed(OURS | {"sent_at": "0001-01-01T00:00:00+14:00"}), "malformed"),
    ("no content", signed(OURS | {"content": []}), "malformed"),
    (
        "text that is too long",
        signed(OURS | {"content": {"query_type": "answer", "text": "x" * 4001}}),
        "malformed",
    ),
    (
        "parameters that do not fit",
        signed(OURS | {"content": {"query_type": "objection", "parameters": {"severity": "mortal"}}}),
        "malformed",
    ),
    (
        "a root with a parent's hops",
        signed(
            OURS
            | {
                "hop_count": 2,
                "content": {
                    "query_type": "execution_started",
                    "parameters": {"plan_digest": "0" * 64},
                },
            }
        ),
        "bad_hop_count",
    ),
]


@pytest.mark.parametrize(("raw", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_is_no_message_is_dropped_for_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        parse_message(raw)
    assert refusal.value.reason == reason
    assert len(str(refusal.value)) < 700


def test_a_message_that_somebody_else_signed_is_dropped() -> None:
    forged = json.loads(signed(OURS))
    forged["signatures"][0]["keyid"] = SigningKey.mesh(bytes(32)).key_id
    with pytest.raises(RemoteProtocolError) as refusal:
        parse_message(canonical_json(forged))
    assert refusal.value.reason == "bad_signature"


def test_the_speaker_must_be_the_node_that_its_card_names() -> None:
    message = parse_message(signed(OURS))
    check_author(message, "bzzz-07", NODE.key.key_id)
    for node, peer in (("bzzz-08", NODE.key.key_id), ("bzzz-07", SigningKey.mesh(bytes(32)).key_id)):
        with pytest.raises(NotAdmittedError) as refusal:
            check_author(message, node, peer)
        assert refusal.value.reason == "wrong_author"


@pytest.mark.parametrize(
    ("age_s", "reason"), [(70, ""), (70.5, "expired"), (-10, ""), (-10.5, "from_future")]
)
def test_a_message_s_age_is_judged_with_ten_seconds_of_skew(age_s: float, reason: str) -> None:
    message = parse_message(signed(OURS)).message
    if not reason:
        check_age(message, START + timedelta(seconds=age_s), 60, 10)
        return
    with pytest.raises(NotAdmittedError) as refusal:
        check_age(message, START + timedelta(seconds=age_s), 60, 10)
    assert refusal.value.reason == reason


def test_every_type_belongs_on_its_topic_and_on_no_other() -> None:
    message = parse_message(signed(OURS)).message
    capabilities = Capabilities(node_id="a", msg_id="b", sent_at=START)
    check_topic(message, issue_topic(42))
    check_topic(capabilities, HIVE_TOPIC)
    wrong = [
        (message, issue_topic(43)),
        (message, HIVE_TOPIC),
        (capabilities, ESCALATION_TOPIC),
        (capabilities, "x"),
    ]
    for misplaced, topic in wrong:
        with pytest.raises(NotAdmittedError) as refusal:
            check_topic(misplaced, topic)
        assert refusal.value.reason == "wrong_topic"


def test_a_message_that_is_too_large_is_not_signed() -> None:
    message = Capabilities(node_id="a", msg_id="b", sent_at=START, filler="x" * MAX_ENVELOPE_BYTES)
    with pytest.raises(LocalProtocolError, match="at most 16384 bytes"):
        sign_message(message, NODE.key)


def test_a_reply_is_one_hop_further_than_its_parent_and_a_root_starts_anew() -> None:
    root = parse_message(signed(OURS)).message
    assert isinstance(root, MetaMessage)
    header = {name: OURS[name] for name in ("node_id", "sent_at", "repository", "issue_id", "epoch")}
    reply = MetaMessage.compose(
        parent=root, text="", parameters=NoObjection(plan_digest="0" * 64), msg_id="r", **header
    )
    assert (reply.hop_count, reply.parent_id) == (2, "abc123")
    proposal = PlanProposed(plan=a_plan(), plan_id="p", round=1, window_s=30, limits=DiscussionLimits())
    plan = MetaMessage.compose(parent=root, text="", parameters=proposal, msg_id="p", **header)
    assert (plan.hop_count, plan.parent_id) == (1, "abc123")


def test_every_kind_of_word_is_told_by_its_parameters() -> None:
    assert all(query_type_of(kind.model_construct()) == name for name, kind in META_CONTENTS.items())
    assert set(META_CONTENTS) >= ROOTS >= CLAIMANT_ONLY - {"help_tried"}, "a reply to a suggestion"
    with pytest.raises(LocalProtocolError):
        query_type_of(Model())


def test_a_claimant_s_limits_are_cut_to_the_hive_s() -> None:
    loose = DiscussionLimits(
        rounds=10, participants=32, hops=16, messages_per_round=64, ttl_s=86_400, window_s=5
    )
    assert loose.bounded_by(DiscussionLimits()) == DiscussionLimits(window_s=5)
    with pytest.raises(ValidationError):
        DiscussionLimits(window_s=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(raw=st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | JSON.map(canonical_json))
def test_no_bytes_make_parsing_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_message(raw)
    with pytest.raises(MalformedError):
        read_record(raw)


@given(
    kind=st.sampled_from(sorted(MESSAGE_TYPES)),
    fields=st.dictionaries(st.text(max_size=12), JSON, max_size=6),
)
def test_no_signed_payload_makes_parsing_raise_anything_else(kind: str, fields: dict[str, Any]) -> None:
    header = {"type": kind, "node_id": "a", "msg_id": "b", "sent_at": "2026-01-01T00:00:00Z"}
    try:
        message = parse_message(signed(header | fields | {"type": kind})).message
    except RemoteProtocolError:
        return
    again = parse_message(sign_message(message, NODE.key).envelope.raw).message
    assert again.to_object() == message.to_object()


@given(
    query=st.sampled_from(sorted(META_CONTENTS)),
    parameters=st.dictionaries(st.text(max_size=12), JSON, max_size=5),
)
def test_no_signed_parameters_make_parsing_raise_anything_else(
    query: str, parameters: dict[str, Any]
) -> None:
    content = {"query_type": query, "text": "", "parameters": parameters}
    try:
        message = parse_message(signed(OURS | {"content": content})).message
    except RemoteProtocolError:
        return
    assert isinstance(message, MetaMessage)
    assert query_type_of(message.parameters) == query


RECORD: dict[str, Any] = {"id": "r", "at": "2026-01-01T00:00:00Z", "kind": "claimed"}


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b" " * (MAX_RECORD_BYTES + 1),
        canonical_json(RECORD | {"kind": "Claimed!"}),
        canonical_json(RECORD | {"issue": {"repository": "a/b", "number": 1, "epoch": 0}}),
        canonical_json(RECORD | {"issue": {"repository": "a/b", "number": 1, "epoch": 1, "x": 1}}),
        canonical_json(RECORD | {"data": []}),
        canonical_json(RECORD | {"at": 1e300}),
    ],
)
def test_a_block_that_is_no_record_is_refused(block: bytes) -> None:
    with pytest.raises(MalformedError):
        read_record(block)


def test_a_record_of_an_unknown_kind_is_kept_and_means_nothing() -> None:
    record = read_record(canonical_json(RECORD | {"kind": "dreamt", "data": {"of": "sheep"}}))
    assert data_of(record) is None
    assert record.data == {"of": "sheep"}
    with pytest.raises(MalformedError):
        record_kind_of(Model())
    with pytest.raises(MalformedError):
        data_of(read_record(canonical_json(RECORD)))
