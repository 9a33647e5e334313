"""What evidence needs of a pull request, as GitHub's API gives it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hmmm.base import GitSha, Model
from hmmm.errors import EvidenceError, excerpt
from hmmm.evidence.block import MAX_BODY_CHARACTERS, block_of, parse_evidence_block
from hmmm.evidence.bundle import Bundle
from hmmm.evidence.statement import Statement

Name = Annotated[str, Field(max_length=300)]


class RepositoryName(Model):
    """A repository, as a pull request's base names it."""

    full_name: Name


class Base(Model):
    """Where the pull request wants to go."""

    repo: RepositoryName


class Head(Model):
    """The commit that the pull request shows now."""

    sha: GitSha


class PullRequest(Model):
    """A pull request; all that GitHub says beside is kept and not looked at."""

    number: int = Field(ge=1, le=2**53)
    body: Annotated[str, Field(max_length=MAX_BODY_CHARACTERS)] | None = None
    base: Base
    head: Head


def read_pull_request(value: object) -> PullRequest:
    """Validate GitHub's answer. Raises MalformedError."""
    return PullRequest.from_object(value, what="pull request")


def check_pull_request(pull_request: PullRequest, bundle: Bundle, statement: Statement) -> None:
    """Check that the pull request shows the very statement and log head that the bundle proves.

    Raises EvidenceError: reason `other_repository`, `no_evidence`, `ambiguous`, `bad_block` or `forged`.
    """
    repository = statement.predicate.issue.repository
    if pull_request.base.repo.full_name.lower() != repository.lower():
        raise EvidenceError(
            "other_repository",
            f"expected a pull request to {repository}, got {excerpt(pull_request.base.repo.full_name)}",
        )
    shown = parse_evidence_block(pull_request.body or "")
    proven = block_of(statement, bundle.statement.encode())
    for field in (
        "statement",
        "transcript_url",
        "log_key",
        "first",
        "last",
        "length",
        "tree_hash",
        "signature",
    ):
        if getattr(shown, field) != getattr(proven, field):
            raise EvidenceError(
                "forged",
                f"forged: the pull request's {field.replace('_', ' ')} is {excerpt(getattr(shown, field))}, "
                f"the evidence proves {excerpt(getattr(proven, field))}",
            )
