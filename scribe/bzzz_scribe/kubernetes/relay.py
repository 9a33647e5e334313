"""Carries a human's verdict, as the authority signed it, from a MetaDiscussion to the claimant (architecture §11).

The scribe relays and decides nothing: what counts is the envelope by the hive key inside. It is said again, ever more
seldom, until the claimant's log shows it or the discussion is over. Nothing is remembered across a restart, and nothing
needs to be: ids follow from the verdict, and a claimant obeys a verdict once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import structlog
import trio

from bzzz_mesh import Mesh, MeshError
from bzzz_scribe.kubernetes.client import Json
from bzzz_scribe.kubernetes.discussions import Discussions, issue_named
from bzzz_scribe.kubernetes.watched import Watched, name_of
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.store import Document
from hmmm.envelope import SigningKey, sha256_hex
from hmmm.errors import LocalProtocolError, RemoteProtocolError
from hmmm.identity import IssueIdentity
from hmmm.messages import (
    ESCALATION_TOPIC,
    MetaMessage,
    VerdictMessage,
    issue_topic,
    sign_message,
)
from hmmm.meta import HumanVerdict
from hmmm.verdict import MAX_VERDICT_BYTES, SignedVerdict, read_verdict

TICK_S: Final = 0.5
BACK_OFF_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
MAX_KNOWN: Final = 4096

log = structlog.get_logger("bzzz.scribe.kubernetes.relay")


@dataclass
class _Errand:
    """A verdict on its way."""

    said: int = 0
    next_at: float = 0.0


@dataclass(frozen=True)
class Speaker:
    """Who relays: the scribe's name and mesh key, and the hive key by which a verdict is judged."""

    node_id: str
    key: SigningKey
    hive_key: bytes


class VerdictRelay:
    """Looks for signed verdicts on live discussions and says them."""

    def __init__(
        self,
        mesh: Mesh,
        speaker: Speaker,
        resources: Watched,
        discussions: Discussions,
        metrics: ScribeMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._mesh = mesh
        self._speaker = speaker
        self._resources = resources
        self._discussions = discussions
        self._metrics = metrics
        self._now = now
        self._errands: dict[str, _Errand] = {}
        self._refused: set[str] = set()

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            open_ones: set[str] = set()
            for one in list(self._resources.objects.values()):
                found = self._open(one)
                if found is not None:
                    open_ones.add(found[0])
                    await self._say_if_due(*found)
            self._errands = {digest: e for digest, e in self._errands.items() if digest in open_ones}
            await trio.sleep(TICK_S)

    def _open(self, one: Json) -> tuple[str, bytes, SignedVerdict] | None:
        """Return a resource's verdict, with its digest, if its claimant still waits for it."""
        issue = issue_named(one)
        verdict = cast("Json", one.get("status") or {}).get("verdict")
        signed = cast("Json", verdict).get("signed") if isinstance(verdict, dict) else None
        if issue is None or not isinstance(signed, str) or len(signed) > MAX_VERDICT_BYTES:
            return None
        view = self._discussions.newest(issue)
        if view is None or not view["live"] or view["phase"] != "Escalated":
            return None
        raw = signed.encode("utf-8", "replace")
        digest = sha256_hex(raw)
        if digest in cast("list[str]", view["verdicts"]) or digest in self._refused:
            return None
        read = self._read(raw, digest, view, name_of(one))
        return None if read is None else (digest, raw, read)

    def _read(self, raw: bytes, digest: str, view: Document, name: str) -> SignedVerdict | None:
        identity = IssueIdentity(
            repository=str(view["repository"]),
            number=cast("int", view["number"]),
            epoch=cast("int", view["epoch"]),
        )
        try:
            return read_verdict(raw, self._speaker.hive_key, identity)
        except RemoteProtocolError as error:
            if error.reason == "other_issue":
                return None  # of an earlier claim; the next one may be this one's
            if len(self._refused) < MAX_KNOWN:
                self._refused.add(digest)
                log.warning("verdict does not hold and is not relayed", name=name, error=str(error))
            return None

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
