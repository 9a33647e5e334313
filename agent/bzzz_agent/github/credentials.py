"""Credentials as PyGithub wants them, read from files; nothing here is ever logged or put into an error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from github import Auth

from bzzz_agent.github.errors import UnauthorizedError
from bzzz_agent.github.settings import GitHubSettings
from hmmm.envelope import sha256_hex

_MAX_SECRET_BYTES: Final = 16 * 1024

APP_PERMISSIONS: Final = {
    "contents": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
}
"""Asked for explicitly: PyGithub's default `{}` grants nothing (facts: github)."""


@dataclass(frozen=True)
class Credential:
    """How to sign in, and a digest of the secret that tells whether its file has changed."""

    auth: Auth.Auth
    digest: str


def read_credential(settings: GitHubSettings) -> Credential:
    """Read the configured credential.

    Raises UnauthorizedError, naming the file, when it is missing or empty.
    """
    if settings.app is not None:
        secret = _read_secret(settings.app.private_key_file)
        app = Auth.AppAuth(settings.app.app_id, secret)
        auth: Auth.Auth = app.get_installation_auth(
            settings.app.installation_id, token_permissions=APP_PERMISSIONS
        )
    else:
        assert settings.token_file is not None, "settings are validated"
        secret = _read_secret(settings.token_file)
        auth = Auth.Token(secret)
    return Credential(auth, sha256_hex(secret.encode()))


Stamp = tuple[int, int]
"""When a file was written, in ns, and its inode: enough to tell that it was replaced, without reading it."""


def stamp_of(settings: GitHubSettings) -> Stamp | None:
    """Return what tells the credential's file from the one before; None while there is none."""
    path = settings.token_file if settings.app is None else settings.app.private_key_file
    assert path is not None, "settings are validated"
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino)


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            secret = file.read(_MAX_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnauthorizedError(
            f"GitHub credential {path}: expected a readable text file: {type(error).__name__}"
        ) from error
    if not secret:
        raise UnauthorizedError(f"GitHub credential {path}: expected a token or key, the file is empty")
    return secret
