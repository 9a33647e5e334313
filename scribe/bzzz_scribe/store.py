"""The state store: where the scribe keeps what it knows (architecture §13), as a port with real adapters.

A store is a cache and an outlet, never the truth: logs are folded again from the blocks that it gives back, and
whatever it does not give back is read again from the archive. An adapter that cannot hold blocks (custom
resources) answers `positions` and `blocks` with nothing, and the scribe reads every log from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hmmm.identity import IssueIdentity

Document = dict[str, object]
"""JSON-ready data."""


@dataclass(frozen=True, order=True)
class DiscussionKey:
    """A discussion's name: two logs that claim one epoch of one issue are two discussions, and one of them lies."""

    repository: str
    number: int
    epoch: int
    log_key: str

    @classmethod
    def of(cls, log_key: str, issue: IssueIdentity) -> DiscussionKey:
        """Name the discussion of an issue in a log."""
        return cls(issue.repository, issue.number, issue.epoch, log_key)

    @property
    def issue(self) -> IssueIdentity:
        """The issue and its epoch."""
        return IssueIdentity(repository=self.repository, number=self.number, epoch=self.epoch)


@dataclass(frozen=True)
class Block:
    """One block of a log, byte for byte as far as JSON goes, and the issue that its record names."""

    log_key: str
    seq: int
    issue: IssueIdentity | None
    data: bytes


@dataclass(frozen=True)
class Changes:
    """What changed since the last write; written together or not at all."""

    agents: Mapping[str, Document] = field(default_factory=dict[str, Document])
    """By node id."""
    discussions: Mapping[DiscussionKey, Document] = field(default_factory=dict[DiscussionKey, Document])
    cards: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """Membership cards as signed, by serial: a bundle needs its claimant's long after the agent is gone."""
    blocks: Sequence[Block] = ()

    def __bool__(self) -> bool:
        return bool(self.agents or self.discussions or self.cards or self.blocks)


class StateStore(Protocol):
    """What the scribe asks of a store. Calls block; each may raise StoreError."""

    def positions(self) -> dict[str, int]:
        """Return for each log how many of its blocks, from the first on without a gap, are held."""
        ...

    def blocks(self, log_key: str, issue: IssueIdentity | None = None) -> Iterator[Block]:
        """Return a log's blocks in order; only those of an issue if one is named."""
        ...

    def agents(self) -> dict[str, Document]:
        """Return the agents as last written, by node id."""
        ...

    def discussions(self) -> dict[DiscussionKey, Document]:
        """Return the discussions as last written."""
        ...

    def cards(self) -> dict[int, bytes]:
        """Return the membership cards held, by serial."""
        ...

    def write(self, changes: Changes) -> None:
        """Write changes durably, all or none."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


class Outlet(Protocol):
    """Where views go beside the store: told of each in memory, at once; carries them on in its own time."""

    def put_agent(self, node_id: str, document: Document) -> None:
        """Take in an agent's document; the same again means nothing."""
        ...

    def put_discussion(self, key: DiscussionKey, document: Document) -> None:
        """Take in a discussion's view; the same again means nothing."""
        ...
