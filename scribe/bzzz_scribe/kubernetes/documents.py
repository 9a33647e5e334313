"""Views as the status of custom resources. Pure.

Every document is made by the models from which the schema is generated, so that none is refused for its form; a
field that does not fit is left out, for one odd word of an agent must not hide a discussion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from bzzz_crds.hiveagent_status import AgentStatus, HiveAgentStatus
from bzzz_crds.metadiscussion_status import MetaDiscussionStatus
from bzzz_scribe.kubernetes.client import Json
from bzzz_scribe.store import Document

API_VERSION: Final = "bzzz.dev/v1alpha1"
AGENT_FIELDS: Final = ("agents", "issues")
"""What the scribe writes of a HiveAgent's status."""
DISCUSSION_FIELDS: Final = (
    "epoch",
    "title",
    "phase",
    "round",
    "claimant",
    "reviewers",
    "participants",
    "plan",
    "deadline",
    "objectionSummary",
    "objections",
    "lastMessages",
    "transcript",
    "pullRequest",
    "outcome",
    "reason",
    "openedAt",
    "phaseTimestamps",
    "safeguards",
    "help",
    "escalation",
)
"""What the scribe writes of a MetaDiscussion's status; verdict and conditions are the operator's."""
OPERATORS_PARTS: Final = frozenset({("escalation", "delivery")})
"""Parts of those fields that the operator writes."""
MAX_AGENTS: Final = 256
MAX_OBJECTIONS: Final = 100
MAX_ISSUES_CHARACTERS: Final = 1000
_PULL: Final = re.compile(r"^https?://[!-~]{1,480}/pull/([0-9]{1,15})$", re.ASCII)
_WEB: Final = re.compile(r"^https?://[!-~]+$", re.ASCII)
_ENDED: Final = frozenset({"Closed", "Abandoned"})

M = TypeVar("M", bound=BaseModel)


def discussion_status(view: Document) -> Json:
    """Return a MetaDiscussion's status for a discussion's view."""
    objections = _documents(view.get("objections"))
    open_ones = sum(1 for o in objections if o.get("status") == "open")
    fields: Json = {
        "epoch": view["epoch"],
        "title": _cut(view.get("title"), 300),
        "phase": shown_phase(view),
        "round": view["round"],
        "claimant": view["claimant"],
        "reviewers": _texts(view.get("reviewers"))[:32],
        "participants": _texts(view.get("participants"))[:64],
        "plan": _plan(view.get("plan")),
        "deadline": view.get("deadline"),
        "objectionSummary": f"{open_ones}/{len(objections)} open" if objections else "0",
        "objections": [_objection(o) for o in objections[-MAX_OBJECTIONS:]],
        "lastMessages": [
            {**m, "text": _cut(m.get("text"), 300)} for m in _documents(view.get("lastMessages"))
        ],
        "transcript": {name: view.get(name) for name in ("logKey", "firstSeq", "lastSeq")},
        "pullRequest": _pull_request(view.get("pullRequest")),
        "outcome": view.get("outcome"),
        "reason": _cut(view.get("reason"), 4000) or None,
        "openedAt": view.get("openedAt"),
        "phaseTimestamps": dict(cast("list[tuple[str, str]]", view.get("phases") or [])) or None,
        "safeguards": _safeguards(view.get("safeguards")),
        "help": _help(view.get("helps")),
        "escalation": _escalation(view.get("escalation")),
    }
    made = _fitted(MetaDiscussionStatus, fields)
    return {name: made[name] for name in DISCUSSION_FIELDS if name in made}


def shown_phase(view: Document) -> str:
    """Return the phase; a discussion whose claim was given back or lost is over, though its log stops amid a phase."""
    phase = str(view["phase"])
    if view.get("live") or phase in _ENDED:
        return phase
    return "Closed" if view.get("outcome") == "pull_request" else "Abandoned"


def agent_status(document: Document, last_seen: str | None) -> Json:
    """Return an agent's entry in a HiveAgent's status."""
    fields: Json = {
        "nodeId": document["nodeId"],
        "peerId": document.get("peerId"),
        "logKey": document.get("logKey"),
        "phase": _cut(document.get("phase"), 300),
        "present": document.get("phase") not in {"away", "unknown"},
        "issue": document.get("issue"),
        "models": [_cut(m.get("name"), 300) for m in _documents(document.get("models"))][:16],
        "lastSeen": last_seen,
    }
    return _fitted(AgentStatus, fields)


def hive_agent_status(agents: list[Json]) -> Json:
    """Return a HiveAgent's status for its agents' entries; in the order of their ordinals."""
    ordered = sorted(agents, key=lambda a: (len(str(a["nodeId"])), str(a["nodeId"])))[:MAX_AGENTS]
    issues = sorted({str(a["issue"]) for a in ordered if a.get("issue")})
    made = _fitted(HiveAgentStatus, {"agents": ordered, "issues": _issues_text(issues)})
    return {name: made[name] for name in AGENT_FIELDS if name in made}


