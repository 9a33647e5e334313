"""What a scribe's process is told, read once from a JSON file (`--config FILE`) and passed in from there.

Secrets come as paths of files, never as values: a configuration can be shown and logged.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

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


class ScribeSettings(Settings):
    """Everything a scribe is told."""

    node_id: NodeId
    hive: str
    hive_key: HexKey
    """The hive's public key, by which every membership card is judged."""
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
    state_file: Path
    """The SQLite state store. It may be deleted at any time: it is made again from the archive."""
    public_url: str
    """Under which people reach this scribe's pages; pull requests link there."""
    repositories: tuple[Repository, ...] = ()
    """The hive's repositories; discussions about others are foreign and not shown. Empty: all are shown."""


def load_settings(path: Path) -> ScribeSettings:
    """Read the configuration. Raises SettingsError, naming the file and the field."""
    try:
        return ScribeSettings.model_validate_json(read_file(path, "the configuration"))
    except ValidationError as error:
        raise SettingsError(f"{path}: {first_problem(error)}") from error


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
