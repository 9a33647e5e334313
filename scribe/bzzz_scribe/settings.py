"""What a scribe's process is told, read once from a JSON file (`--config FILE`) and passed in from there.

Secrets come as paths of files, never as values: a configuration can be shown and logged.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from bzzz_crds.values import DurationBetween
from bzzz_scribe.errors import SettingsError
from hmmm.base import NodeId, Repository, first_problem

HexKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$", max_length=500)]


class Settings(BaseModel):
    """Base of the tree: frozen, camelCase in the file, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ArchiveSettings(Settings):
    """Where the archive answers, and the file with its bearer token."""

    url: HttpUrl
    token_file: Path


class HttpSettings(Settings):
    """Where pages and API are served; port 0 takes any free one and the ready line tells which."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535)


class SqliteStoreSettings(Settings):
    """The state is kept in `stateFile` and nowhere else."""

    type: Literal["sqlite"] = "sqlite"


class KubernetesStoreSettings(Settings):
    """What is shown is also carried to custom resources. What is not said here comes from the pod's own account."""

    type: Literal["kubernetes"]
    namespace: (
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] | None
    ) = None
    api_url: HttpUrl | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    members_config_map: str | None = Field(default=None, max_length=253)
    """The authority's ConfigMap; `HIVE-members` by default."""
    ttl_after_closed: Annotated[timedelta, DurationBetween("0s", "8760h")] = timedelta(hours=168)
    """What new MetaDiscussions get as `spec.ttlAfterClosed`; a closed one that is gone is not made again after it."""


StoreSettings = Annotated[SqliteStoreSettings | KubernetesStoreSettings, Field(discriminator="type")]


class ScribeSettings(Settings):
    """Everything a scribe is told."""

    node_id: NodeId
    hive: str
    hive_key: HexKey | None = None
    """The hive's public key, by which every membership card is judged."""
    hive_key_file: Path | None = None
    """A file with it, where whoever writes the configuration does not know it yet; one of the two is needed."""
    mesh_seed_file: Path
    """32 bytes in hex: the mesh key's seed."""
    card_file: Path
    """The scribe's own membership card, as signed."""
    members_file: Path
    """JSON list of members to dial; read again when it changes."""
    revocations_file: Path | None = None
    """Signed revocations; read again when they change."""
    listen: str = "/ip4/127.0.0.1/tcp/0"
    announce: tuple[str, ...] = ()
    archive: ArchiveSettings
    http: HttpSettings = Field(default_factory=HttpSettings)
    store: StoreSettings = Field(default_factory=SqliteStoreSettings)
    state_file: Path
    """The SQLite state store. It may be deleted at any time: it is made again from the archive."""
    public_url: str
    """Under which people reach this scribe's pages; pull requests link there."""
    repositories: tuple[Repository, ...] = ()
    """The hive's repositories; discussions about others are foreign and not shown. Empty: all are shown."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.hive_key is None) == (self.hive_key_file is None):
            raise ValueError("expected hiveKey or hiveKeyFile, one of the two")
        return self


def load_settings(path: Path, announce: tuple[str, ...] = ()) -> ScribeSettings:
    """Read the configuration; `announce`, if any is given, goes before the file's.

    Raises SettingsError, naming the file and the field.
    """
    try:
        settings = ScribeSettings.model_validate_json(read_file(path, "the configuration"))
    except ValidationError as error:
        raise SettingsError(f"{path}: {first_problem(error)}") from error
    changes: dict[str, Any] = {"announce": announce} if announce else {}
    return settings.model_copy(update=changes)


def read_hive_key(settings: ScribeSettings) -> bytes:
    """Return the hive's public key. Raises SettingsError, naming the file."""
    if settings.hive_key_file is None:
        return bytes.fromhex(settings.hive_key or "")
    text = read_file(settings.hive_key_file, "the hive's public key").decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise SettingsError(
            f"{settings.hive_key_file}: expected the hive's public key as 64 hex digits, got {len(text)} characters"
        )
    return bytes.fromhex(text)


def read_seed(path: Path) -> bytes:
    """Read a 32-byte seed in hex. Raises SettingsError, naming the file and never its content."""
    text = read_file(path, "the mesh seed").decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise SettingsError(f"{path}: expected a 32-byte seed as 64 hex digits, got {len(text)} characters")
    return bytes.fromhex(text)


def read_secret(path: Path) -> str:
    """Read a secret's file. Raises SettingsError, naming the file and never its content."""
    return read_file(path, "the secret").decode("utf-8", "replace").strip()


def read_file(path: Path, what: str) -> bytes:
    """Read a file. Raises SettingsError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {what} cannot be read: {error.strerror}") from error
