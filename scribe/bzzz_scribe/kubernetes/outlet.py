"""Carries what the keeper shows to custom resources: the latest state of each, at most once a second, nothing twice.

Level-triggered: a change only marks what is to be looked at. What is then written follows from the views and from the
objects as they are, so that it does not matter what was missed, by whom an object was deleted, or which process ran
before this one. While the API server is away, marks and views wait; both are bounded by what there is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, cast

import structlog
import trio

from bzzz_scribe.kubernetes.client import ApiClient
from bzzz_scribe.kubernetes.discussions import Discussions, issue_named
from bzzz_scribe.kubernetes.errors import ApiAwayError, ApiRefusedError
from bzzz_scribe.kubernetes.hive_agents import HiveAgents
from bzzz_scribe.kubernetes.names import Issue
from bzzz_scribe.kubernetes.schedule import Schedule, Target
from bzzz_scribe.kubernetes.watched import Watched, pause
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.store import DiscussionKey, Document
from hmmm.errors import excerpt

WRITE_INTERVAL_S: Final = 1.0
"""Architecture §10: status writes are coalesced to one a second and object."""
REFUSED_S: Final = 30.0
"""A write that the server refuses is tried again this seldom; a change elsewhere may have made it possible."""
SETTLE_S: Final = 90.0
"""Agents speak every 30 s; after twice that and a half, silence means that an agent is away."""
AT_ONCE: Final = 4
MAX_COMPLAINTS: Final = 256

log = structlog.get_logger("bzzz.scribe.kubernetes.outlet")


class KubernetesOutlet:
    """The keeper's outlet to custom resources; `run` does the writing."""

    def __init__(
        self,
        api: ApiClient,
        hive: str,
        ttl_after_closed: timedelta,
        metrics: ScribeMetrics,
        now: Callable[[], datetime],
    ) -> None:
        base = f"/apis/bzzz.dev/v1alpha1/namespaces/{api.cluster.namespace}"
        self.hive_agents = Watched(api, f"{base}/hiveagents", self._hive_agent_changed)
        self.resources = Watched(api, f"{base}/metadiscussions", self._resource_changed)
        self.discussions = Discussions(api, self.resources, hive, ttl_after_closed, metrics, now)
        self._agents = HiveAgents(api, self.hive_agents, metrics)
        self._metrics = metrics
        self._schedule = Schedule()
        self._complained: set[str] = set()
        self._issues: dict[str, Issue] = {}
        self._failures = 0

    @property
    def reached(self) -> bool:
        """Whether the API server has ever said what there is."""
        return self.hive_agents.synced.is_set() and self.resources.synced.is_set()

    # What the keeper tells

    def put_agent(self, node_id: str, document: Document) -> None:
        """Take in what is shown of an agent."""
        owner = self._agents.put(node_id, document)
        if owner is not None:
            self._schedule.mark(("hiveagents", owner))

    def put_discussion(self, key: DiscussionKey, document: Document) -> None:
        """Take in what is shown of a discussion."""
        self._schedule.mark(("metadiscussions", self.discussions.put(key, document)))

    # What the cluster tells

    def _hive_agent_changed(self, name: str) -> None:
        self._schedule.mark(("hiveagents", name))

    def _resource_changed(self, name: str) -> None:
        """Have an issue looked at whose resource changed, or is gone: then only its name tells whose it was."""
        found = self.resources.objects.get(name)
        issue = self._issues.pop(name, None) if found is None else issue_named(found)
        if found is not None and issue is not None:
            self._issues[name] = issue
        if issue is not None:
            self._schedule.mark(("metadiscussions", issue))

    # Writing

    async def run(self, caught_up: trio.Event) -> None:
        """Watch and write, for ever; nothing is written before `caught_up`: half a log shows a state of long ago."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hive_agents.run)
            nursery.start_soon(self.resources.run)
            await self.hive_agents.synced.wait()
            await self.resources.synced.wait()
            self._metrics.api_up.set(1)
            log.info("API server reached")
            await caught_up.wait()
            nursery.start_soon(self._settle)
            self._mark_all()
            while True:
                await self._write(await self._schedule.due())

    def _mark_all(self) -> None:
        for name in self.hive_agents.objects:
            self._schedule.mark(("hiveagents", name))
        for issue in self.discussions.issues():
            self._schedule.mark(("metadiscussions", issue))

    async def _settle(self) -> None:
        await trio.sleep(SETTLE_S)
        self._agents.settled = True
        self._mark_all()

    async def _write(self, targets: list[Target]) -> None:
        """Write what is due, some at a time; when the server is away, leave the rest and wait."""
        failures = self._failures
        limit = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            for target in targets:
                await trio.lowlevel.checkpoint()
                nursery.start_soon(self._one, target, limit, failures)
        self._metrics.api_pending.set(len(self._schedule))
        if self._failures > failures:
            self._failures = failures + 1
            await trio.sleep(pause(self._failures))
        else:
            self._failures = 0

    async def _one(self, target: Target, limit: trio.CapacityLimiter, failures: int) -> None:
        async with limit:
            if self._failures > failures:
                self._schedule.mark(target)
                return
            try:
                if await self._reconcile(target):
                    self._schedule.hold(target, WRITE_INTERVAL_S)
            except ApiAwayError as error:
                self._schedule.mark(target)
                self._failures = failures + 1
                self._metrics.api_up.set(0)
                if failures == 0:
                    log.warning("API server is away; the latest state is written later", error=str(error))
            except ApiRefusedError as error:
                self._refused(target, error)
            except ValueError as error:  # a document that no schema takes; one object must not end the scribe
                self._refused(target, ApiRefusedError(422, "Unfit", f"{target}: {excerpt(str(error))}"))
            else:
                self._metrics.api_up.set(1)

    async def _reconcile(self, target: Target) -> bool:
        kind, which = target
        if kind == "hiveagents":
            return await self._agents.reconcile(cast("str", which))
        written, again = await self.discussions.reconcile(cast("Issue", which))
        if again is not None:
            self._schedule.mark_in(target, again)
        return written

    def _refused(self, target: Target, error: ApiRefusedError) -> None:
        """Try again later: soon where the object has changed under our hands, seldom where the answer was no."""
        changed = error.status in {404, 409}
        self._schedule.hold(target, WRITE_INTERVAL_S if changed else REFUSED_S)
        self._schedule.mark(target)
        said = f"{target} {error.status} {error.reason}"
        if not changed and said not in self._complained and len(self._complained) < MAX_COMPLAINTS:
            self._complained.add(said)
            log.warning("write refused; tried again seldom", target=str(target), error=str(error))
