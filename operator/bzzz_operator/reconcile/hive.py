"""What all HiveAgents share: views of them, the authority's ledger, the archive's list, the hive's problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from bzzz_operator.api import Api
from bzzz_operator.authority import AgentWish, Authority, AuthorityError, Settlement, requests_of
from bzzz_operator.desired.facts import HiveFacts
from bzzz_operator.desired.names import INSTANCE_LABEL, MANAGED_BY
from bzzz_operator.errors import ApiError
from bzzz_operator.kinds import POD, SERVICE, STORAGE_CLASS
from bzzz_operator.network.policies import ServiceFacts, ServicePort
from bzzz_operator.objects import Json, annotations_of, items, labels_of, name_of, part
from bzzz_operator.reconcile.archive import Archive, ArchiveError
from bzzz_operator.reconcile.views import AgentView, disagreements, view_of
from bzzz_operator.runtime.clock import Now, utc_now
from bzzz_operator.runtime.events import Events
from bzzz_operator.runtime.metrics import Metrics
from bzzz_operator.runtime.store import Store
from bzzz_operator.settings import OperatorSettings
from bzzz_operator.status import reasons
from bzzz_operator.status.pods import ordinal_of
from bzzz_operator.status.problems import Problem, check_storage_class

log = structlog.get_logger()

RESYNC_S: Final = 60.0
"""The storage class, and the archive's list at the latest, are looked at so often though nothing tells of a change."""
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


