"""One HiveAgent's reconcile: keys, cards, objects, pods that leave, status. Level-triggered, from caches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from bzzz_operator.api import Api
from bzzz_operator.authority import AgentWish, AuthorityError, Settlement, must_restart
from bzzz_operator.desired import HiveFacts, VolumeFacts, WantedAgent, desired_state, names
from bzzz_operator.desired.manifests import Manifest
from bzzz_operator.errors import ApiError
from bzzz_operator.kinds import NETWORK_POLICY, POD, SECRET, STATEFUL_SET
from bzzz_operator.objects import items, name_of, part, uid_of
from bzzz_operator.reconcile.children import Children, Outcome
from bzzz_operator.reconcile.credentials import Credentials
from bzzz_operator.reconcile.hive import Hive
from bzzz_operator.reconcile.status import StatusWriter
from bzzz_operator.reconcile.views import AgentView
from bzzz_operator.runtime.clock import Now, rfc3339, utc_now
from bzzz_operator.runtime.events import Events
from bzzz_operator.runtime.store import Store
from bzzz_operator.scale import ScalePlan, plan_scale
from bzzz_operator.status import reasons
from bzzz_operator.status.conditions import AgentFacts, stateful_set_facts
from bzzz_operator.status.pods import pod_problems
from bzzz_operator.status.problems import (
    Problem,
    check_github,
    check_model_secret,
    check_spec,
    check_storage,
    is_blocked,
)
from bzzz_operator.together import all_of

log = structlog.get_logger()

REFUSED_S: Final = 30.0
"""An object that the API server refused, or that is somebody else's, is tried again after this time."""


@dataclass
class Round:
    """One pass over one HiveAgent: what it found and what is due later."""

    problems: list[Problem] = field(default_factory=list[Problem])
    waiting_for: list[str] = field(default_factory=list[str])
    plan: ScalePlan | None = None
    delays: list[float] = field(default_factory=list[float])
    waits_for_cards: bool = False


