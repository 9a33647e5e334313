"""What pods tell: why one does not start, and whether one that is scaled away has finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bzzz_crds import HiveAgentSpec
from bzzz_operator.desired import names
from bzzz_operator.objects import annotations_of, is_deleted, items, part
from bzzz_operator.status import reasons
from bzzz_operator.status.problems import Problem
from hmmm.errors import excerpt

Json = dict[str, Any]

_PULLING: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_BROKEN: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
TERMINATION_CHARACTERS: Final = 600


def ordinal_of(pod: Mapping[str, Any]) -> int:
    """Return a StatefulSet pod's number, -1 for a pod that is named otherwise."""
    ordinal = str(pod["metadata"]["name"]).rpartition("-")[2]
    return int(ordinal) if ordinal.isdigit() else -1


def is_draining(pod: Mapping[str, Any]) -> bool:
    """Whether a pod was asked to finish."""
    return annotations_of(pod).get(names.DRAIN) == "true"


def has_finished(pod: Mapping[str, Any]) -> bool:
    """Whether nothing would be lost by taking a draining pod down.

    Its agent was ready in this life and is no more: it took its ready file away. Or it does not run at all, and so
    has nothing in its hands. One that is just starting may find an unfinished issue in its log, and is waited for.
    """
    agent = _statuses(pod, "containerStatuses").get("agent")
    if agent is None or "running" not in part(agent, "state"):
        return True
    return bool(agent.get("started")) and not agent.get("ready")


def pod_problems(pods: Iterable[Mapping[str, Any]], spec: HiveAgentSpec) -> list[Problem]:
    """Return what keeps pods from running, each kind once, told by the first pod that has it."""
    found: dict[str, Problem] = {}
    for pod in sorted(pods, key=ordinal_of):
        if is_deleted(pod):
            continue
        for problem in _problems_of(pod, spec):
            found.setdefault(problem.reason, problem)
    return list(found.values())


def _problems_of(pod: Mapping[str, Any], spec: HiveAgentSpec) -> Iterable[Problem]:
    name = pod["metadata"]["name"]
    for condition in items(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            text = f"pod {name} fits on no node: {excerpt(condition.get('message', ''))}"
            yield Problem(
                reasons.UNSCHEDULABLE, f"{text}; lower resources in the chart's values, or add a node"
            )
    statuses = {**_statuses(pod, "initContainerStatuses"), **_statuses(pod, "containerStatuses")}
    for container, status in statuses.items():
        problem = _container_problem(name, container, status, spec)
        if problem is not None:
            yield problem


def _container_problem(pod: str, container: str, status: Json, spec: HiveAgentSpec) -> Problem | None:
    waiting = part(status, "state", "waiting")
    reason = str(waiting.get("reason") or "")
    message = excerpt(waiting.get("message") or "")
    if reason in _PULLING:
        text = f"{_image_field(container, spec)}: pod {pod} cannot pull {status.get('image')}: {reason} {message}"
        return Problem(reasons.IMAGE_PULL_FAILING, f"{text.rstrip()}; correct the name, or add a pull secret")
    if reason in _BROKEN:
        return Problem(reasons.POD_FAILING, f"pod {pod}, container {container}: {reason}: {message}")
    ended = _last_end(status)
    if ended is None or status.get("ready"):
        return None
    said = str(ended.get("message") or ended.get("reason") or "").strip()[-TERMINATION_CHARACTERS:]
    shown = " ".join(said.split())
    return Problem(
        reasons.POD_FAILING,
        f"pod {pod}, container {container} ended with code {ended.get('exitCode')} "
        f"({status.get('restartCount', 0)} restarts): {shown or 'it said nothing'}; kubectl logs {pod} -c {container}"
        f" --previous",
    )


def _last_end(status: Json) -> Json | None:
    """Return how a container last ended, if that was a failure."""
    for state in ("state", "lastState"):
        ended = part(status, state, "terminated")
        if ended and ended.get("exitCode") != 0:
            return ended
    return None


def _image_field(container: str, spec: HiveAgentSpec) -> str:
    if container == "workspace" and spec.execution.image is not None:
        return "spec.execution.image"
    image = {"hypercore": "sidecar"}.get(container, container)
    return f"images.{image} in the chart's values"


def _statuses(pod: Mapping[str, Any], field: str) -> dict[str, Json]:
    return {str(status["name"]): status for status in items(pod, "status", field)}
