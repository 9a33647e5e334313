"""What an issue is called: (repository, number, epoch), architecture §1.

The epoch counts the claims of an issue. Two claims of #42 are two pieces of work with two discussions and two
stretches of log; the repository tells two #42 apart.
"""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field

from hmmm.base import Model, Repository


class IssueIdentity(Model):
    """One claim's worth of an issue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: Repository
    number: int = Field(ge=1, le=2**53)
    epoch: int = Field(ge=1, le=2**53)

    def at_epoch(self, epoch: int) -> Self:
        """Return the same issue at another epoch."""
        return self.model_copy(update={"epoch": epoch})

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}@{self.epoch}"