class AgentReconciler:
    """Reconciles HiveAgents by name."""

    def __init__(
        self, api: Api, store: Store, hive: Hive, events: Events, status: StatusWriter, now: Now = utc_now
    ) -> None:
        self._api = api
        self._store = store
        self._hive = hive
        self._events = events
        self._status = status
        self._now = now
        self._children = Children(api, store)
        self._credentials = Credentials(api, store)
        self._wanted: dict[str, tuple[WantedAgent, HiveFacts, tuple[Manifest, ...]]] = {}

    async def reconcile(self, name: str) -> float | None:
        """Bring one HiveAgent to what its spec asks for; return the seconds until it is due again.

        Raises ApiError for what another try may mend.
        """
        view = self._hive.views.get(name)
        if view is None:
            self._wanted.pop(name, None)
            self._status.forget(name)
            return None  # the garbage collector takes what it had
        this = Round(problems=self._hive.problems_of(view))
        await self._carry_out(view, this)
        if this.waits_for_cards:
            return min(
                this.delays, default=None
            )  # it is due again with them; a status now would be a second one
        pods = self._hive.pods_of(name)
        if view.spec is not None:
            this.problems += pod_problems(pods, view.spec)
        delay_s = await self._status.write(view, self._facts(view, this))
        delays = [*this.delays, *([delay_s] if delay_s is not None else [])]
        return min(delays, default=None)

    async def _carry_out(self, view: AgentView, this: Round) -> None:
        """Do what the spec asks for, as far as problems let it."""
        if view.spec is None:
            this.problems.append(Problem(reasons.SPEC_INVALID, view.invalid, blocking=True))
            return
        spec = view.spec
        secrets = await self._credentials.facts(sorted(view.secrets))
        credential, found = check_github(spec, secrets)
        this.problems += [
            *found,
            *check_model_secret(spec, secrets),
            *check_spec(spec, self._hive.settings),
        ]
        volume = self._volume(view.name)
        this.problems += check_storage(spec, volume)
        if credential is None or is_blocked(this.problems):
            return
        wish = self._hive.wish_of(view)
        if not await self._keys(wish, this) or not self._asked_for_cards(wish, this):
            return
        this.plan = self._plan(view, spec.replicas)
        wanted = WantedAgent(view.name, view.uid, spec, credential, this.plan.replicas, volume)
        manifests = self._manifests(wanted)
        # cards are signed for many HiveAgents at once: meanwhile everything is made but what starts pods
        is_complete = await self._apply(view, [m for m in manifests if m.kind != STATEFUL_SET], this)
        settlement = self._cards(wish, this)
        if settlement is None:
            return
        this.problems += _revoked(view.name, spec.replicas, settlement)
        await self._move_pods(this.plan, settlement, view)
        if is_complete:
            await self._apply(view, [m for m in manifests if m.kind == STATEFUL_SET], this)
        if this.plan.look_again is not None:
            this.delays.append(max(this.plan.look_again.total_seconds(), 0.1))

    async def _keys(self, wish: AgentWish, this: Round) -> bool:
        """Make keys; return whether they are there. Then come cards: a pod must find both when it starts."""
        assert self._hive.authority is not None
        known = {
            name: str(head["metadata"].get("resourceVersion"))
            for name in (
                names.mesh_keys(wish.name),
                names.log_seeds(wish.name),
                names.runner_token(wish.name),
            )
            if (head := self._store.get(SECRET, name)) is not None
        }
        try:
            await self._hive.authority.ensure_keys(wish, known)
        except AuthorityError as error:
            self._blocked(error, this)
            return False
        return True

    def _cards(self, wish: AgentWish, this: Round, *, wait: bool = True) -> Settlement | None:
        try:
            settlement = self._hive.cards_of(wish, wait=wait)
        except AuthorityError as error:
            self._blocked(error, this)
            return None
        this.waits_for_cards = wait and settlement is None
        return settlement

    def _asked_for_cards(self, wish: AgentWish, this: Round) -> bool:
        """Have cards made while other things are; return whether nothing speaks against it."""
        known = len(this.problems)
        self._cards(wish, this, wait=False)
        return len(this.problems) == known

    @staticmethod
    def _blocked(error: AuthorityError, this: Round) -> None:
        this.problems.append(Problem(error.reason, str(error), blocking=True))
        this.delays.append(REFUSED_S)

    def _manifests(self, wanted: WantedAgent) -> tuple[Manifest, ...]:
        facts = self._hive.facts()
        known = self._wanted.get(wanted.name)
        if known is None or known[1] is not facts or known[0] != wanted:
            known = self._wanted[wanted.name] = (wanted, facts, desired_state(wanted, facts))
        return known[2]

    async def _apply(self, view: AgentView, manifests: Sequence[Manifest], this: Round) -> bool:
        """Apply some objects at once; return whether all are there, and so a pod finds what it mounts."""
        now = asyncio.get_running_loop().time()

        async def ensure(manifest: Manifest) -> Outcome:
            return await self._children.ensure(manifest, view.name, view.uid, now)

        outcomes = await all_of(*map(ensure, manifests))
        if not self._hive.settings.network_policies.enabled:
            await self._remove_policy(view)
        for outcome in outcomes:
            if outcome.problem is not None:
                this.problems.append(outcome.problem)
                this.delays.append(REFUSED_S)
            if outcome.waiting_for:
                this.waiting_for.append(outcome.waiting_for)
                this.delays.append(REFUSED_S)
            if outcome.taken_back:
                await self._events.record(
                    view.name, view.uid, "Warning", "DriftTakenBack", outcome.taken_back
                )
        return all(outcome.problem is None and not outcome.waiting_for for outcome in outcomes)

    async def _remove_policy(self, view: AgentView) -> None:
        """Take away a policy that an earlier configuration asked for."""
        have = self._store.get(NETWORK_POLICY, view.name)
        refs = items(have, "metadata", "ownerReferences")
        if have is not None and any(ref.get("uid") == view.uid for ref in refs):
            await self._api.delete(NETWORK_POLICY, view.name, uid=uid_of(have))

    def _plan(self, view: AgentView, replicas: int) -> ScalePlan:
        have = self._store.get(STATEFUL_SET, view.name)
        current = part(have, "spec").get("replicas") if have is not None else None
        timeout = self._hive.settings.drain_timeout
        return plan_scale(replicas, current, self._hive.pods_of(view.name), self._now(), timeout)

    async def _move_pods(self, plan: ScalePlan, settlement: Settlement, view: AgentView) -> None:
        """Ask pods to finish or to go on, and restart those whose keys were replaced."""
        since = rfc3339(self._now())
        for name in plan.drain:
            await self._annotate(name, {names.DRAIN: "true", names.DRAIN_SINCE: since})
            note = f"pod {name} is scaled away: it finishes what is on its desk and takes nothing new"
            await self._events.record(view.name, view.uid, "Normal", "Draining", note)
        for name in plan.resume:
            await self._annotate(name, {names.DRAIN: None, names.DRAIN_SINCE: None})
        rotated = [
            name_of(pod)
            for pod in self._hive.pods_of(view.name)
            if must_restart(name_of(pod), str(pod["metadata"]["creationTimestamp"]), settlement.restarts)
        ]
        for name in sorted({*plan.restart, *rotated}):
            pod = self._store.get(POD, name)
            if pod is not None and pod["metadata"].get("deletionTimestamp") is None:
                await self._api.delete(POD, name, uid=uid_of(pod))

    async def _annotate(self, pod: str, annotations: dict[str, str | None]) -> None:
        try:
            answer = await self._api.patch(POD, pod, {"metadata": {"annotations": annotations}})
        except ApiError as error:
            if not error.not_found:  # it went by itself
                raise
        else:
            self._store.put(POD, answer, quiet=True)

    def _volume(self, agent: str) -> VolumeFacts | None:
        templates = items(self._store.get(STATEFUL_SET, agent), "spec", "volumeClaimTemplates")
        if not templates:
            return None
        spec = part(templates[0], "spec")
        size = part(spec, "resources", "requests").get("storage")
        return VolumeFacts(str(size), spec.get("storageClassName")) if size else None

    def _facts(self, view: AgentView, this: Round) -> AgentFacts:
        return AgentFacts(
            name=view.name,
            generation=view.generation,
            replicas=view.spec.replicas if view.spec is not None else 0,
            suspend=view.spec.suspend if view.spec is not None else False,
            stateful_set=stateful_set_facts(self._store.get(STATEFUL_SET, view.name)),
            problems=tuple(this.problems),
            draining=this.plan.draining if this.plan is not None else (),
            waiting_for=tuple(this.waiting_for),
        )


def _revoked(agent: str, replicas: int, settlement: Settlement) -> list[Problem]:
    """Say which agents were put out of the hive: they are not ready until somebody lets them in again."""
    nodes = [settlement.nodes.get(f"{agent}-{ordinal}") for ordinal in range(replicas)]
    out = [node.node_id for node in nodes if node is not None and node.revoked]
    if not out:
        return []
    text = f"{', '.join(out)}: revoked, so out of the hive; bzzz rotate {out[0]} gives it a new key, log and card"
    return [Problem(reasons.REVOKED, text)]
