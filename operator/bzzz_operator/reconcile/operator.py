"""The operator proper: which event makes which key due, and what is done about a key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import structlog

from bzzz_operator.api import Api
from bzzz_operator.authority import Authority, AuthoritySettings
from bzzz_operator.desired import names
from bzzz_operator.escalation.relay import EscalationRelay
from bzzz_operator.kinds import (
    CONFIG_MAP,
    DISRUPTION_BUDGET,
    HIVE_AGENT,
    META_DISCUSSION,
    NETWORK_POLICY,
    POD,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Kind,
)
from bzzz_operator.objects import Json, controller_of, items, labels_of, name_of, uid_of
from bzzz_operator.reconcile.agent import AgentReconciler
from bzzz_operator.reconcile.hive import Hive, is_agents_own
from bzzz_operator.reconcile.status import StatusWriter
from bzzz_operator.runtime.clock import Now, utc_now
from bzzz_operator.runtime.events import Events
from bzzz_operator.runtime.informer import Informer, Watched
from bzzz_operator.runtime.insist import until_answered
from bzzz_operator.runtime.metrics import Metrics
from bzzz_operator.runtime.queue import WorkQueue
from bzzz_operator.runtime.store import Store
from bzzz_operator.settings import OperatorSettings

log = structlog.get_logger()

RESYNC_S: Final = 300.0
"""HiveAgents and MetaDiscussions are listed anew so often: a watch that broke may have missed a deletion."""
DEAF_AFTER: Final = 3
"""So many of those lists in a row with news that should have come by the watch mean that the watch is dead."""
LEDGER_PAUSE_S: Final = 2.0
"""After a change of the ledger, most of which are our own, before it is looked at."""
LOGS_PAUSE_S: Final = 0.2
"""Before the archive is told of new logs: of a burst of HiveAgents' at once. Their pods take longer to start."""
SUFFIXES: Final = ("-config", "-runner", "-mesh-keys", "-log-seeds", "-runner-token")
"""What is appended to a HiveAgent's name to name one of its objects."""


class Key(NamedTuple):
    """What is reconciled."""

    kind: Literal["agent", "cards", "hive", "ledger", "discussion"]
    name: str = ""


HIVE: Final = Key("hive")
LEDGER: Final = Key("ledger")
CARDS: Final = Key("cards")


