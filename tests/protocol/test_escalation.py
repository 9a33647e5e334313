"""A question to a human on its way out, and the answer on its way in: signatures, replays, schema, back-off."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.errors import MalformedError, RemoteProtocolError, SignatureError
from hmmm.escalation import (
    MAX_AGE_S,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Delivery,
    Outcome,
    Replays,
    after_attempt,
    check_signature,
    idempotency_key,
    is_due,
    read_answer,
    signed_headers,
)
from hmmm.escalation.answer import MAX_ANSWER_BYTES
from hmmm.escalation.delivery import LONGEST_DELAY_S
from hmmm.identity import IssueIdentity

SECRET = b"s" * 32
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ISSUE = IssueIdentity(repository="acme/widgets", number=7, epoch=2)


def answer(**changes: object) -> bytes:
    return json.dumps(
        {
            "schema": "bzzz.dev/answer/v1",
            "hive": "bzzz",
            "escalation_id": "e1",
            "issue": {"repository": "acme/widgets", "number": 7, "epoch": 2},
            "verdict": "proceed",
            **changes,
        }
    ).encode()


@given(st.binary(max_size=200), st.floats(-MAX_AGE_S + 1, MAX_AGE_S - 1))
def test_what_was_signed_lately_is_taken(body: bytes, age_s: float) -> None:
    headers = signed_headers(SECRET, body, NOW)
    check_signature(SECRET, headers, body, NOW + timedelta(seconds=age_s))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_another_body_is_refused(body: bytes, other: bytes) -> None:
    headers = signed_headers(SECRET, body, NOW)
    if body != other:
        with pytest.raises(SignatureError):
            check_signature(SECRET, headers, other, NOW)


@pytest.mark.parametrize("age_s", [-MAX_AGE_S - 1, MAX_AGE_S + 1, 86_400])
def test_a_recorded_request_is_stale_after_five_minutes(age_s: float) -> None:
    headers = signed_headers(SECRET, b"x", NOW)
    with pytest.raises(SignatureError) as refused:
        check_signature(SECRET, headers, b"x", NOW + timedelta(seconds=age_s))
    assert refused.value.reason == "stale"


def test_the_timestamp_is_signed() -> None:
    headers = signed_headers(SECRET, b"x", NOW - timedelta(hours=1))
    headers[TIMESTAMP_HEADER] = str(int(NOW.timestamp()))
    with pytest.raises(SignatureError):
        check_signature(SECRET, headers, b"x", NOW)


@given(st.dictionaries(st.sampled_from([TIMESTAMP_HEADER, SIGNATURE_HEADER]), st.text(max_size=90)))
def test_headers_of_any_form_are_refused_and_nothing_else_happens(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        check_signature(SECRET, headers, b"x", NOW)


def test_a_short_secret_neither_signs_nor_checks() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        signed_headers(b"short", b"x", NOW)
    with pytest.raises(SignatureError):
        check_signature(b"", signed_headers(SECRET, b"x", NOW), b"x", NOW)


def test_a_request_is_taken_once_while_it_is_fresh() -> None:
    replays = Replays()
    replays.take("a", NOW)
    with pytest.raises(RemoteProtocolError) as refused:
        replays.take("a", NOW + timedelta(seconds=2 * MAX_AGE_S))
    assert refused.value.reason == "replayed"


def test_a_full_store_refuses_and_forgets_nothing_that_is_fresh() -> None:
    replays = Replays(limit=2)
    replays.take("a", NOW)
    replays.take("b", NOW)
    with pytest.raises(RemoteProtocolError) as refused:
        replays.take("c", NOW)
    assert refused.value.reason == "busy"
    replays.take("c", NOW + timedelta(seconds=2 * MAX_AGE_S + 1))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"verdict": "yes"}, "verdict"),
        ({"verdict": "revise"}, "revise"),
        ({"verdict": "revise", "text": "  "}, "revise"),
        ({"extra": 1}, "extra"),
        ({"issue": {"repository": "acme/widgets", "number": "7", "epoch": 2}}, "issue.number"),
        ({"text": "x" * 4001}, "text"),
        ({"schema": "bzzz.dev/answer/v2"}, "schema"),
        ({"escalation_id": "a b"}, "escalation_id"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_with_its_field(
    changes: dict[str, object], field: str
) -> None:
    with pytest.raises(MalformedError, match=field):
        read_answer(answer(**changes))


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read_answer(body)


def test_an_answer_is_bounded() -> None:
    with pytest.raises(MalformedError):
        read_answer(answer(text="x" * MAX_ANSWER_BYTES))
    assert read_answer(answer(verdict="revise", text="keep the name")).issue.identity == ISSUE


def test_a_question_has_one_key_and_another_has_another() -> None:
    assert idempotency_key("h", ISSUE, "e1") == idempotency_key("h", ISSUE, "e1")
    keys = {
        idempotency_key("h", ISSUE, "e1"),
        idempotency_key("h", ISSUE, "e2"),
        idempotency_key("g", ISSUE, "e1"),
        idempotency_key("h", ISSUE.at_epoch(3), "e1"),
    }
    assert len(keys) == 4


def test_an_hour_of_500_loses_nothing_and_is_asked_about_every_five_minutes_at_most() -> None:
    """Virtual clock: each attempt is made when it is due."""
    now, delivery, attempts = NOW, Delivery(escalation_id="e1"), 0
    while now < NOW + timedelta(hours=1):
        assert is_due(delivery, now)
        delivery = after_attempt(delivery, Outcome(status=500), now)
        attempts += 1
        assert delivery.state == "Failing"
        assert delivery.problem == "the webhook answered 500"
        assert delivery.next_attempt_at is not None
        pause = (delivery.next_attempt_at - now).total_seconds()
        assert 0 < pause <= LONGEST_DELAY_S
        assert not is_due(delivery, now + timedelta(seconds=pause - 0.1))
        now = delivery.next_attempt_at
    assert 12 <= attempts <= 24
    delivery = after_attempt(delivery, Outcome(status=202), now)
    assert (delivery.state, delivery.delivered_at, delivery.problem) == ("Delivered", now, "")
    assert delivery.attempts == attempts + 1


@given(st.lists(st.one_of(st.none(), st.integers(100, 599)), max_size=40))
def test_only_a_2xx_delivers_and_nothing_undoes_it(statuses: list[int | None]) -> None:
    delivery, now, delivered = Delivery(escalation_id="e1"), NOW, False
    for status in statuses:
        delivery = after_attempt(delivery, Outcome(status=status), now)
        delivered = delivered or (status is not None and 200 <= status < 300)
        assert (delivery.state == "Delivered") == delivered
        assert (delivery.next_attempt_at is None) == delivered
        now += timedelta(seconds=1)
