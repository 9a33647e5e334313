"""How many pods there shall be, and what those are told that leave. Pure, by a table of pods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bzzz_operator.scale import plan_scale

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PATIENCE = timedelta(minutes=30)


def pod(
    ordinal: int,
    *,
    draining_s: float | None = None,
    ready: bool = True,
    started: bool = True,
    running: bool = True,
    ending: bool = False,
) -> dict[str, Any]:
    """Return a pod of the HiveAgent `bzzz`."""
    annotations: dict[str, str] = {}
    if draining_s is not None:
        since = NOW - timedelta(seconds=draining_s)
        annotations = {"bzzz.dev/drain": "true", "bzzz.dev/drain-since": since.isoformat()}
    metadata: dict[str, Any] = {"name": f"bzzz-{ordinal}", "annotations": annotations}
    if ending:
        metadata["deletionTimestamp"] = NOW.isoformat()
    state = {"running": {}} if running else {"waiting": {"reason": "CrashLoopBackOff"}}
    agent = {"name": "agent", "ready": ready, "started": started, "state": state}
    return {"metadata": metadata, "status": {"containerStatuses": [agent]}}


def test_a_new_one_gets_all_its_pods() -> None:
    assert plan_scale(3, None, [], NOW, PATIENCE).replicas == 3


def test_more_pods_come_at_once() -> None:
    assert plan_scale(5, 2, [pod(0), pod(1)], NOW, PATIENCE).replicas == 5


def test_a_busy_pod_is_asked_and_waited_for() -> None:
    plan = plan_scale(1, 2, [pod(0), pod(1)], NOW, PATIENCE)
    assert (plan.replicas, plan.drain, plan.draining) == (2, ("bzzz-1",), ("bzzz-1",))
    assert plan.leaving == {1}
    assert plan.look_again == PATIENCE


def test_a_pod_that_finished_goes() -> None:
    plan = plan_scale(1, 2, [pod(0), pod(1, draining_s=60, ready=False)], NOW, PATIENCE)
    assert (plan.replicas, plan.drain, plan.look_again) == (1, (), None)


def test_a_pod_that_finished_waits_for_the_one_above_it() -> None:
    pods = [pod(0), pod(1, draining_s=60, ready=False), pod(2, draining_s=60)]
    plan = plan_scale(1, 3, pods, NOW, PATIENCE)
    assert (plan.replicas, plan.draining) == (3, ("bzzz-2",))


def test_the_topmost_that_finished_goes_before_those_below() -> None:
    pods = [pod(0), pod(1, draining_s=60), pod(2, draining_s=60, ready=False)]
    assert plan_scale(1, 3, pods, NOW, PATIENCE).replicas == 2


def test_a_pod_out_of_time_goes() -> None:
    plan = plan_scale(1, 2, [pod(0), pod(1, draining_s=1801)], NOW, PATIENCE)
    assert plan.replicas == 1


def test_a_pod_that_does_not_run_is_asked_and_not_waited_for() -> None:
    plan = plan_scale(1, 2, [pod(0), pod(1, running=False)], NOW, PATIENCE)
    assert (plan.replicas, plan.drain) == (1, ("bzzz-1",))


def test_a_pod_that_is_just_starting_is_waited_for() -> None:
    starting = pod(1, draining_s=5, ready=False, started=False)
    assert plan_scale(1, 2, [pod(0), starting], NOW, PATIENCE).replicas == 2


def test_a_pod_that_is_wanted_again_goes_on_or_starts_anew() -> None:
    pods = [pod(0), pod(1, draining_s=60), pod(2, draining_s=60, ready=False)]
    plan = plan_scale(3, 3, pods, NOW, PATIENCE)
    assert (plan.replicas, plan.resume, plan.restart) == (3, ("bzzz-1",), ("bzzz-2",))


def test_a_pod_that_ends_already_is_told_nothing() -> None:
    plan = plan_scale(1, 2, [pod(0), pod(1, ending=True)], NOW, PATIENCE)
    assert (plan.replicas, plan.drain, plan.leaving) == (1, (), frozenset({1}))


def test_all_may_go() -> None:
    plan = plan_scale(0, 1, [pod(0, draining_s=60, ready=False)], NOW, PATIENCE)
    assert plan.replicas == 0