class Operator:
    """Caches, queue and reconcilers of one hive. `follow` keeps the caches, `act` does the work."""

    def __init__(
        self,
        api: Api,
        settings: OperatorSettings,
        metrics: Metrics,
        runner_program: str,
        instance: str,
        now: Now = utc_now,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.store = Store({names.HIVE_LABEL: settings.hive})
        self.queue: WorkQueue[Key] = WorkQueue(self._work)
        self.acting = False
        self._api = api
        self._events = Events(api, instance, now)
        self.hive = Hive(
            api,
            self.store,
            settings,
            self._events,
            metrics,
            runner_program,
            self._everybody,
            lambda: self._due(CARDS),
            now,
        )
        status = StatusWriter(api, self.store, self._events, metrics, now)
        self._agents = AgentReconciler(api, self.store, self.hive, self._events, status, now)
        self.escalations = EscalationRelay(api, self.store, settings, metrics, now)
        self._by_secret: dict[str, set[str]] = {}
        self._heard: dict[str, float] = {}
        self._missed = 0
        """Lists in a row that told of a HiveAgent or MetaDiscussion what kopf's watch had not."""
        self._relist = asyncio.Event()
        self._informers: list[Informer] = []
        api.on_write = lambda kind, verb: metrics.writes.labels(kind.kind, verb).inc()
        metrics.watch_depth(lambda: self.queue.depth)
        self.store.listen(self._changed)

    # -- keeping the caches -------------------------------------------------------------------------------------------

    async def follow(self, on_synced: Callable[[], None]) -> None:
        """Watch everything, until cancelled; `on_synced` is called once every cache is complete."""
        pods = ",".join(f"{k}={v}" for k, v in self._our_pods().items())
        watched = (
            Watched(STATEFUL_SET),
            Watched(SERVICE),
            Watched(SERVICE_ACCOUNT),
            Watched(CONFIG_MAP),
            Watched(SECRET, metadata_only=True),
            Watched(NETWORK_POLICY),
            Watched(DISRUPTION_BUDGET),
            Watched(POD, labels=pods),
        )
        self._informers = [self._informer(each) for each in watched]
        async with asyncio.TaskGroup() as tasks:
            for informer, each in zip(self._informers, watched, strict=True):
                tasks.create_task(informer.run(), name=f"watch of {each.kind.plural}")
            tasks.create_task(self._resync_now_and_then(), name="resync")
            for informer in self._informers:
                await informer.synced.wait()
            await until_answered(self._resync)
            on_synced()

    def heard_lately(self, within_s: float) -> list[str]:
        """Return the watches that have shown no life within some seconds."""
        now = asyncio.get_running_loop().time()
        stuck = [kind for kind, at in self._heard.items() if now - at > within_s]
        return [*stuck, "kopf"] if self._missed >= DEAF_AFTER else stuck

    def see(self, kind: Kind, body: Json, *, deleted: bool) -> None:
        """Take in what kopf's watch tells."""
        if deleted:
            self.store.drop(kind, name_of(body), uid_of(body))
        else:
            self.store.put(kind, body)

    def _our_pods(self) -> dict[str, str]:
        return {"app.kubernetes.io/managed-by": names.MANAGED_BY, names.HIVE_LABEL: self.settings.hive}

    def _informer(self, watched: Watched) -> Informer:
        def heard() -> None:
            self._heard[watched.kind.plural] = asyncio.get_running_loop().time()

        return Informer(self._api, self.store, watched, heard, self._relist.set)

    async def _resync(self) -> None:
        news = False
        for kind in (HIVE_AGENT, META_DISCUSSION):
            answer = await self._api.list(kind)
            news = self.store.replace(kind, items(answer, "items")) or news
        self._missed = self._missed + 1 if news else 0

    async def _resync_now_and_then(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_S):
                    await self._relist.wait()
                self._missed = 0  # a watch broke, and kopf's may have as well: no sign that it is deaf
            self._relist.clear()
            await until_answered(self._resync)

    # -- which key is due ---------------------------------------------------------------------------------------------

    def _changed(self, kind: Kind, old: Json | None, new: Json | None) -> None:
        body = new if new is not None else old
        assert body is not None
        name = name_of(body)
        if kind == HIVE_AGENT:
            self._agent_changed(name, new)
        elif kind == META_DISCUSSION:
            if new is not None:
                self._due(Key("discussion", name))
        elif kind == POD:
            self.hive.see_pod(old, new)
            self._due(Key("agent", labels_of(body).get(names.INSTANCE_LABEL, "")))
            if new is None:  # its node may have left for good
                self._due(HIVE)
        elif kind == CONFIG_MAP and name == f"{self.settings.hive}-members":
            if self.acting:
                self.queue.add_later(LEDGER, LEDGER_PAUSE_S)
        else:
            self._child_changed(kind, name, old, new)

    def _agent_changed(self, name: str, new: Json | None) -> None:
        before = self.hive.views.get(name)
        self.hive.see(name, new)
        view = self.hive.views.get(name)
        for secret in before.secrets if before is not None else ():
            self._by_secret.get(secret, set()).discard(name)
        for secret in view.secrets if view is not None else ():
            self._by_secret.setdefault(secret, set()).add(name)
        self._due(Key("agent", name))
        if view is None or (before is not None and before.uid != view.uid):
            self._due(HIVE)  # its nodes lose their cards
        elif before is None or before.spec != view.spec:
            for other in self.hive.disagreeing():
                self._due(Key("agent", other))

    def _child_changed(self, kind: Kind, name: str, old: Json | None, new: Json | None) -> None:
        owners = {
            str(ref["name"])
            for body in (old, new)
            if body is not None
            and (ref := controller_of(body)) is not None
            and ref.get("kind") == HIVE_AGENT.kind
        }
        # also whoever would like to have that name: it may be somebody else's, or free again
        owners.add(name)
        owners.update(name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix))
        if kind == SECRET:
            owners |= self._by_secret.get(name, set())
        # no URL names an agent's own headless Service: hundreds of them must not change what all policies follow from
        if kind == SERVICE and not is_agents_own(new if new is not None else old):
            self.hive.services_changed()
            owners |= self.hive.users_of_services() - owners if not owners & self.hive.views.keys() else set()
        for owner in owners & self.hive.views.keys():
            self._due(Key("agent", owner))

    def _everybody(self) -> None:
        for name in self.hive.views:
            self._due(Key("agent", name))

    def _due(self, key: Key) -> None:
        if self.acting:
            self.queue.add(key)

    # -- doing the work -----------------------------------------------------------------------------------------------

    async def act(self, on_ready: Callable[[], None]) -> None:
        """Do the work, until cancelled. The caches must be complete and the lease ours.

        Raises AuthorityError when the hive's own keys cannot be used.
        """
        settings = self.settings
        # whoever acted before us may have given cards to HiveAgents that kopf has not told us of yet: without this
        # list their nodes would count as gone
        await until_answered(self._resync)
        authority = Authority(
            self._api,
            AuthoritySettings(settings.hive, settings.namespace, settings.cluster_domain, settings.card_life),
            self.hive.wishes,
        )
        await until_answered(authority.open)
        self.hive.authority = authority
        self.acting = True
        self.metrics.leading.set(1)
        try:
            self.queue.add(HIVE)
            self._everybody()
            on_ready()
            for discussion in self.store.all(META_DISCUSSION):
                self._due(Key("discussion", name_of(discussion)))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.escalations.run(), name="escalations")
                await self.queue.run(settings.workers + 1)  # one is mostly at the ledger
        finally:
            self.acting = False
            self.metrics.leading.set(0)
            self.queue.close()
            await self.hive.archive.close()

    async def _work(self, key: Key) -> float | None:
        started = asyncio.get_running_loop().time()
        result = "failed"
        try:
            delay_s = await self._reconcile(key)
            result = "done"
        finally:
            self.metrics.reconciles.labels(key.kind, result).inc()
            self.metrics.seconds.labels(key.kind).observe(asyncio.get_running_loop().time() - started)
        return delay_s

    async def _reconcile(self, key: Key) -> float | None:
        if key.kind == "agent":
            return await self._agents.reconcile(key.name)
        if key == CARDS:
            for name in await self.hive.make_cards():
                self._due(Key("agent", name))
            if self.acting and self.hive.logs_changed():
                self.queue.add_later(HIVE, LOGS_PAUSE_S)
            return None
        if key.kind == "discussion":
            discussion = self.store.get(META_DISCUSSION, key.name)
            if discussion is not None and self.hive.authority is not None:
                await self.hive.authority.answer(discussion)
                self.escalations.due(key.name)
            return None
        delay_s = await self.hive.reconcile(reread=key == LEDGER)
        if key == LEDGER:
            return None
        return delay_s
