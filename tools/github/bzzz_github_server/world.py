"""What the handlers work on: the hosted repositories, the emulator, the accounts; and one call to them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bzzz_github_server.accounts import Access, Account, Accounts, Scope, at_least
from bzzz_github_server.emulator import Emulator
from bzzz_github_server.errors import Refusal
from bzzz_github_server.history import History
from bzzz_github_server.repository import BareRepository, Ref
from bzzz_github_server.wire import Json, Request, Response


@dataclass
class PullState:
    """What git knows of a pull request; its head is `refs/pull/N/head`."""

    number: int
    head_ref: str
    base_ref: str
    base_sha: str
    merge_sha: str | None = None
    pushed_at: str | None = None
    comments: int = 0
    """emulate counts comments of issues only."""


@dataclass
class Hosted:
    """One repository. Whoever writes holds `lock`; readers use the histories."""

    name: str
    repository: BareRepository
    default_branch: str
    private: bool
    drafts: bool
    lock: threading.RLock = field(default_factory=threading.RLock)
    refs: History[str, Ref] = field(default_factory=History[str, Ref])
    issues: History[int, Json] = field(default_factory=History[int, Json])
    """Issues as REST shows them, pull requests among them, as on GitHub."""
    pulls: History[int, Json] = field(default_factory=History[int, Json])
    states: dict[int, PullState] = field(default_factory=dict[int, PullState])
    associations: dict[int, str] = field(default_factory=dict[int, str])
    """author_association by issue number, where the configuration says so."""
    pushed_at: str | None = None
    labels: set[str] = field(default_factory=set[str])
    """Labels known to be there."""

    @property
    def api(self) -> str:
        """The path of its REST resources."""
        return f"/repos/{self.name}"


@dataclass
class World:
    """The whole server."""

    origin: str
    """http://host:port, of REST, git and pages alike."""
    emulator: Emulator
    accounts: Accounts
    hosted: dict[str, Hosted]
    """By name in lower case."""

    def find(self, name: str) -> Hosted | None:
        """A repository by owner/name in any case."""
        return self.hosted.get(name.lower())


@dataclass(frozen=True)
class Call:
    """A request to one repository, by a caller who may read it."""

    request: Request
    account: Account | None
    hosted: Hosted
    access: Access
    args: tuple[str, ...]
    """The path's variable parts, decoded."""
    lag_s: float = 0.0

    @property
    def actor(self) -> Account:
        """The caller, who must have said who they are.

        Raises:
            Refusal: 401 without a token.
        """
        if self.account is None:
            raise Refusal(401, "Requires authentication")
        return self.account

    @property
    def may_push(self) -> bool:
        """Whether the caller has write access within the route's scope."""
        return at_least(self.access, "write")


Handler = Callable[[World, Call], Response]


@dataclass(frozen=True)
class Route:
    """A resource below /repos/{owner}/{repo}: which pattern, who may, what happens."""

    method: str
    pattern: str
    """Of the path after the repository's name; groups become `Call.args`."""
    handler: Handler
    scope: Scope
    need: Access = "read"
    signed_in: bool = False
    """Whether the caller must have a token even if everybody may read."""


def as_actor(world: World, call: Call, method: str, path: str, body: object = None) -> Response:
    """Send a request to the emulator in the caller's name, below the repository.

    Raises:
        Refusal: what the emulator refused, in GitHub's shape.
    """
    actor = call.actor
    answer = world.emulator.call(
        method, f"{call.hosted.api}{path}", login=actor.login, token=actor.token, body=body
    )
    return accepted(answer)


def as_admin(world: World, hosted: Hosted, method: str, path: str, body: object = None) -> Response:
    """Send a request to the emulator in the server's own name, below the repository."""
    return accepted(world.emulator.call(method, f"{hosted.api}{path}", body=body))


def accepted(answer: Response) -> Response:
    """Let good answers pass.

    Raises:
        Refusal: the emulator refused.
    """
    if answer.status < 400:
        return answer
    message = str(answer.json().get("message", "")) if answer.body else ""
    if answer.status == 403:
        raise Refusal(403, "Resource not accessible by integration")
    raise Refusal(answer.status, "Validation Failed" if message == "Validation failed" else message)
