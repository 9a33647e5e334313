"""What a MetaDiscussion's status says of a question to a human, as the webhook is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_crds.metadiscussion_status import DeliveryStatus, EscalationStatus, MetaDiscussionStatus
from bzzz_operator.kinds import META_DISCUSSION
from bzzz_operator.objects import Json, name_of, part, uid_of
from bzzz_operator.runtime.clock import rfc3339
from hmmm.errors import RemoteProtocolError
from hmmm.escalation import Delivery, Notice, Objection, PlanInBrief, idempotency_key
from hmmm.identity import IssueIdentity

OVER = frozenset({"Closed", "Abandoned"})
RELAY: str = "bzzz-operator-relay"
"""Field manager of `status.escalation.delivery`; not that of verdicts, so that neither drops the other's."""

GITHUB_API = "https://api.github.com"
M = TypeVar("M", bound=BaseModel)


class _Issue(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")

    repository: str
    number: int


def notice_of(
    discussion: Mapping[str, Any], hive: str, public_url: str, api_url: str | None
) -> Notice | None:
    """Return what is to be delivered; None where nobody is asked, or the question is settled."""
    status = _read(MetaDiscussionStatus, _known(part(discussion, "status"), MetaDiscussionStatus))
    issue = _read(_Issue, part(discussion, "spec", "issue"))
    if status is None or issue is None or status.epoch is None or status.phase in OVER:
        return None
    asked = status.escalation
    if asked is None or asked.id is None or asked.state != "Waiting":
        return None
    identity = IssueIdentity(repository=issue.repository, number=issue.number, epoch=status.epoch)
    plan = status.plan
    return Notice(
        hive=hive,
        escalation_id=asked.id,
        idempotency_key=idempotency_key(hive, identity, asked.id),
        issue=identity,
        title=status.title or "",
        claimant=status.claimant,
        reason=asked.reason or "",
        round=status.round,
        plan=None
        if plan is None
        else PlanInBrief(
            summary=plan.summary or "",
            digest=plan.digest,
            footprint=plan.footprint or (),
            tests=plan.tests or (),
        ),
        objections=tuple(
            Objection(node_id=o.node_id, severity=o.severity, reason=o.reason or "", status=o.status)
            for o in status.objections or ()
            if o.status in {"open", "restated"}
        ),
        issue_url=None if api_url is None else f"{web_url(api_url)}/{issue.repository}/issues/{issue.number}",
        discussion_url=public_url,
        asked_at=None if asked.since is None else datetime.fromisoformat(asked.since),
    )


def web_url(api_url: str) -> str:
    """Return where people see what a GitHub API serves: GitHub's own, an Enterprise server's, or the same address."""
    url = api_url.rstrip("/")
    return "https://github.com" if url == GITHUB_API else url.removesuffix("/api/v3")


def delivery_of(discussion: Mapping[str, Any], escalation_id: str) -> Delivery:
    """Return how far this escalation's delivery has got, by the object itself: a restart goes on from there."""
    shown = _read(EscalationStatus, part(discussion, "status", "escalation"))
    told = None if shown is None else shown.delivery
    if told is None or told.id != escalation_id:
        return Delivery(escalation_id=escalation_id)
    try:
        return Delivery.from_object(
            {
                "escalation_id": told.id,
                "state": told.state,
                "attempts": told.attempts or 0,
                "last_attempt_at": told.last_attempt_at,
                "next_attempt_at": told.next_attempt_at,
                "delivered_at": told.delivered_at,
                "problem": told.problem or "",
            },
            what="status.escalation.delivery",
        )
    except RemoteProtocolError:
        return Delivery(escalation_id=escalation_id)  # somebody edited it: sent once more than needed


def delivery_body(discussion: Mapping[str, Any], delivery: Delivery) -> Json:
    """Return the status to apply."""
    moments = {
        "last_attempt_at": delivery.last_attempt_at,
        "next_attempt_at": delivery.next_attempt_at,
        "delivered_at": delivery.delivered_at,
    }
    shown = DeliveryStatus.model_validate(
        {
            "id": delivery.escalation_id,
            "state": delivery.state,
            "attempts": delivery.attempts,
            "problem": delivery.problem or None,
            **{to_camel(name): rfc3339(moment) for name, moment in moments.items() if moment is not None},
        }
    )
    return {
        "apiVersion": META_DISCUSSION.api_version,
        "kind": META_DISCUSSION.kind,
        "metadata": {"name": name_of(discussion), "uid": uid_of(discussion)},
        "status": {"escalation": {"delivery": shown.to_object()}},
    }


def _known(value: Json, model: type[BaseModel]) -> Json:
    """Drop what a newer definition may have added."""
    names = {field.alias or name for name, field in model.model_fields.items()}
    return {name: entry for name, entry in value.items() if name in names}


def _read(model: type[M], value: object) -> M | None:
    try:
        return model.model_validate(cast("Any", value))
    except ValidationError:
        return None
