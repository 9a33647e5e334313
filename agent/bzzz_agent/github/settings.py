"""How an agent reaches GitHub: one frozen tree, read once, every secret by file."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

PUBLIC_API: Final = "https://api.github.com"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class AppSettings(_Settings):
    """A GitHub App's installation; its tokens are fetched and renewed as they expire."""

    app_id: int = Field(ge=1)
    installation_id: int = Field(ge=1)
    private_key_file: Path


class GitHubSettings(_Settings):
    """The agent's configuration under `github`."""

    api_url: str = Field(default=PUBLIC_API, pattern=r"^https?://")
    token_file: Path | None = None
    """A personal or machine account's token; read again when GitHub answers 401, so that it can be rotated."""
    app: AppSettings | None = None
    account: str | None = Field(default=None, max_length=100)
    """The login to assign issues to. With a token it is asked from GitHub; an App's bot cannot be assigned, so an
    App either names a real account here or shows its claims by the label alone."""
    write_spacing_s: float | None = Field(default=None, ge=0, le=60)
    """Seconds between two writes; None means 1 on github.com, which advises that, and 0 elsewhere."""
    timeout_s: float = Field(default=15.0, gt=0, le=120)
    """For one request."""
    attempts: int = Field(default=6, ge=1, le=20)
    """Tries of a request that may be repeated, the first included."""
    patience_s: float = Field(default=45.0, ge=0, le=600)
    """Longest that a call waits for a limit to pass; beyond it the caller gets the delay as an error."""
    first_pause_s: float = Field(default=0.1, gt=0, le=10)
    """Before the second try; doubles from there, at most 5 s."""

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if (self.token_file is None) == (self.app is None):
            raise ValueError("expected exactly one of tokenFile and app; give one credential")
        return self

    @property
    def spacing_s(self) -> float:
        """The seconds between two writes that apply."""
        if self.write_spacing_s is not None:
            return self.write_spacing_s
        return 1.0 if urlsplit(self.api_url).hostname == urlsplit(PUBLIC_API).hostname else 0.0
