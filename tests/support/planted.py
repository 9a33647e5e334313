"""Earlier discussions with facts planted in them: whole logs, signed and sealed as agents make them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from hmmm.identity import IssueIdentity
from hmmm.meta import NoObjection, Objection
from hmmm.plan import Plan
from hmmm.records import Released
from tests.support.discussions import Claimant, Hive, Node

REPOSITORY: Final = "acme/widgets"
FOLDERS: Final = ("parser", "store", "web", "billing", "mail", "report")
FILES: Final = ("core", "limits", "cache", "format", "errors", "schema")
FACTS: Final = (
    "{name} is read by the nightly import, which breaks when a field moves",
    "the numbers come from a contract and may not be rounded",
    "{name} must stay free of threads, the scheduler forks",
    "customers script against this; keep the old names for a year",
    "{name} is generated from the schema, edit the template instead",
    "the order of the checks matters for the audit",
)
NOISE: Final = (
    "add a test for the empty case",
    "split this into two functions",
    "the name could be clearer",
    "this repeats what is said above",
)


@dataclass(frozen=True)
class Planted:
    """A fact, where it was said, and a later question that it would help with."""

    log_key: str
    seq: int
    fact: str
    path: str
    question: str


@dataclass(frozen=True)
class Past:
    """What a hive said before: logs by key, and the facts in them."""

    logs: dict[str, tuple[bytes, ...]]
    planted: tuple[Planted, ...]


def past(discussions: int, facts: int, seed: int) -> Past:
    """Return so many discussions by six agents; in `facts` of them an objection says something to remember.

    A question names the fact's file, or asks in words about its folder.
    """
    chance = random.Random(seed)
    hive = Hive()
    nodes = [hive.node(f"bzzz-{number}") for number in range(6)]
    paths = [f"src/{folder}/{file}.py" for folder in FOLDERS for file in FILES]
    telling = set(chance.sample(range(discussions), facts))
    logs: dict[str, list[bytes]] = {}
    planted: list[Planted] = []
    for number in range(discussions):
        node = nodes[number % len(nodes)]
        blocks = logs.setdefault(node.card.log_key or "", [])
        path = paths[len(planted) % len(paths)] if number in telling else chance.choice(paths)
        fact = FACTS[len(planted) % len(FACTS)].format(name=path.rsplit("/", 1)[1])
        told = fact if number in telling else chance.choice(NOISE)
        said, at = _discussion(hive, node, nodes, number + 1, path, told, number in telling)
        if number in telling:
            seq = len(blocks) + at
            planted.append(Planted(node.card.log_key or "", seq, fact, path, _question(chance, path)))
        blocks.extend(said)
    return Past({key: tuple(blocks) for key, blocks in logs.items()}, tuple(planted))


def _question(chance: random.Random, path: str) -> str:
    name = path.rsplit("/", 1)[1]
    return chance.choice(
        (f"{path} is too slow", f"Change the defaults in {name}, which lies at {path}", f"Clean up {path}")
    )


def _discussion(
    hive: Hive, node: Node, nodes: list[Node], number: int, path: str, told: str, blocks: bool
) -> tuple[list[bytes], int]:
    """Return a discussion's records (a plan, an objection or a remark, a second plan, the end), and which is told."""
    issue = IssueIdentity(repository=REPOSITORY, number=number, epoch=1)
    peer = nodes[(number + 1) % len(nodes)]
    claimant = Claimant(hive, node, issue=issue, reviewers=(peer.node_id,))
    claimant.claim()
    claimant.propose(Plan(summary=f"work on {path}", footprint=(path,), tests=("test",)))
    severity = "blocking" if blocks else "advisory"
    heard = claimant.hear(
        peer, Objection(plan_digest=claimant.plan_digest, severity=severity, reason=told, paths=(path,))
    )
    claimant.pass_time(31)
    claimant.close()
    if blocks:
        claimant.revise(Plan(summary=f"work on {path}, carefully", footprint=(path,), tests=("test",)))
        claimant.hear(peer, NoObjection(plan_digest=claimant.plan_digest))
        claimant.pass_time(31)
        claimant.close()
    claimant.record(Released(outcome="released", reason="done"))
    return claimant.blocks, heard.seq
