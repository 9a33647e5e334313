"""The server's configuration: one frozen tree, read once from a JSON file, keys in camelCase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from bzzz_github_server.errors import SettingsError
from bzzz_github_server.faults import FaultSettings

Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,37}[A-Za-z0-9])?$")]
FullName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$")]
Level = Literal["admin", "write", "read"]
Association = Literal["OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", "NONE"]


def _not_dots(name: str) -> str:
    if name.partition("/")[2].strip(".") == "" or name.endswith(".git"):
        raise ValueError("expected owner/name as GitHub allows it; a name may not be dots or end in .git")
    return name


RepositoryName = Annotated[FullName, AfterValidator(_not_dots)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class UserSettings(_Frozen):
    """An account, its one token, and what it may do in every repository of the server."""

    login: Login
    token: SecretStr
    permission: Level = "write"


class AppSettings(_Frozen):
    """A GitHub App with one installation, so that installation tokens can be tried."""

    app_id: int
    slug: Login
    private_key_file: Path
    """PEM, RSA; the server derives the public key from it."""
    installation_id: int
    account: Login
    """The repository owner that installed it."""
    permissions: dict[str, Literal["read", "write"]] = {
        "contents": "write",
        "issues": "write",
        "metadata": "read",
        "pull_requests": "write",
    }


class IssueSettings(_Frozen):
    """An issue that is there when the server says it is ready."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    body: Annotated[str, StringConstraints(max_length=65_536)] = ""
    labels: tuple[str, ...] = ()
    author: Login | None = None
    """Default: an admin where the association grants something, else the account `visitor`."""
    author_association: Association = "OWNER"


class RepositorySettings(_Frozen):
    """A repository and where its content comes from."""

    name: RepositoryName
    source: Path | None = None
    """A git checkout or bare repository; the branch of its HEAD becomes the default branch. None: a README."""
    private: bool = False
    drafts: bool = True
    """False: draft pull requests are refused, as GitHub does for private repositories of free plans."""
    issues: tuple[IssueSettings, ...] = ()


class LimitSettings(_Frozen):
    """Rate limits. GitHub: 5,000 requests an hour a user; about 80 writes a minute and 500 an hour."""

    requests_per_hour: int = Field(default=5000, ge=1)
    anonymous_per_hour: int = Field(default=1000, ge=1)
    """GitHub grants 60; here people and tests read without a token."""
    writes_per_minute: int | None = Field(default=None, ge=1)
    """The secondary limit; None leaves it out (GitHub: about 80)."""
    writes_per_hour: int | None = Field(default=None, ge=1)
    """The same by the hour (GitHub: about 500)."""


class Settings(_Frozen):
    """Everything the server needs to know."""

    host: Literal["127.0.0.1", "localhost", "::1", "0.0.0.0"] = "127.0.0.1"  # noqa: S104 - asks for an origin
    """Loopback, as the server is for one machine and speaks plain http; in a pod every address, with an `origin`."""
    port: int = Field(default=0, ge=0, le=65_535)
    """0: any free port, told on the ready line."""
    origin: Annotated[str, StringConstraints(pattern=r"^http://[a-z0-9.-]{1,200}(:[0-9]{1,5})?$")] | None = (
        None
    )
    """Under which clients reach it, for the addresses in its answers, e.g. `http://github:8000`, a Service."""
    state_dir: Path
    users: Annotated[tuple[UserSettings, ...], Field(min_length=1)]
    apps: tuple[AppSettings, ...] = ()
    repositories: tuple[RepositorySettings, ...] = ()
    limits: LimitSettings = LimitSettings()
    record: Path | None = None
    """JSON lines of every request and answer; tokens are left out."""
    faults: FaultSettings = FaultSettings()

    @model_validator(mode="after")
    def _every_address_needs_a_name(self) -> Self:
        if self.host == "0.0.0.0" and self.origin is None:  # noqa: S104 - that is the question
            raise ValueError("host: expected an origin with 0.0.0.0, such as http://github:8000, came none")
        return self


def load(path: Path) -> Settings:
    """Read the configuration.

    Raises:
        SettingsError: unreadable, no JSON, or a field that does not hold; one line a field, with its path.
    """
    try:
        text = path.read_bytes()
    except OSError as problem:
        raise SettingsError(f"expected a readable configuration file, got {problem}") from problem
    try:
        return Settings.model_validate_json(text)
    except ValidationError as problem:
        lines = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in problem.errors()]
        raise SettingsError("the configuration does not hold\n" + "\n".join(lines)) from problem
