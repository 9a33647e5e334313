"""Who should claim an issue, and who should review the plan: the same answer everywhere, without a word said.

Rendezvous hashing (Thaler & Ravishankar 1998): every node weighs every candidate by a hash of the issue's
identity and the candidate's name, highest first. Two nodes with the same view agree; a node that comes or goes
moves only its own share. Architecture §6 (reviewers) and §7 (claims).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hmmm.identity import IssueIdentity
from hmmm.messages import Capabilities

RANK_DELAY_S: Final = 0.5
"""Each rank waits this long for those before it, so that normally one agent writes (architecture §7)."""

_REQUIREMENTS: Final = ("lang:", "tool:")
"""Labels of an issue that ask for a capability: `lang:python`, `tool:ruff`."""


@dataclass(frozen=True)
class Candidate:
    """What ranking knows of a live agent."""

    node_id: str
    languages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    busy: bool = False
    """It works on an issue already and would not claim now."""

    @classmethod
    def of(cls, capabilities: Capabilities) -> Candidate:
        """Take over what an agent announced of itself."""
        return cls(
            node_id=capabilities.node_id,
            languages=capabilities.languages,
            tools=capabilities.tools,
            models=tuple(model.name for model in capabilities.models),
            busy=capabilities.load >= 1,
        )

    @property
    def model(self) -> str:
        """The model it thinks with first; empty for an agent that reviews by rules alone."""
        return self.models[0] if self.models else ""


def required_capabilities(labels: Iterable[str]) -> frozenset[str]:
    """Return the labels that ask for a capability, in lower case."""
    return frozenset(label.lower() for label in labels if label.lower().startswith(_REQUIREMENTS))


def missing_capabilities(labels: Iterable[str], candidate: Candidate) -> frozenset[str]:
    """Return what an issue's labels ask for and the candidate does not offer; empty means that it can do it."""
    offered = {f"lang:{name.lower()}" for name in candidate.languages}
    offered |= {f"tool:{name.lower()}" for name in candidate.tools}
    return required_capabilities(labels) - offered


def rendezvous_weight(issue: IssueIdentity, node_id: str) -> bytes:
    """Return a candidate's weight for an issue: SHA-256 over repository, number, epoch and node id.

    GitHub does not tell `Acme/Widgets` from `acme/widgets`, so neither does the weight.
    """
    identity = f"{issue.repository.lower()}\n{issue.number}\n{issue.epoch}\n{node_id}"
    return hashlib.sha256(identity.encode()).digest()


def rank(candidates: Iterable[Candidate], issue: IssueIdentity, labels: Iterable[str]) -> tuple[str, ...]:
    """Order agents for claiming an issue: fewest missing capabilities, idle before busy, then rendezvous hash.

    Returns node ids, each once, whatever the order or repetition of the candidates. An agent that lacks a
    required capability ranks after all that have it, and should not claim at all (`missing_capabilities`).
    """
    wanted = tuple(labels)
    unique = {candidate.node_id: candidate for candidate in candidates}

    def key(candidate: Candidate) -> tuple[int, bool, bytes, str]:
        weight = rendezvous_weight(issue, candidate.node_id)
        return (
            len(missing_capabilities(wanted, candidate)),
            candidate.busy,
            _descending(weight),
            candidate.node_id,
        )

    return tuple(candidate.node_id for candidate in sorted(unique.values(), key=key))


def claim_delay_s(node_id: str, ranking: tuple[str, ...]) -> float:
    """Return the seconds that a node waits before it tries a claim; one not ranked goes after all that are."""
    place = ranking.index(node_id) if node_id in ranking else len(ranking)
    return place * RANK_DELAY_S


def choose_reviewers(
    members: Iterable[Candidate], claimant: str, issue: IssueIdentity, count: int
) -> tuple[str, ...]:
    """Draw up to `count` reviewers by rendezvous hash, spread over different models (architecture §6).

    Each draw prefers the model used least so far, the claimant's own counted as used once: another model sees
    other mistakes. Within one model the highest weight wins. The claimant is never drawn.
    """
    pool = {member.node_id: member for member in members}
    used: Counter[str] = Counter()
    author = pool.pop(claimant, None)
    if author is not None:
        used[author.model] += 1
    chosen: list[str] = []
    while pool and len(chosen) < count:
        best = min(
            pool.values(),
            key=lambda m: (used[m.model], _descending(rendezvous_weight(issue, m.node_id)), m.node_id),
        )
        used[best.model] += 1
        chosen.append(best.node_id)
        del pool[best.node_id]
    return tuple(chosen)


def _descending(weight: bytes) -> bytes:
    return bytes(255 - byte for byte in weight)