def ended_at(view: Document) -> datetime | None:
    """Return when a discussion ended; None while it is live."""
    at = view.get("endedAt")
    if view.get("live"):
        return None
    return datetime.fromisoformat(str(at or view["openedAt"]))


def is_over(view: Document, ttl: timedelta, now: datetime) -> bool:
    """Whether a discussion ended so long ago that its resource goes."""
    ended = ended_at(view)
    return ended is not None and now >= ended + ttl


def _issues_text(issues: list[str]) -> str | None:
    """Return `#4 #7`; with the repository's name where there are several."""
    repositories = {issue.rpartition("#")[0] for issue in issues}
    one = len(repositories) == 1
    words = [f"#{issue.rpartition('#')[2]}" if one else issue.rpartition("/")[2] for issue in issues]
    if one:
        words.sort(key=lambda word: (len(word), word))
    return _cut(" ".join(words), MAX_ISSUES_CHARACTERS) or None


def _plan(value: object) -> Json | None:
    if not isinstance(value, dict) or not value:
        return None
    plan = cast("Json", value)
    return {
        "summary": _cut(plan.get("summary"), 600),
        "digest": plan.get("digest"),
        "footprint": _texts(plan.get("footprint"))[:200],
        "tests": [_cut(test, 300) for test in _texts(plan.get("tests"))[:50]],
    }


def _objection(o: Json) -> Json:
    return {
        "nodeId": o.get("nodeId"),
        "severity": o.get("severity"),
        "reason": _cut(o.get("reason"), 500),
        "round": o.get("round"),
        "status": o.get("status"),
        "resolution": _cut(o.get("resolution"), 500),
    }


def _pull_request(url: object) -> Json | None:
    """Return the pull request; the claimant wrote the address, and what is no web address is not shown."""
    if not isinstance(url, str) or not _WEB.match(url):
        return None
    number = _PULL.match(url)
    return {"url": url} if number is None else {"url": url, "number": int(number[1])}


def _safeguards(value: object) -> list[Json]:
    """Return the last bounds that were hit, each (safeguard, node) once."""
    bitten: dict[tuple[str, str], Json] = {}
    for one in _documents(value):
        safeguard, node = _cut(one.get("safeguard"), 300), str(one.get("nodeId") or "")
        bitten[safeguard, node] = {"safeguard": safeguard, **({"nodeId": node} if node else {})}
    return list(bitten.values())[-50:]


def _help(value: object) -> Json | None:
    """Return the last request for help; the transcript has them all."""
    helps = _documents(value)
    if not helps:
        return None
    last = helps[-1]
    talks = _documents(last.get("talks"))
    return {
        "phase": last.get("phase"),
        "since": last.get("since"),
        "problem": _cut(last.get("problem"), 500) or None,
        "wants": [_cut(want, 300) for want in _texts(last.get("wants"))[:16]],
        "helper": last.get("helper"),
        "offers": _texts(last.get("offers"))[:32],
        "talks": [{"helper": t.get("helper"), "outcome": t.get("outcome")} for t in talks[-16:]],
        "requests": len(helps),
    }


def _escalation(value: object) -> Json | None:
    if not isinstance(value, dict):
        return None
    asked = cast("Json", value)
    return {**asked, "reason": _cut(asked.get("reason"), 300)}


def _fitted(model: type[M], fields: Json) -> Json:
    """Return the fields as the model has them, without those that do not fit."""
    left: Json = {name: value for name, value in fields.items() if value is not None}
    while True:
        try:
            return model.model_validate(left).model_dump(mode="json", by_alias=True, exclude_none=True)
        except ValidationError as error:
            odd = {str(problem["loc"][0]) for problem in error.errors(include_url=False) if problem["loc"]}
            if not odd & set(left):
                raise
            left = {name: value for name, value in left.items() if name not in odd}


def _cut(text: object, characters: int) -> str:
    """Return foreign text as valid Unicode, cut."""
    if text is None:
        return ""
    whole = str(text).encode("utf-8", "replace").decode("utf-8", "replace").replace("\x00", "")
    return whole if len(whole) <= characters else whole[: characters - 1] + "…"


def _texts(value: object) -> list[str]:
    return [str(one) for one in cast("list[object]", value)] if isinstance(value, list) else []


def _documents(value: object) -> list[Json]:
    entries = cast("list[object]", value) if isinstance(value, list) else []
    return [dict(cast("Mapping[str, Any]", one)) for one in entries if isinstance(one, Mapping)]
