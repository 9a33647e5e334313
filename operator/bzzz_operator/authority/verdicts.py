"""A human's resolution of a MetaDiscussion becomes a verdict that claimants obey: signed once, by the hive key.

`answer` is pure: the object as it is and the time come in, the status to apply comes out. A resolution is bound to the
epoch that it was first seen with: it stays in `spec` when the issue is claimed again, and what a human decided about
one claimant's plan must not decide the next one's. Its digest is kept for that, in `status.verdict` when it was signed
and in the condition's message when it was refused.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bzzz_operator.api import Json
from bzzz_operator.kinds import META_DISCUSSION
from hmmm.base import Digest, Id, Line, Repository, Text, first_problem
from hmmm.envelope import SigningKey, canonical_json, sha256_hex
from hmmm.identity import IssueIdentity
from hmmm.meta import Verdict
from hmmm.verdict import MAX_VERDICT_BYTES, SignedVerdict, sign_verdict

RESOLUTION_ACCEPTED: Final = "ResolutionAccepted"
ACCEPTED: Final = "Accepted"
SIGNED: Final = "Signed"
"""The resolution was signed; the claimant gets it."""
CLOSED: Final = "DiscussionClosed"
"""The discussion was over when the resolution came."""
STALE: Final = "Stale"
"""The resolution was about an earlier claim of the issue."""
WAITING_FOR_DISCUSSION: Final = "WaitingForDiscussion"
"""No agent discusses the issue yet; the resolution is looked at again when one does."""
INVALID: Final = "Invalid"
"""A field does not fit; the message names it."""
WAITING_FOR_CLAIM: Final = "WaitingForClaim"
"""A user opened the discussion and no agent has claimed the issue."""
CLAIMED: Final = "Claimed"
"""An agent has claimed the issue that a user opened a discussion of."""

OVER: Final = frozenset({"Closed", "Abandoned"})
SCRIBE: Final = "bzzz-scribe"
"""Value of app.kubernetes.io/managed-by on discussions that the scribe opened."""
_VERDICT_IDS: Final = uuid.UUID("6f6c0a3e-3a57-5f0e-9a39-0d5c7b1f2a64")
"""Namespace of verdict ids: the same decision has the same id, however often it is signed."""
_REFUSED: Final = re.compile(r"resolution ([0-9a-f]{12}) for epoch ([0-9]{1,16}): ", re.ASCII)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


_P = TypeVar("_P", bound=_Part)


class _Issue(_Part):
    repository: Repository
    number: int = Field(ge=1, le=2**53, strict=True)


class _Resolution(_Part):
    verdict: Verdict
    text: Text = ""
    by: Line | None = None
    escalation: Id | None = None
    """None means whichever is open; a digest of old has no such field, and stays as it was."""

    @property
    def digest(self) -> str:
        return sha256_hex(canonical_json(self.model_dump(mode="json", exclude_none=True)))


class _Verdict(_Part):
    epoch: int
    resolution_digest: Digest = Field(alias="resolutionDigest")


class _Asked(_Part):
    id: Id | None = None


class _Seen(_Part):
    """What the scribe says; absent until it has seen the discussion."""

    phase: str | None = None
    epoch: Annotated[int, Field(ge=1, le=2**53)] | None = None
    escalation: _Asked | None = None


Decision = tuple[bool, str, str]
"""A condition's status, reason and message."""
QUESTION: Final = (
    False,
    WAITING_FOR_CLAIM,
    "agents debate issues that one of them has claimed; a question without an issue is not taken up yet",
)


def answer(discussion: Mapping[str, Any], hive_key: SigningKey, now: datetime) -> Json | None:
    """Return the status to apply to a MetaDiscussion, as a server-side apply's body; None if it is so already."""
    metadata = _mapping(discussion.get("metadata"))
    spec, old = _mapping(discussion.get("spec")), _mapping(discussion.get("status"))
    verdict: Json | None = _mapping(old.get("verdict")) or None
    conditions: dict[str, Decision] = {}
    issue, problem = _read(_Issue, spec.get("issue"), "spec.issue")
    seen, _ = _read(_Seen, old, "status")
    seen = seen or _Seen()
    if spec.get("question") is not None and seen.phase is None:
        accepted = QUESTION
    else:
        accepted = _accepted(metadata, _condition(old, ACCEPTED), seen, problem)
    if accepted is not None:
        conditions[ACCEPTED] = accepted
    if issue is not None and spec.get("resolution") is not None:
        decision, signed = _resolve(metadata, spec, old, issue, seen, hive_key, now)
        conditions[RESOLUTION_ACCEPTED] = decision
        verdict = signed or verdict
    status: Json = {"conditions": _stamped(conditions, old, _generation(metadata), now)}
    if verdict is not None:
        status["verdict"] = verdict
    if conditions or old.get("observedGeneration") is not None:
        status["observedGeneration"] = _generation(metadata)
    return None if _is_so(status, old) else _body(metadata, status)


