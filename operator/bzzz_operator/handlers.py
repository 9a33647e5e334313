"""kopf's part: it logs in, watches HiveAgents and MetaDiscussions, serves the liveness endpoint and ends on SIGTERM.

It writes nothing, ever: handlers are `on.event` ones that return None and only hand the object on, so there are no
finalizers and no annotations; the storages below store nothing. Should a later handler store its progress, it would
go under `status.kopf`, which the schema preserves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from bzzz_operator.api import Api
from bzzz_operator.kinds import HIVE_AGENT, META_DISCUSSION, Kind
from bzzz_operator.reconcile.operator import Operator

WATCH_SILENCE_S = 70.0


class NoDiffBase(kopf.DiffBaseStorage):
    """kopf works out the difference to the last handled state on every event, wanted or not: costly deep copies."""

    def build(self, **_: Any) -> Any:
        """Nothing is the essence of anything."""
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        """Nothing was stored."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: object) -> None:
        """Store nothing."""


class NoProgress(kopf.StatusProgressStorage):
    """`on.event` handlers have no progress. The field is where one would go."""

    def __init__(self) -> None:
        super().__init__(field="status.kopf.progress")

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Store nothing."""

    def purge(self, **_: Any) -> None:
        """Nothing is there to be purged."""

    def touch(self, **_: Any) -> None:
        """Touch nothing."""

    def clear(self, *, essence: Any) -> Any:
        """Return the essence as it is."""
        return essence


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: bounded in time, quiet, storing nothing."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.networking.request_timeout = 15.0
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = (0.1, 0.5, 1, 2, 5)
    settings.watching.server_timeout = 600  # whole seconds: the API server refuses a fraction
    settings.watching.client_timeout = 630
    settings.watching.connect_timeout = 5.0
    settings.watching.inactivity_timeout = WATCH_SILENCE_S
    settings.watching.reconnect_backoff = 0.5
    settings.queueing.exit_timeout = 1.0
    settings.queueing.error_delays = (0.5, 1, 2, 5, 10)
    return settings


def registry_for(api: Api, operator: Operator, check_alive: Callable[[], None]) -> kopf.OperatorRegistry:
    """Return the handlers. `check_alive` raises what keeps the operator from being alive."""
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(
            server=api.server, aiohttp_session=api.new_session(), default_namespace=api.namespace
        )

    def watch(kind: Kind) -> None:
        async def seen(event: Any, **_: Any) -> None:
            operator.see(kind, event["object"], deleted=event["type"] == "DELETED")

        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"see-{kind.plural}")(seen)

    async def alive(**_: Any) -> str:
        try:
            check_alive()
        except Exception as error:
            raise kopf.PermanentError(str(error)) from error
        return "ok"

    kopf.on.login(registry=registry)(login)
    kopf.on.probe(registry=registry, id="alive")(alive)
    watch(HIVE_AGENT)
    watch(META_DISCUSSION)
    return registry
