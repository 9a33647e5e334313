"""What identifies an issue's turn: the repository, the number, and the epoch of the claim (architecture §1)."""

from __future__ import annotations

from pydantic import Field

from hmmm.base import Model, Repository


class IssueIdentity(Model):
    """One claim's turn at one issue; a take-over has the next epoch."""

    repository: Repository
    number: int = Field(ge=1, le=2**53)
    epoch: int = Field(ge=0, le=2**31)

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}@{self.epoch}"