def _resolve(
    metadata: Json,
    spec: Json,
    old: Json,
    issue: _Issue,
    seen: _Seen,
    hive_key: SigningKey,
    now: datetime,
) -> tuple[Decision, Json | None]:
    resolution, problem = _read(_Resolution, spec.get("resolution"), "spec.resolution")
    if resolution is None:
        return (False, INVALID, f"{problem}; correct it"), None
    if seen.phase is None or seen.epoch is None:
        text = "no agent discusses this issue yet; the resolution is looked at again when one does"
        return (False, WAITING_FOR_DISCUSSION, text), None
    digest = resolution.digest
    known = _decided_before(digest, old)
    about = known or seen.epoch
    where = f"resolution {digest[:12]} for epoch {about}: "
    if about != seen.epoch:
        text = f"the issue was claimed anew since (epoch {seen.epoch}); to decide on that, resolve it in other words"
        return (False, STALE, where + text), None
    last, _ = _read(_Verdict, old.get("verdict"), "status.verdict")
    if last is not None and (last.epoch, last.resolution_digest) == (about, digest):
        return (True, SIGNED, _signed_text(resolution, about)), None
    if seen.phase in OVER:
        return (
            False,
            CLOSED,
            f"{where}the discussion is over (phase {seen.phase}); nothing is left to decide",
        ), None
    asked = None if seen.escalation is None else seen.escalation.id
    if resolution.escalation is not None and asked is not None and resolution.escalation != asked:
        text = "it answers an earlier question of the same claim; to answer the open one, name that or none"
        return (False, STALE, where + text), None
    identity = IssueIdentity(repository=issue.repository, number=issue.number, epoch=about)
    signed = _sign(str(metadata.get("uid", "")), identity, resolution, hive_key, now)
    if signed is None:
        text = f"spec.resolution.text: expected a verdict of at most {MAX_VERDICT_BYTES} bytes, came more; shorten it"
        return (False, INVALID, text), None
    return (True, SIGNED, _signed_text(resolution, about)), signed


def _decided_before(digest: str, old: Json) -> int | None:
    """Return the epoch that this very resolution is about, if that is known."""
    last, _ = _read(_Verdict, old.get("verdict"), "status.verdict")
    if last is not None and last.resolution_digest == digest:
        return last.epoch
    refused = _REFUSED.match(str(_condition(old, RESOLUTION_ACCEPTED).get("message", "")))
    return int(refused[2]) if refused is not None and refused[1] == digest[:12] else None


def _sign(
    uid: str, issue: IssueIdentity, resolution: _Resolution, hive_key: SigningKey, now: datetime
) -> Json | None:
    """Return `status.verdict`; None when the signed verdict would be too large to travel."""
    verdict_id = str(uuid.uuid5(_VERDICT_IDS, f"{uid}/{issue}/{resolution.digest}"))
    decided = SignedVerdict(
        verdict_id=verdict_id,
        issue=issue,
        verdict=resolution.verdict,
        text=resolution.text,
        decided_by=resolution.by or "",
        decided_at=now,
    )
    raw = sign_verdict(decided, hive_key)
    if len(raw) > MAX_VERDICT_BYTES:
        return None
    return {
        "id": verdict_id,
        "epoch": issue.epoch,
        "verdict": resolution.verdict,
        "by": resolution.by or "",
        "signed": raw.decode(),
        "resolutionDigest": resolution.digest,
        "at": _time(now),
    }


def _signed_text(resolution: _Resolution, epoch: int) -> str:
    who = f" by {resolution.by}" if resolution.by else ""
    return f"{resolution.verdict}{who} is signed for epoch {epoch}; the claimant gets it while the issue is escalated"


def _accepted(metadata: Json, old: Json, seen: _Seen, problem: str) -> Decision | None:
    """Say to a user who opened a discussion what becomes of it; the scribe's own need no such word."""
    if problem:
        return (False, INVALID, f"{problem}; correct it")
    if seen.phase is not None:
        return (True, CLAIMED, "an agent has claimed the issue") if old else None
    if _mapping(metadata.get("labels")).get("app.kubernetes.io/managed-by") == SCRIBE:
        return None
    return (True, WAITING_FOR_CLAIM, "no agent has claimed this issue yet; the debate begins when one does")


def _stamped(decisions: Mapping[str, Decision], old: Json, generation: int, now: datetime) -> list[Json]:
    stamped: list[Json] = []
    for kind, (is_true, reason, message) in sorted(decisions.items()):
        before = _condition(old, kind)
        status = "True" if is_true else "False"
        since = before.get("lastTransitionTime") if before.get("status") == status else None
        stamped.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": since or _time(now),
                "observedGeneration": generation,
            }
        )
    return stamped


def _is_so(status: Json, old: Json) -> bool:
    ours = (RESOLUTION_ACCEPTED, ACCEPTED)
    held = [c for c in _conditions(old) if c.get("type") in ours]
    return (
        status["conditions"] == sorted(held, key=lambda c: str(c.get("type")))
        and status.get("verdict") == (old.get("verdict") or None)
        and status.get("observedGeneration") == old.get("observedGeneration")
    )


def _body(metadata: Json, status: Json) -> Json:
    # only for exactly what was looked at: the issue may have been claimed again since, or the object made anew
    named = {"name": metadata["name"], "resourceVersion": metadata["resourceVersion"]}
    return {
        "apiVersion": META_DISCUSSION.api_version,
        "kind": META_DISCUSSION.kind,
        "metadata": named,
        "status": status,
    }


def _read(model: type[_P], value: object, what: str) -> tuple[_P | None, str]:
    """Return what a part says and no problem, or nothing and the problem."""
    try:
        return model.model_validate(value), ""
    except ValidationError as error:
        return None, f"{what}: {first_problem(error)}"


def _generation(metadata: Json) -> int:
    return int(metadata.get("generation") or 0)


def _condition(status: Json, kind: str) -> Json:
    return next((c for c in _conditions(status) if c.get("type") == kind), Json())


def _conditions(status: Json) -> list[Json]:
    found = status.get("conditions")
    return [_mapping(c) for c in cast("list[object]", found)] if isinstance(found, list) else []


def _mapping(value: object) -> Json:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
