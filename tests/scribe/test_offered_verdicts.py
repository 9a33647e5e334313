"""The local hive's door: a verdict that the hive key signed is taken in and said, and nothing else is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hmmm.envelope import SigningKey
from hmmm.verdict import SignedVerdict, sign_verdict
from tests.scribe.rig import Rig
from tests.support.discussions import Claimant, seed_of
from tests.support.processes import eventually


@pytest.fixture(scope="module")
def asked(shared: Rig) -> Claimant:
    """A claimant that waits for a human, as the scribe has read it."""
    voice = shared.agent("bzzz-0")
    voice.claimant.claim()
    voice.claimant.propose()
    voice.claimant.escalate()
    voice.write()
    shared.start()
    shared.wait_folded(voice)
    return voice.claimant


def signed(asked: Claimant, key: SigningKey | None = None, **fields: Any) -> bytes:
    values = {"verdict_id": "v1", "issue": asked.issue, "verdict": "proceed", "text": "do it"} | fields
    return sign_verdict(SignedVerdict(decided_at=asked.now, **values), key or asked.hive.key)


def bring(rig: Rig, body: bytes) -> httpx.Response:
    return httpx.post(f"{rig.live.ready['url']}/api/verdicts", content=body, timeout=20)


def said(rig: Rig) -> float:
    lines = rig.ask("/metrics").text.splitlines()
    return next(float(x.split()[1]) for x in lines if x.startswith("bzzz_scribe_verdicts_relayed_total "))


def test_what_the_hive_key_did_not_sign_is_refused(shared: Rig, asked: Claimant) -> None:
    forged = bring(shared, signed(asked, SigningKey.hive(seed_of("mallory"))))
    assert forged.status_code == 401
    assert bring(shared, b"{}").status_code == 400
    assert bring(shared, b"x" * 9000).status_code == 413
    assert said(shared) == 0


def test_a_verdict_that_nobody_waits_for_is_refused(shared: Rig, asked: Claimant) -> None:
    earlier = asked.issue.model_copy(update={"epoch": 9})
    other = asked.issue.model_copy(update={"number": 7})
    for issue in (earlier, other):
        answer = bring(shared, signed(asked, issue=issue))
        assert answer.status_code == 409
        assert "waits for a human's decision" in answer.json()["error"]["message"]


def test_a_verdict_is_said_and_the_same_one_again_changes_nothing(shared: Rig, asked: Claimant) -> None:
    for _ in range(2):
        answer = bring(shared, signed(asked))
        assert (answer.status_code, answer.json()) == (202, {"verdictId": "v1"})
    eventually(lambda: said(shared) >= 1, within=20, what="the verdict is said on the mesh")