class Hive:
    """The hive's own state, and its reconcile."""

    def __init__(
        self,
        api: Api,
        store: Store,
        settings: OperatorSettings,
        events: Events,
        metrics: Metrics,
        runner_program: str,
        on_shared_change: Callable[[], None],
        ask_for_cards: Callable[[], None],
        now: Now = utc_now,
    ) -> None:
        """`on_shared_change` is called when something changed that every HiveAgent's status tells.

        `ask_for_cards` has `make_cards` called soon.
        """
        self.views: dict[str, AgentView] = {}
        self.settings = settings
        self.authority: Authority | None = None
        self.archive = Archive(settings.archive.url, lambda: self._open_authority().archive_token)
        self._api = api
        self._store = store
        self._events = events
        self._metrics = metrics
        self._runner_program = runner_program
        self._on_shared_change = on_shared_change
        self._ask_for_cards = ask_for_cards
        self._waiting: set[str] = set()
        """HiveAgents, by name, that go on once they have cards."""
        self._no_cards: dict[str, AuthorityError] = {}
        self._now = now
        self._disagreements: dict[str, list[Problem]] | None = None
        self._rules: Counter[tuple[str, frozenset[str]] | None] = Counter()
        self._last_disagreements: dict[str, list[Problem]] = {}
        self._settled: Settlement | None = None
        self._facts: HiveFacts | None = None
        self._pods: dict[str, dict[str, Json]] = {}
        self._class_missing = False
        self._archive_failures = 0
        self._archive_down_since: float | None = None
        self._archive_problem: Problem | None = None

    # -- what others ask ----------------------------------------------------------------------------------------------

    def see(self, name: str, body: Json | None) -> None:
        """Take in a HiveAgent as the watch tells it; None when it is gone."""
        before = self.views.pop(name, None)
        view = view_of(body, before) if body is not None else None
        if view is not None:
            self.views[name] = view
        for each, count in ((before, -1), (view, 1)):
            if each is not None:
                self._rules[each.rules] += count
        self._rules = +self._rules
        self._disagreements = None

    def services_changed(self) -> None:
        """Have the facts about Services collected anew."""
        self._facts = None

    def facts(self) -> HiveFacts:
        """Return what `desired_state` is told; the same object until something of it changes."""
        if self._facts is None:
            authority = self._open_authority()
            self._facts = HiveFacts(
                settings=self.settings,
                hive_key=authority.public_key,
                archive_key=authority.archive_replication_key,
                runner_program=self._runner_program,
                services={
                    name_of(s): _service_facts(s)
                    for s in self._store.all(SERVICE)
                    if "spec" in s and not is_agents_own(s)
                },
            )
        return self._facts

    def problems_of(self, view: AgentView) -> list[Problem]:
        """Return the problems that a HiveAgent shares with the hive."""
        if self._disagreements is None:
            self._disagreements = self._disagree()
        return [
            *self._disagreements.get(view.name, []),
            *check_storage_class(self.settings.storage.storage_class, self._class_missing),
            *([self._archive_problem] if self._archive_problem is not None else []),
        ]

    def disagreeing(self) -> set[str]:
        """Return the HiveAgents whose disagreements with others came or went since this was last asked."""
        now = self._disagree()
        before, self._disagreements = self._last_disagreements, now
        self._last_disagreements = now
        return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}

    def _disagree(self) -> dict[str, list[Problem]]:
        # in a burst of 500 new HiveAgents this is asked a thousand times; mostly all say the same
        return disagreements(self.views.values()) if len(self._rules) > 1 else {}

    def users_of_services(self) -> set[str]:
        """Return the HiveAgents whose URLs may name a Service of this namespace."""
        return {
            view.name for view in self.views.values() if any("." not in h or ".svc" in h for h in view.hosts)
        }

    def logs_changed(self) -> bool:
        """Whether the last settlement has logs that the archive was not told of."""
        return self._settled is not None and not self.archive.is_current(self._settled.logs)

    def wish_of(self, view: AgentView) -> AgentWish:
        """Return what a HiveAgent asks of the authority."""
        there = frozenset(map(ordinal_of, self.pods_of(view.name)))
        if (
            view.spec is None
        ):  # it cannot be read, so nothing may be taken from it: it keeps the nodes that have pods
            return AgentWish(view.name, view.uid, 0, there)
        revoke, rotate = requests_of(view.annotations)
        replicas, retain = view.spec.replicas, view.spec.storage.retain
        leaving = frozenset(ordinal for ordinal in there if ordinal >= replicas)
        return AgentWish(view.name, view.uid, replicas, leaving, retain, revoke, rotate)

    def wishes(self) -> Iterable[AgentWish]:
        """Return every HiveAgent's wish, and those of pods whose HiveAgent is gone but which still end."""
        found = [self.wish_of(view) for view in self.views.values()]
        for name in self._pods.keys() - self.views.keys():
            found.append(AgentWish(name, "", 0, frozenset(map(ordinal_of, self.pods_of(name)))))
        return found

    def see_pod(self, old: Json | None, new: Json | None) -> None:
        """Keep the pods by HiveAgent."""
        for pod, is_there in ((old, False), (new, True)):
            agent = labels_of(pod).get(INSTANCE_LABEL) if pod is not None else None
            if pod is None or not agent or ordinal_of(pod) < 0:
                continue
            if is_there:
                self._pods.setdefault(agent, {})[name_of(pod)] = pod
            elif self._pods.get(agent, {}).pop(name_of(pod), None) is not None and not self._pods[agent]:
                del self._pods[agent]

    def pods_of(self, agent: str) -> list[Json]:
        """Return a HiveAgent's pods as they are known now, by ordinal."""
        there = self._pods.get(agent, {})
        return sorted((self._store.get(POD, name) or pod for name, pod in there.items()), key=ordinal_of)

    def _open_authority(self) -> Authority:
        assert self.authority is not None, "the authority is opened before anything is reconciled"
        return self.authority

    # -- the hive's reconcile -----------------------------------------------------------------------------------------

    async def settle(self, *, reread: bool = False) -> Settlement:
        """Bring the ledger up to date and tell of what changed. Raises AuthorityError, ApiError."""
        settlement = self._settled = await self._open_authority().settle(reread=reread)
        for change in settlement.changes:
            view = self.views.get(change.agent)
            if view is not None and change.kind in {"Revoked", "Rotated"}:
                await self._events.record(view.name, view.uid, "Normal", f"Card{change.kind}", change.text)
        return settlement

    def cards_of(self, wish: AgentWish, *, wait: bool) -> Settlement | None:
        """Return the settlement that has a HiveAgent's cards; None while they are being made.

        With `wait` it is due again once they are. Raises AuthorityError when they cannot be made.
        """
        if (settlement := self._open_authority().settled(wish)) is not None:
            return settlement
        if (failure := self._no_cards.pop(wish.name, None)) is not None:
            raise failure
        if wait:
            self._waiting.add(wish.name)
        self._ask_for_cards()
        return None

    async def make_cards(self) -> set[str]:
        """Settle for all who wait; return who they were. Raises ApiError: then they still wait."""
        failure = None
        try:
            await self.settle()
        except AuthorityError as error:
            failure = error
        waiting, self._waiting = self._waiting, set()
        self._no_cards = dict.fromkeys(waiting, failure) if failure is not None else {}
        return waiting

    async def reconcile(self, *, reread: bool = False) -> float:
        """Settle the ledger, tell the archive its list, look at the storage class; return when to look again."""
        await self._look_at_storage_class()
        try:
            settlement = await self.settle(reread=reread)
        except AuthorityError as error:
            log.error("the ledger cannot be settled", error=str(error), reason=error.reason)
            return RESYNC_S
        delay_s = await self._tell_archive(settlement)
        until_due = (settlement.due - self._now()).total_seconds()
        return max(min(delay_s, until_due), 0.1)

    async def _tell_archive(self, settlement: Settlement) -> float:
        retry_s = self.settings.archive.retry_s
        before = self._archive_problem
        try:
            if await self.archive.tell(settlement.logs):
                log.info("the archive was told its logs", count=len(settlement.logs))
        except ArchiveError as error:
            moment = self._now().timestamp()
            self._archive_failures += 1
            self._archive_down_since = self._archive_down_since or moment
            self._metrics.archive_up.set(0)
            log.warning("the archive was not told its logs", error=str(error), count=self._archive_failures)
            # an archive that is just starting is no news
            if moment - self._archive_down_since >= retry_s:
                self._archive_problem = Problem(
                    reasons.ARCHIVE_UNAVAILABLE,
                    f"archive: it does not take its list of logs, so pull requests wait; see StatefulSet "
                    f"{self.settings.hive}-archive: {error}",
                )
            delay_s = min(0.5 * 2 ** min(self._archive_failures, 20), retry_s)
        else:
            self._archive_failures, self._archive_down_since, self._archive_problem = 0, None, None
            self._metrics.archive_up.set(1)
            delay_s = min(RESYNC_S, retry_s)
        if (before is None) != (self._archive_problem is None):
            self._on_shared_change()
        return delay_s

    async def _look_at_storage_class(self) -> None:
        before, wanted = self._class_missing, self.settings.storage.storage_class
        try:
            if wanted is not None:
                self._class_missing = await self._api.find(STORAGE_CLASS, wanted) is None
            else:
                classes = items(await self._api.list(STORAGE_CLASS), "items")
                self._class_missing = not any(annotations_of(c).get(DEFAULT_CLASS) == "true" for c in classes)
        except ApiError as error:
            if error.status != 403:  # without the right to look, pods that stay pending tell it
                raise
            self._class_missing = False
        if before != self._class_missing:
            self._on_shared_change()


def is_agents_own(service: Json | None) -> bool:
    """Whether a Service is one that this operator makes for a HiveAgent."""
    labels = labels_of(service) if service is not None else {}
    return labels.get("app.kubernetes.io/managed-by") == MANAGED_BY and INSTANCE_LABEL in labels


def _service_facts(service: Json) -> ServiceFacts:
    spec = part(service, "spec")
    ports = tuple(
        ServicePort(int(p["port"]), p.get("targetPort") if isinstance(p.get("targetPort"), int) else None)
        for p in items(spec, "ports")
    )
    return ServiceFacts(dict(part(spec, "selector")), ports)
