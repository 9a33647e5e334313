"""Who acts, of several operators of one hive: the holder of a Lease (coordination.k8s.io).

As client-go does it, clocks are not compared: another's lease has run out when its record has stood still for its
duration on our own clock. Each step is a compare-and-set by resourceVersion. A holder that could not renew for two
thirds of the duration stops acting, a third before another may begin.
"""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

import structlog

from bzzz_operator.api import Api, Json
from bzzz_operator.errors import ApiError, OperatorError
from bzzz_operator.kinds import LEASE
from bzzz_operator.objects import part
from bzzz_operator.runtime.clock import Now, rfc3339_micro, utc_now

log = structlog.get_logger()

RETRY_SHARE: Final = 1 / 7
"""Of the duration: pause between two tries to get it."""


class LeaseLostError(OperatorError):
    """Another operator may act now, so this one must not."""


class Lease:
    """One operator's claim to the hive's lease."""

    def __init__(self, api: Api, name: str, identity: str, duration_s: float, now: Now = utc_now) -> None:
        self.held = False
        self._api = api
        self._name = name
        self._identity = identity
        self._duration_s = duration_s
        self._now = now
        self._seen: tuple[str, float] = ("", 0.0)
        """The record's version and when it was first seen, on the event loop's clock."""

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        waiting = False
        while True:
            try:
                holder = await self._try()
            except ApiError as error:
                log.info("lease: no answer", error=str(error))
            else:
                if holder == self._identity:
                    self.held = True
                    log.info("lease: acting", lease=self._name, identity=self._identity)
                    return
                if not waiting:
                    waiting = True
                    log.info("lease: another operator acts; waiting", lease=self._name, holder=holder)
            await asyncio.sleep(self._duration_s * RETRY_SHARE)

    async def keep(self) -> None:
        """Renew for ever. Raises LeaseLostError."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._duration_s / 3)
            left = renewed + self._duration_s * 2 / 3 - loop.time()
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    holder = await self._renew()
            except TimeoutError:
                self._lost("it could not be renewed in time")
            if holder != self._identity:
                self._lost(f"{holder or 'another operator'} took it")
            renewed = loop.time()

    async def release(self) -> None:
        """Give it back, so that another need not wait; failures do not matter."""
        if not self.held:
            return
        self.held = False
        try:
            async with asyncio.timeout(2.0):
                found = await self._api.get(LEASE, self._name)
                if part(found, "spec").get("holderIdentity") == self._identity:
                    await self._api.replace(LEASE, self._record(found, holder=""))
        except (ApiError, TimeoutError) as error:
            log.info("lease: not given back", error=str(error))

    async def _renew(self) -> str:
        """Try until it is renewed or somebody else's; the caller bounds the time."""
        while True:
            try:
                holder = await self._try()
            except ApiError as error:
                log.info("lease: not renewed yet", error=str(error))
            else:
                if holder:
                    return holder
            await asyncio.sleep(min(1.0, self._duration_s / 15))

    async def _try(self) -> str:
        """Create, take over or renew the record; return who holds it. Raises ApiError."""
        found = await self._api.find(LEASE, self._name)
        try:
            if found is None:
                await self._api.create(LEASE, self._record(None, holder=self._identity))
                return self._identity
            spec = part(found, "spec")
            holder = str(spec.get("holderIdentity") or "")
            if holder not in ("", self._identity) and not self._has_run_out(found):
                return holder
            await self._api.replace(LEASE, self._record(found, holder=self._identity))
        except ApiError as error:
            if error.conflict:
                return ""  # somebody was faster; look again
            raise
        return self._identity

    def _has_run_out(self, found: Json) -> bool:
        now = asyncio.get_running_loop().time()
        version = str(found["metadata"]["resourceVersion"])
        if self._seen[0] != version:
            self._seen = (version, now)
        duration_s = float(part(found, "spec").get("leaseDurationSeconds") or self._duration_s)
        return now - self._seen[1] > duration_s

    def _record(self, found: Json | None, holder: str) -> Json:
        spec = part(found, "spec")
        before = str(spec.get("holderIdentity") or "")
        moment = rfc3339_micro(self._now())
        metadata: Json = {"name": self._name, "namespace": self._api.namespace}
        if found is not None:
            metadata = {**found["metadata"]}
            metadata.pop("managedFields", None)
        changed = holder != before
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": max(1, round(self._duration_s)),
                "acquireTime": moment if changed else spec.get("acquireTime", moment),
                "renewTime": moment,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if changed and before else 0),
            },
        }

    def _lost(self, why: str) -> NoReturn:
        self.held = False
        raise LeaseLostError(f"lease {self._name}: {why}")
