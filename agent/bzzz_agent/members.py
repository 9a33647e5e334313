"""The list of members to dial, and the authority's revocations: files that others replace while the agent runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_agent.settings import SettingsError
from bzzz_mesh import Mesh
from hmmm.base import NodeId, PeerId
from hmmm.errors import RemoteProtocolError

log = structlog.get_logger("bzzz.agent.members")

CHECK_S = 2.0
MAX_FILE_BYTES = 1024 * 1024


class Member(BaseModel):
    """A member to dial."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)
    node_id: NodeId
    peer_id: PeerId
    addresses: tuple[str, ...] = Field(default=(), max_length=16)


MEMBERS = TypeAdapter(tuple[Member, ...])


def read_members(path: Path) -> tuple[Member, ...]:
    """Read the list of members. Raises SettingsError."""
    try:
        return MEMBERS.validate_python(json.loads(path.read_bytes()[:MAX_FILE_BYTES]))
    except (OSError, ValueError, ValidationError) as error:
        raise SettingsError(f"{path}: expected a JSON list of members: {error}"[:500]) from error


def bootstrap_of(members: tuple[Member, ...]) -> tuple[str, ...]:
    """Return the members' dialling addresses, each with its peer id."""
    return tuple(
        address if "/p2p/" in address else f"{address}/p2p/{member.peer_id}"
        for member in members
        for address in member.addresses
    )


@dataclass
class Watcher:
    """Follows the two files and tells the mesh of what is new."""

    mesh: Mesh
    members_file: Path
    revocations_file: Path | None
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])

    async def run(self) -> None:
        """Look every two seconds, for ever."""
        while True:
            await self._members()
            self._revocations()
            await trio.sleep(CHECK_S)

    async def _members(self) -> None:
        if not self._changed(self.members_file):
            return
        try:
            members = read_members(self.members_file)
        except SettingsError as error:
            log.warning("list of members is unreadable; the last one stays", problem=str(error))
            return
        for member in members:
            if member.peer_id != self.mesh.peer_id and member.addresses:
                await self.mesh.connect(member.peer_id, member.addresses)

    def _revocations(self) -> None:
        path = self.revocations_file
        if path is None or not self._changed(path):
            return
        try:
            raw = path.read_bytes()
            if raw:
                self.mesh.revoke(raw)
        except (OSError, RemoteProtocolError) as error:
            log.warning("revocations are unreadable; the last ones stay", problem=str(error))

    def _changed(self, path: Path) -> bool:
        try:
            stat = path.stat()
        except OSError:
            return False
        mark = (stat.st_mtime_ns, stat.st_ino)
        if self._seen.get(path) == mark:
            return False
        self._seen[path] = mark
        return True
