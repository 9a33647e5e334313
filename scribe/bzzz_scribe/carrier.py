"""Saying a human's verdict on the mesh, ever more seldom, for as long as its claimant waits for it (architecture §11).

The scribe relays and decides nothing: what counts is the envelope by the hive key inside. Nothing is remembered across
a restart, and nothing needs to be: ids follow from the verdict, and a claimant obeys a verdict once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import structlog
import trio

from bzzz_mesh import Mesh, MeshError
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.store import Document
from hmmm.envelope import SigningKey
from hmmm.errors import LocalProtocolError
from hmmm.identity import IssueIdentity
from hmmm.messages import ESCALATION_TOPIC, MetaMessage, VerdictMessage, issue_topic, sign_message
from hmmm.meta import HumanVerdict
from hmmm.verdict import SignedVerdict

TICK_S: Final = 0.5
"""How often it is looked whether somebody waits for a verdict."""
BACK_OFF_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

log = structlog.get_logger("bzzz.scribe.carrier")


@dataclass(frozen=True)
class Speaker:
    """Who relays: the scribe's name and mesh key, and the hive key by which a verdict is judged."""

    node_id: str
    key: SigningKey
    hive_key: bytes


@dataclass
class _Errand:
    """A verdict on its way."""

    said: int = 0
    next_at: float = 0.0


class Carrier:
    """Says verdicts that are waited for."""

    def __init__(
        self, mesh: Mesh, speaker: Speaker, metrics: ScribeMetrics, now: Callable[[], datetime]
    ) -> None:
        self._mesh = mesh
        self._speaker = speaker
        self._metrics = metrics
        self._now = now
        self._errands: dict[str, _Errand] = {}

    async def carry(self, waited_for: Mapping[str, tuple[bytes, SignedVerdict]]) -> None:
        """Say what is due of these verdicts, by the digest of their envelopes; forget every other."""
        for digest, (raw, verdict) in waited_for.items():
            await self._say_if_due(digest, raw, verdict)
        self._errands = {digest: e for digest, e in self._errands.items() if digest in waited_for}

    async def _say_if_due(self, digest: str, raw: bytes, verdict: SignedVerdict) -> None:
        errand = self._errands.setdefault(digest, _Errand())
        if errand.next_at > trio.current_time():
            return
        pause = BACK_OFF_S[min(errand.said, len(BACK_OFF_S) - 1)]
        errand.next_at = trio.current_time() + pause * (1 + random.random() / 4)  # noqa: S311  spreads load only
        errand.said += 1
        try:
            await self._say(digest, raw.decode(), verdict)
            self._metrics.verdicts_relayed.inc()
        except MeshError as error:
            log.warning("verdict not said; said again", verdict=verdict.verdict_id, error=str(error))
            return
        if errand.said == 1:
            log.info("verdict relayed", verdict=verdict.verdict_id, issue=str(verdict.issue))

    async def _say(self, digest: str, signed: str, verdict: SignedVerdict) -> None:
        """Say it on both topics. Raises MeshError."""
        header: dict[str, Any] = {
            "node_id": self._speaker.node_id,
            "sent_at": self._now(),
            "repository": verdict.issue.repository,
            "issue_id": verdict.issue.number,
            "epoch": verdict.issue.epoch,
        }
        relayed = VerdictMessage(msg_id=f"relay-{digest[:40]}", signed=signed, **header)
        spoken = HumanVerdict(verdict=verdict.verdict, signed=signed)
        text = verdict.text
        while True:
            word = MetaMessage.compose(
                parent=None, text=text, parameters=spoken, msg_id=f"verdict-{digest[:40]}", **header
            )
            try:
                signed_word = sign_message(word, self._speaker.key)
                break
            except LocalProtocolError:
                text = text[: len(text) // 2]  # the whole text is in the verdict itself
        topic = issue_topic(verdict.issue.number)
        await self._mesh.publish(ESCALATION_TOPIC, sign_message(relayed, self._speaker.key).envelope.raw)
        await self._mesh.publish(topic, signed_word.envelope.raw)


def identity_of(view: Document) -> IssueIdentity:
    """Return whose discussion a view shows."""
    return IssueIdentity(
        repository=str(view["repository"]),
        number=cast("int", view["number"]),
        epoch=cast("int", view["epoch"]),
    )


def waits_for(view: Document | None, digest: str) -> bool:
    """Whether a discussion waits for a human and has not obeyed the verdict with this digest."""
    if view is None or not view["live"] or view["phase"] != "Escalated":
        return False
    return digest not in cast("list[str]", view["verdicts"])
