"""Follows the authority's ConfigMap: who is a member, who no longer is, and this scribe's own renewed card.

The files mounted from it lag up to a minute; a revocation should not. The ConfigMap holds no secret, and all in it that
matters is signed by the hive key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, cast

import structlog
import trio
from pydantic import Field, TypeAdapter, ValidationError

from bzzz_mesh import Directory, Member, Members, Mesh
from bzzz_scribe.kubernetes.client import ApiClient, Json
from bzzz_scribe.kubernetes.watched import Watched
from hmmm.base import first_problem
from hmmm.errors import RemoteProtocolError

MAX_MEMBERS: Final = 4096
_MEMBERS: Final[TypeAdapter[Members]] = TypeAdapter(
    Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS)]
)

log = structlog.get_logger("bzzz.scribe.kubernetes.members")


class MembersMap:
    """Takes each version of the ConfigMap into use."""

    def __init__(
        self,
        api: ApiClient,
        name: str,
        node_id: str,
        mesh: Mesh,
        directory: Directory,
        on_members: Callable[[Members], None],
    ) -> None:
        path = f"/api/v1/namespaces/{api.cluster.namespace}/configmaps"
        self._watched = Watched(api, path, self._changed, name)
        self._name = name
        self._card = f"card-{node_id}.json"
        self._mesh = mesh
        self._directory = directory
        self._on_members = on_members
        self._taken: dict[str, str] = {}
        self._change = trio.Event()

    async def run(self) -> None:
        """Follow it, for ever; what is unreadable leaves the last in force."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watched.run)
            while True:
                await self._change.wait()
                self._change = trio.Event()
                found = self._watched.objects.get(self._name)
                if found is not None:
                    await self._take(cast("Json", found.get("data") or {}))

    def _changed(self, _: str) -> None:
        self._change.set()

    async def _take(self, data: Json) -> None:
        if revocations := self._news(data, "revocations.json"):
            self._signed("revocations", self._mesh.revoke, revocations)
        if card := self._news(data, self._card):
            self._signed("own card", self._mesh.renew, card)
        if members := self._news(data, "members.json"):
            await self._take_members(members)

    def _news(self, data: Json, key: str) -> str | None:
        """Return what stands under a key if it is other than before."""
        text = data.get(key)
        if not isinstance(text, str) or not text or self._taken.get(key) == text:
            return None
        self._taken[key] = text
        return text

    def _signed(self, what: str, take: Callable[[bytes], bool], text: str) -> None:
        try:
            if take(text.encode()):
                log.info("taken into use", what=what, config_map=self._name)
        except RemoteProtocolError as error:
            log.warning("cannot be used; the last stays in force", what=what, error=str(error))

    async def _take_members(self, text: str) -> None:
        try:
            members = _MEMBERS.validate_json(text)
        except ValidationError as error:
            log.warning(
                "list of members is unreadable; the last one stays",
                config_map=self._name,
                problem=first_problem(error),
            )
            return
        self._on_members(members)
        for member in members:
            if member.peer_id != self._mesh.peer_id:
                await self._directory.reach(member.peer_id, member.addresses)
