"""What an answer to an escalation does, given the MetaDiscussion as it is. Pure.

The first answer to an escalation counts. It becomes `spec.resolution`, which names the escalation that it answers; what
follows is the same as after `kubectl patch`: the authority signs it, and the claimant obeys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bzzz_operator.escalation.notices import OVER
from bzzz_operator.objects import Json, part
from hmmm.escalation import Answer


@dataclass(frozen=True)
class Ruling:
    """What the caller is told (an HTTP status and a sentence), and what to merge into the object, if anything."""

    status: int
    effect: bool
    message: str
    patch: Json | None = None


def rule(answer: Answer, discussion: Mapping[str, Any] | None, hive: str) -> Ruling:
    """Decide on an answer whose signature holds."""
    if answer.hive != hive:
        return Ruling(404, effect=False, message=f"expected an answer to hive {hive}; refused")
    if discussion is None:
        return Ruling(
            404, effect=False, message=f"no discussion of {answer.issue.identity} is known; refused"
        )
    spec, status = part(discussion, "spec"), part(discussion, "status")
    asked = part(status, "escalation")
    if status.get("epoch") != answer.issue.epoch or asked.get("id") != answer.escalation_id:
        return Ruling(
            409,
            effect=False,
            message="it answers an earlier question, or an earlier claim; refused",
        )
    said: Json = {"verdict": answer.verdict, "text": answer.text, "escalation": answer.escalation_id}
    if answer.by:
        said["by"] = answer.by
    before = part(spec, "resolution")
    over = status.get("phase") in OVER or asked.get("state") == "Released"
    if before.get("escalation") == answer.escalation_id:
        if {"text": "", **before} == said:
            return Ruling(200, effect=not over, message="this answer was recorded before")
        return Ruling(
            409, effect=False, message=f"already answered: {before.get('verdict')}; the first answer counts"
        )
    if asked.get("state") == "Answered" and not over:
        return Ruling(409, effect=False, message="already answered by another way; the first answer counts")
    # by is cleared where an older resolution had one: this is a merge
    patch = {"spec": {"resolution": {"by": None, **said}}}
    if over:
        phase = status.get("phase")
        text = f"recorded without effect: the discussion is over (phase {phase})"
        return Ruling(200, effect=False, message=text, patch=patch)
    return Ruling(
        200, effect=True, message=f"recorded: {answer.verdict}; the claimant gets it, signed", patch=patch
    )
