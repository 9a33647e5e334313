"""The authority as the reconciler sees it: Secrets, ledger and verdicts behind one object."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from bzzz_operator.api import Api
from bzzz_operator.authority.book import Ledger, host_of, parse, render
from bzzz_operator.authority.errors import AuthorityError
from bzzz_operator.authority.keys import AgentSecrets, HiveSecrets, agent_secrets, hive_secrets
from bzzz_operator.authority.ledger import NodeKeys, NodeWish, renewal_due, settle
from bzzz_operator.authority.store import LedgerStore, Page
from bzzz_operator.authority.types import (
    REPLICATION_PORT,
    AgentWish,
    AuthoritySettings,
    Change,
    LogAddress,
    NodeState,
    Settlement,
)
from bzzz_operator.authority.verdicts import answer
from bzzz_operator.errors import ApiError, TryAgainError
from bzzz_operator.kinds import META_DISCUSSION

TRIES: Final = 6
REST_SHARE: Final = 3.0
"""After a look at the whole ledger the next one waits so many times as long as that one took: those who come meanwhile
share it. A small hive does not notice, and in one of hundreds of agents the ledger does not take all there is."""
LONGEST_REST_S: Final = 1.0
SOONEST: Final = timedelta(minutes=1)
"""Before the next settlement for time alone."""

log = structlog.get_logger("bzzz.operator.authority")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Authority:
    """Holds the hive key. One acts at a time: the operator's Lease sees to it, compare-and-set makes sure."""

    def __init__(
        self,
        api: Api,
        settings: AuthoritySettings,
        wishes: Callable[[], Iterable[AgentWish]],
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Make it; `open` must come before anything else."""
        self._api = api
        self._settings = settings
        self._wishes = wishes
        self._now = now
        self._secrets: HiveSecrets | None = None
        self._agents: dict[str, tuple[AgentWish, AgentSecrets]] = {}
        self._store = LedgerStore(api, settings)
        self._lock = asyncio.Lock()
        self._asked = 0
        self._answered = 0
        self._last: Settlement | None = None
        self._last_wanted: Mapping[str, NodeWish] = {}
        self._last_page: Page | None = None
        self._settled: Mapping[str, tuple[AgentWish, AgentSecrets]] = {}
        """HiveAgents whose keys were up to date in the last settlement."""
        self._rests_until = 0.0  # on the event loop's clock

    async def open(self) -> None:
        """Read the hive-level Secrets, or make those that are missing, and see to it that the ledger has the scribe.

        Raises AuthorityError, ApiError.
        """
        self._secrets = await hive_secrets(self._api, self._settings)
        async with self._lock:
            await self._settle({self._scribe: self._scribe_wish()}, complete=False)

    @property
    def public_key(self) -> str:
        """The hive's public key, 64 hex digits."""
        return self._opened.hive_key.public.hex()

    @property
    def archive_token(self) -> str:
        """The bearer token for the archive."""
        return self._opened.archive_token

    @property
    def archive_replication_key(self) -> str:
        """The archive's Noise key, 64 hex digits: the only one that agents' logs answer."""
        return self._opened.archive_replication_key

    async def ensure_keys(self, wish: AgentWish, versions: Mapping[str, str] | None = None) -> None:
        """Make a HiveAgent's Secrets and the entries of its ordinals that are missing; carry out pending rotations.

        `versions` are the resourceVersions, by name, that a synced cache has of the Secrets: nothing is read when
        those are what this process last saw for the same wish. Without it the Secrets are read each time.
        Raises AuthorityError, TryAgainError, ApiError.
        """
        known = self._agents.get(wish.name)
        if known is not None and versions is not None and known[0] == wish:
            last = known[1].versions
            if all(int(versions.get(name, "0")) in range(1, int(v) + 1) for name, v in last.items()):
                return
        self._agents[wish.name] = (wish, await agent_secrets(self._api, self._settings, wish, versions))

    async def settle(self, *, reread: bool = False) -> Settlement:
        """Bring the ledger to what all wishes ask for, by compare-and-set. Callers at the same time share one write.

        Nodes whose keys `ensure_keys` has not seen in this process get no card yet; none is taken from them either.
        `reread` reads the ConfigMap first: for when a watch tells that somebody changed it.
        Raises AuthorityError, TryAgainError, ApiError.
        """
        self._asked += 1
        ticket = self._asked
        if reread:
            self._store.forget()
        async with self._lock:
            if self._answered >= ticket and self._last is not None:
                return replace(self._last, changes=(), written=False)
            began = await self._rested()
            upto, (wanted, settled) = self._asked, self._wanted()
            if not await self._is_settled(wanted):
                self._last = None
                self._last = await self._settle(wanted, complete=True)
                self._settled = settled
                self._last_wanted, self._last_page = wanted, self._store.page
                self._rest(began)
                self._answered = upto
                return self._last
            self._answered = upto
            assert self._last is not None
            return replace(self._last, changes=(), written=False)

    def settled(self, wish: AgentWish) -> Settlement | None:
        """Return the last settlement if this wish is settled in it; None if `settle` is to be called.

        Nobody else's wish is looked at: that is for them to ask.
        """
        known, last = self._agents.get(wish.name), self._last
        if known is None or last is None or known is not self._settled.get(wish.name) or known[0] != wish:
            return None
        if not self._store.is_fresh or self._store.page is not self._last_page or self._now() >= last.due:
            return None
        return replace(last, changes=(), written=False)

    async def _rested(self) -> float:
        """Wait until the ledger may be looked at again; return the time then."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._rests_until - loop.time(), 0.0))
        return loop.time()

    def _rest(self, began: float) -> None:
        now = asyncio.get_running_loop().time()
        self._rests_until = now + min(REST_SHARE * (now - began), LONGEST_REST_S)

    async def answer(self, discussion: Mapping[str, Any]) -> bool:
        """Take in a MetaDiscussion's `spec.resolution`: sign it once, write `status.verdict` and the conditions.

        Takes the object as the API server gives it; returns whether its status was written. One that has changed since
        is read and looked at again. Raises TryAgainError, ApiError.
        """
        metadata = discussion["metadata"]
        found: Mapping[str, Any] | None = discussion
        for _ in range(TRIES):
            if found is None or found["metadata"]["uid"] != metadata["uid"]:
                return False
            body = answer(found, self._opened.hive_key, self._now())
            if body is None:
                return False
            try:
                await self._api.apply(META_DISCUSSION, body, subresource="status")
            except ApiError as error:
                if not (error.conflict or error.not_found) or error.conflicts:
                    raise
                found = await self._api.find(META_DISCUSSION, metadata["name"])
            else:
                return True
        raise TryAgainError(f"MetaDiscussion {metadata['name']}: keeps changing; tried again later", 1.0)

    @property
    def _opened(self) -> HiveSecrets:
        if self._secrets is None:
            raise AuthorityError("authority: expected open() to come first; the hive's keys are not read yet")
        return self._secrets

    @property
    def _scribe(self) -> str:
        return f"{self._settings.hive}-scribe"

    def _scribe_wish(self) -> NodeWish:
        return NodeWish("", "scribe", keys=NodeKeys(self._opened.scribe_peer_id, None, None))

    def _wanted(self) -> tuple[dict[str, NodeWish], dict[str, tuple[AgentWish, AgentSecrets]]]:
        """Return what is wanted of every node, and the HiveAgents whose keys were made for just what they wish now."""
        wanted = {self._scribe: self._scribe_wish()}
        settled: dict[str, tuple[AgentWish, AgentSecrets]] = {}
        present: set[str] = set()
        for wish in self._wishes():
            present.add(wish.name)
            known = self._agents.get(wish.name)
            if known is not None and known[0] == wish:
                settled[wish.name] = known
            keys: Mapping[int, NodeKeys] = {}
            if known is not None and known[0].uid == wish.uid:
                keys = known[1].nodes
            for ordinal in sorted({*range(wish.replicas), *wish.leaving}):
                wanted[f"{wish.name}-{ordinal}"] = NodeWish(
                    agent=wish.name,
                    leaving=ordinal >= wish.replicas,
                    keys=keys.get(ordinal),
                    revoke=wish.revoke.get(ordinal),
                    rotate=wish.rotate.get(ordinal),
                )
        for name in self._agents.keys() - present:
            del self._agents[name]
        return wanted, settled

    async def _is_settled(self, wanted: Mapping[str, NodeWish]) -> bool:
        """Whether the same was settled before, in the very ledger that there is: then 500 nodes cost no look each."""
        page = await self._store.read()
        return (
            self._last is not None
            and page is not None
            and page is self._last_page
            and self._now() < self._last.due
            and wanted == self._last_wanted
        )

    async def _settle(self, wanted: Mapping[str, NodeWish], *, complete: bool) -> Settlement:
        key, life = self._opened.hive_key, self._settings.card_life
        for _ in range(TRIES):
            page = await self._store.read()
            now = self._now()
            data = {} if page is None else page.data
            known = page.ledger if page is not None else None
            before = known or parse(data, key, self._settings, now)
            ledger, changes = settle(before, wanted, now, life, complete=complete)
            text = render(ledger, key, self._settings)
            if page is not None and text == data:
                self._store.understood(ledger)
                return self._settlement(ledger, wanted, (), now, written=False)
            if await self._store.write(page, text, ledger):
                for change in changes:
                    log.info("ledger", change=change.kind, node=change.node_id, serial=change.serial)
                return self._settlement(ledger, wanted, changes, now, written=True)
        raise TryAgainError(
            f"ConfigMap {self._api.namespace}/{self._store.name}: others keep changing it; is there another operator "
            f"of hive {self._settings.hive}?",
            1.0,
        )

    def _settlement(
        self,
        ledger: Ledger,
        wanted: Mapping[str, NodeWish],
        changes: tuple[Change, ...],
        now: datetime,
        *,
        written: bool,
    ) -> Settlement:
        entries = {n: e for n, e in sorted(ledger.nodes.items()) if e.hive_agent and n in wanted}
        logs = tuple(
            LogAddress(
                node_id,
                e.log_key,
                host_of(node_id, e.hive_agent, self._settings),
                REPLICATION_PORT,
                e.replication_key,
            )
            for node_id, e in entries.items()
            if e.log_key is not None and e.replication_key is not None and not e.revoked
        )
        due = renewal_due(ledger, self._settings.card_life)
        return Settlement(
            public_key=self.public_key,
            nodes={
                n: NodeState(
                    n, e.hive_agent, e.peer_id, e.log_key or "", e.last_serial, e.not_after, e.revoked
                )
                for n, e in entries.items()
            },
            logs=logs,
            restarts={n: e.keys_since for n, e in entries.items() if e.keys_since is not None},
            changes=changes,
            due=now + SOONEST if due is None else max(due, now + SOONEST),
            written=written,
        )
