"""Who is calling, and what they may do where.

Levels are GitHub's roles in rising order. What `emulate` would let through is decided here first: it takes an
unknown token for its first user and lets anybody write to public repositories.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
import time
from dataclasses import dataclass
from typing import Literal

from bzzz_github_server.errors import Refusal
from bzzz_github_server.settings import Settings
from bzzz_github_server.wire import Json

Access = Literal["none", "read", "triage", "write", "maintain", "admin"]
Scope = Literal["contents", "issues", "metadata", "pull_requests"]

LEVELS: tuple[Access, ...] = ("none", "read", "triage", "write", "maintain", "admin")
_SYNONYMS: dict[str, Access] = {"pull": "read", "push": "write"}

INSTALLATION_TOKEN_S = 3600.0


def at_least(have: Access, need: Access) -> bool:
    """Whether one role includes the other."""
    return LEVELS.index(have) >= LEVELS.index(need)


@dataclass(frozen=True)
class Account:
    """A caller whose token was checked."""

    login: str
    admin: bool = False
    """Administrator of this server."""
    token: str | None = None
    """Of an app: passed on to the emulator, which knows it."""
    owner: str = ""
    """Of an app: whose repositories it is installed in."""
    permissions: tuple[tuple[str, str], ...] = ()
    """Of an app: what its token was granted."""

    @property
    def is_app(self) -> bool:
        """Whether this is an installation of a GitHub App."""
        return self.token is not None


class Accounts:
    """All tokens and permissions of the server. Safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._by_token = {
            user.token.get_secret_value(): Account(user.login, admin=user.permission == "admin")
            for user in settings.users
        }
        self._everywhere: dict[str, Access] = {user.login: user.permission for user in settings.users}
        self._granted: dict[tuple[str, str], Access] = {}
        self._installations: dict[str, tuple[float, Account]] = {}
        self._apps = {app.installation_id: app for app in settings.apps}
        self._private = {repository.name: repository.private for repository in settings.repositories}

    # ---- tokens -------------------------------------------------------------------------------------------

    def authenticate(self, authorization: str) -> Account | None:
        """The caller of a request by its Authorization header; None without one.

        Raises:
            Refusal: 401, the token is unknown or no longer valid.
        """
        token = _token(authorization)
        if not token:
            return None
        with self._lock:
            for known, account in self._by_token.items():
                if hmac.compare_digest(known.encode(), token.encode()):
                    return account
            expires, app = self._installations.get(token, (0.0, None))
        if app is not None and expires > time.monotonic():
            return app
        raise Refusal(401, "Bad credentials")

    def remember_installation(self, installation_id: int, answer: Json) -> None:
        """Take note of an installation token that the emulator has just made."""
        app = self._apps.get(installation_id)
        if app is None:
            return
        permissions: dict[str, str] = answer.get("permissions") or {}
        account = Account(
            f"{app.slug}[bot]",
            token=str(answer["token"]),
            owner=app.account,
            permissions=tuple(sorted(permissions.items())),
        )
        with self._lock:
            self._installations[str(answer["token"])] = (time.monotonic() + INSTALLATION_TOKEN_S, account)

    # ---- permissions --------------------------------------------------------------------------------------

    def grant(self, login: str, repository: str, permission: str) -> None:
        """Give a login a role in one repository; `none` takes it away."""
        level = _SYNONYMS.get(permission, permission)
        if level not in LEVELS:
            raise ValueError(f"expected one of {', '.join(LEVELS)}, got {permission!r}")
        with self._lock:
            self._granted[login, repository.lower()] = level

    def logins(self) -> list[str]:
        """Everybody with a role anywhere, in order."""
        with self._lock:
            return sorted({*self._everywhere, *(login for login, _ in self._granted)})

    def collaborates(self, login: str, repository: str) -> Access:
        """The role that was given to a login, not counting what everybody may do."""
        if login.lower() == repository.partition("/")[0].lower():
            return "admin"
        with self._lock:
            granted = self._granted.get((login, repository.lower()))
            return granted if granted is not None else self._everywhere.get(login, "none")

    def access(self, account: Account | None, repository: str, scope: Scope) -> Access:
        """What a caller may do in a repository as far as `scope` goes."""
        everybody: Access = "none" if self._private.get(repository, False) else "read"
        if account is None:
            return everybody
        if account.is_app:
            if account.owner.lower() != repository.partition("/")[0].lower():
                return everybody
            granted = dict(account.permissions).get(scope, "read" if scope == "metadata" else "none")
            return "write" if granted == "write" else "read" if granted == "read" else everybody
        given = self.collaborates(account.login, repository)
        return given if at_least(given, everybody) else everybody

    def assignable(self, login: str, repository: str) -> bool:
        """Whether an issue may be assigned to a login; bots of apps never."""
        return at_least(self.collaborates(login, repository), "write")


def _token(authorization: str) -> str:
    """The token in a header: `Bearer x`, `token x`, or the password of Basic (git, browsers)."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return value.strip()
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return value.strip()
