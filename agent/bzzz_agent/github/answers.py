"""What we rely on in GitHub's answers, field by field (GitHub's OpenAPI description, version 2022-11-28).

Everything else in an answer is ignored; a missing field is a `MalformedAnswerError`, not a KeyError later on.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bzzz_agent.github.errors import MalformedAnswerError
from hmmm.base import GitSha, first_problem
from hmmm.eligibility import IssueFacts


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


A = TypeVar("A", bound=_Answer)


class Account(_Answer):
    """A user, an organisation or a bot."""

    login: str


class Label(_Answer):
    """A label of an issue."""

    name: str | None = None


class Issue(_Answer):
    """An issue, or a pull request where lists mix them in."""

    number: int = Field(ge=1)
    title: str
    state: str
    body: str | None = None
    user: Account | None = None
    """None for a deleted account."""
    author_association: str = "NONE"
    labels: tuple[Label | str, ...] = ()
    assignees: tuple[Account, ...] | None = ()
    pull_request: dict[str, Any] | None = None
    html_url: str

    @property
    def facts(self) -> IssueFacts:
        """What the rules of eligibility look at."""
        names = (label if isinstance(label, str) else label.name for label in self.labels)
        return IssueFacts(
            number=self.number,
            open=self.state == "open",
            title=self.title,
            body=self.body or "",
            author="" if self.user is None else self.user.login,
            author_association=self.author_association,
            labels=frozenset(name for name in names if name),
            assignees=frozenset(account.login for account in self.assignees or ()),
            is_pull_request=self.pull_request is not None,
        )


class GitObject(_Answer):
    """What a ref points to."""

    sha: GitSha


class Ref(_Answer):
    """A git ref."""

    ref: str
    object: GitObject


class Commit(_Answer):
    """A git commit of the git database API."""

    sha: GitSha
    message: str
    tree: GitObject
    parents: tuple[GitObject, ...] = ()


class RepositoryName(_Answer):
    """A repository as a pull request's side names it."""

    full_name: str


class Side(_Answer):
    """The head or the base of a pull request."""

    ref: str
    sha: GitSha
    repo: RepositoryName | None = None
    """None when a fork was deleted."""


class PullRequest(_Answer):
    """A pull request."""

    number: int = Field(ge=1)
    html_url: str
    state: str
    title: str
    body: str | None = None
    user: Account | None = None
    """Who opened it; None when the account was deleted."""
    draft: bool = False
    head: Side
    base: Side
    merged_at: str | None = None


class Comment(_Answer):
    """A comment on an issue or pull request."""

    id: int
    html_url: str
    body: str | None = None
    user: Account | None = None


class Repository(_Answer):
    """A repository."""

    full_name: str
    default_branch: str
    private: bool
    clone_url: str


class Permission(_Answer):
    """An account's permission on a repository: admin, write, read or none."""

    permission: str


class IssueEvent(_Answer):
    """Something that happened to an issue."""

    event: str
    actor: Account | None = None
    label: Label | None = None


def read(model: type[A], data: Any, *, what: str) -> A:
    """Read one answer. Raises MalformedAnswerError."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise MalformedAnswerError(f"{what}: not as GitHub documents it: {first_problem(error)}") from error


def read_list(model: type[A], data: Any, *, what: str) -> tuple[A, ...]:
    """Read a list of answers. Raises MalformedAnswerError."""
    if not isinstance(data, list):
        raise MalformedAnswerError(f"{what}: expected a list, got {type(data).__name__}")
    items: list[Any] = data  # pyright: ignore[reportUnknownVariableType]
    return tuple(read(model, item, what=what) for item in items)
