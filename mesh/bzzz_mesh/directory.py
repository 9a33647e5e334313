"""Where members are: the list of members to dial, the authority's revocations and this node's own card, files that
others replace while a process runs, and the addresses that peers announce themselves (architecture §4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import structlog
import trio
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_mesh.errors import AddressError, MeshError
from bzzz_mesh.mesh import Mesh
from hmmm.base import NodeId, first_problem
from hmmm.errors import RemoteProtocolError

CHECK_S: Final = 1.0
"""How often the files are looked at."""
MAX_MEMBERS: Final = 4096

log = structlog.get_logger("bzzz.mesh.directory")


class DirectoryError(MeshError):
    """The list of members cannot be used; the text names the file and the field."""


class Member(BaseModel):
    """A member of the hive and where it may be dialled."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    node_id: NodeId
    peer_id: Annotated[str, Field(min_length=1, max_length=64)]
    addresses: tuple[Annotated[str, Field(max_length=300)], ...] = Field(default=(), max_length=16)


Members = tuple[Member, ...]
_MEMBERS = TypeAdapter(Annotated[Members, Field(max_length=MAX_MEMBERS)])


def read_members(path: Path) -> Members:
    """Read the list of members to dial. Raises DirectoryError."""
    try:
        return _MEMBERS.validate_json(path.read_bytes())
    except OSError as error:
        raise DirectoryError(f"{path}: the list of members cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise DirectoryError(f"{path}: {first_problem(error)}") from error


def _ignore(_: Members) -> None:
    pass


@dataclass
class Directory:
    """Keeps a mesh dialling the members that there are."""

    mesh: Mesh
    members_file: Path
    revocations_file: Path | None = None
    on_members: Callable[[Members], None] = _ignore
    """Told of each list of members that was read."""
    card_file: Path | None = None
    """This node's own card; a renewed one is taken into use and shown to all who are connected."""
    _listed: set[str] = field(default_factory=set[str])
    """Whom the last list had."""
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])

    async def run(self) -> None:
        """Follow the files, for ever; what is unreadable leaves the last in force."""
        while True:
            if self._changed(self.members_file):
                await self._take_members()
            if self.revocations_file is not None and self._changed(self.revocations_file):
                self._take_revocations(self.revocations_file)
            if self.card_file is not None and self._changed(self.card_file):
                self._take_card(self.card_file)
            await trio.sleep(CHECK_S)

    async def reach(self, peer_id: str, addresses: Iterable[str]) -> None:
        """Dial a peer at the addresses that it announces itself, if it is not connected."""
        if any(p.peer_id == peer_id and p.connected for p in self.mesh.peers()):
            return
        await self._dial(peer_id, tuple(addresses))

    async def _take_members(self) -> None:
        try:
            members = read_members(self.members_file)
        except DirectoryError as error:
            log.warning("list of members is unreadable; the last one stays", problem=str(error))
            return
        self.on_members(members)
        listed = {member.peer_id for member in members}
        for gone in self._listed - listed:
            self.mesh.let_go(gone)
        self._listed = listed
        for member in members:
            await self._dial(member.peer_id, member.addresses)

    async def _dial(self, peer_id: str, addresses: tuple[str, ...]) -> None:
        if peer_id == self.mesh.peer_id or not addresses:
            return
        try:
            await self.mesh.connect(peer_id, addresses)
        except AddressError as error:
            log.warning("member cannot be dialled", peer=peer_id, problem=str(error))

    def _take_revocations(self, path: Path) -> None:
        try:
            raw = path.read_bytes()
            if raw:
                self.mesh.revoke(raw)
        except (OSError, RemoteProtocolError) as error:
            log.warning("revocations are unreadable; the last ones stay", path=str(path), problem=str(error))

    def _take_card(self, path: Path) -> None:
        try:
            if self.mesh.renew(path.read_bytes()):
                log.info("membership card renewed", path=str(path))
        except (OSError, RemoteProtocolError) as error:
            log.warning("new card cannot be used; the last one stays", path=str(path), problem=str(error))

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
