"""A discussion as the scribe shows it, in a MetaDiscussion's form: what is decided of one holds for the other."""

from __future__ import annotations

from typing import Any, Final

from hmmm.escalation import Answer

Json = dict[str, Any]

_SAME: Final = ("epoch", "phase", "round", "title", "claimant", "escalation")
_OF_PLAN: Final = ("summary", "digest", "footprint", "tests")
_OF_OBJECTION: Final = ("nodeId", "severity", "reason", "status")


def as_resource(view: Json, answer: Answer | None) -> Json:
    """Return it; `answer` is the one that was recorded for its open question, if any."""
    plan = view["plan"]
    status: Json = {name: view[name] for name in _SAME if view[name] is not None}
    if plan:
        status["plan"] = {name: plan[name] for name in _OF_PLAN}
    status["objections"] = [{name: one[name] for name in _OF_OBJECTION} for one in view["objections"]]
    spec: Json = {"issue": {"repository": view["repository"], "number": view["number"]}}
    if answer is not None:
        said = {"verdict": answer.verdict, "text": answer.text, "escalation": answer.escalation_id}
        spec["resolution"] = {**said, "by": answer.by} if answer.by else said
    return {"metadata": {"name": f"{view['repository']}#{view['number']}"}, "spec": spec, "status": status}
