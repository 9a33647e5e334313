"""What the discussion is good for: two issues at the same time, with the debate and by agents alone.

Pairs of issues whose changes meet in the same lines, in the same file, or nowhere, are opened together. With the
debate they go to one hive, whose agents hear each other's plans. Alone, each of the two goes to a hive of its own with
one agent and nobody to object, so that both start from the same commit, as agents do that do not talk. A maintainer
merges every pull request as soon as it is there; a conflict is one that git cannot merge. Planner and executor are
instant and do as the issue says, so judgement plays no part.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from tools.bench.debate_pairs import KINDS, Edit, Kind, Maintainer, Pair, files_of, pairs
from tools.bench.local_hive import REPOSITORY, LocalHive, running, wait_for
from tools.bench.rows import Context, Row, percentile

PAIRS: Final = 3
"""Of each kind."""
SEED: Final = 7
AGENTS: Final = 3
WINDOW_S: Final = 2.0
ALONE_WINDOW_S: Final = 0.1
PATIENCE_S: Final = 180.0
MANIFEST: Final = """\
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {{name: bench}}
spec:
  replicas: {agents}
  github: {{repositories: [{repository}]}}
  execution:
    type: command
    plan: command
    planCommand: [plan-edit]
    command: [edit]
    test: ["true"]
    timeout: 1m
  discussion: {{window: {window_ms}ms, reviewers: %d}}
"""


@dataclass
class Tally:
    """What came of the pairs of one kind."""

    opened: int = 0
    conflicts: int = 0
    blocked: int = 0
    """Issues whose plan was objected to, that waited for another, or that a human was asked about."""
    seconds: list[float] = field(default_factory=list[float])
    """From the issue to its pull request."""


Tallies = dict[Kind, Tally]


def measure(context: Context) -> Iterator[Row]:
    """Give the same pairs to a hive that debates, and to agents alone."""
    made = pairs(context.times(PAIRS), SEED)
    debated = _debated(context, made)
    alone = _alone(context, made)
    for kind in KINDS:
        count = sum(pair.kind == kind for pair in made)
        with_, without = debated[kind], alone[kind]
        beside = {"alone": float(without.conflicts)}
        note = f"{count} pairs; {with_.opened} pull requests with the debate, {without.opened} alone"
        yield Row(
            f"pull requests that conflict, {kind}", with_.conflicts, f"of {count}", peers=beside, note=note
        )
    apart = debated["other files"]
    count = 2 * sum(pair.kind == "other files" for pair in made)
    yield Row("issues held up for nothing, other files", apart.blocked, f"of {count}")
    same = debated["same file"]
    count = 2 * sum(pair.kind == "same file" for pair in made)
    note = "git could have merged them; plans name files, not lines"
    yield Row("issues that waited, same file", same.blocked, f"of {count}", note=note)
    for kind in KINDS:
        with_s, alone_s = debated[kind].seconds, alone[kind].seconds
        worst = f"worst {max(with_s):.1f}, alone {max(alone_s):.1f}; the window is {WINDOW_S:g} s"
        beside = {"alone": percentile(alone_s, 50)}
        yield Row(f"issue → pull request p50, {kind}", percentile(with_s, 50), "s", peers=beside, note=worst)


def _debated(context: Context, made: tuple[Pair, ...]) -> Tallies:
    tallies: Tallies = defaultdict(Tally)
    folder = context.folder / "on"
    folder.mkdir()
    files = files_of(made)
    with running(
        replace(context, folder=folder), AGENTS, WINDOW_S, manifest=MANIFEST % 2, files=files
    ) as hive:
        maintainer = Maintainer(folder / "clone", folder / "repo")
        for pair in made:
            _play(hive, maintainer, pair, tallies[pair.kind])
    return tallies


def _play(hive: LocalHive, maintainer: Maintainer, pair: Pair, tally: Tally) -> None:
    """Open both issues, merge what comes, and wait until both have a pull request or are a human's."""
    opened = {_open(hive, edit): time.monotonic() for edit in (pair.first, pair.second)}
    seen: set[int] = set()
    held: set[int] = set()

    def look() -> bool:
        settled = 0
        for number in opened:
            views = [view for view in hive.discussions() if view["number"] == number]
            last = max(views, key=lambda view: view["epoch"], default=None)
            if last is None:
                continue
            objected = any(o["rule"] == "footprint_overlap" for view in views for o in view["objections"])
            if (
                objected or last["phase"] == "Escalated" or last["epoch"] > 1
            ):  # a claim that waits is given back
                held.add(number)
            if last["pullRequest"] and number not in seen:
                seen.add(number)
                tally.seconds.append(time.monotonic() - opened[number])
                tally.opened += 1
                tally.conflicts += not _merge(hive, maintainer, str(last["pullRequest"]))
            settled += number in seen or last["phase"] == "Escalated"
        return settled == len(opened)

    wait_for(look, PATIENCE_S, f"an outcome for issues {sorted(opened)}")
    tally.blocked += len(held)


def _alone(context: Context, made: tuple[Pair, ...]) -> Tallies:
    tallies: Tallies = defaultdict(Tally)
    with ExitStack() as stack:
        hives: list[LocalHive] = []
        for name in ("one", "two"):
            folder = context.folder / name
            folder.mkdir()
            own = replace(context, folder=folder)
            alone = MANIFEST % 0
            hives.append(
                stack.enter_context(running(own, 1, ALONE_WINDOW_S, manifest=alone, files=files_of(made)))
            )
        for turn, pair in enumerate(made):
            tally = tallies[pair.kind]
            # both start from the same commit; the maintainer's main is that commit and what this pair adds
            maintainer = Maintainer(context.folder / f"clone-{turn}", context.folder / "one" / "repo")
            started = time.monotonic()
            numbers = [_open(hive, edit) for hive, edit in zip(hives, (pair.first, pair.second), strict=True)]
            for hive, number in zip(hives, numbers, strict=True):
                done = wait_for(
                    lambda h=hive, n=number: h.settled([n]), PATIENCE_S, f"a pull request for issue {number}"
                )
                tally.seconds.append(time.monotonic() - started)
                tally.opened += 1
                url = str(done[number]["pullRequest"])
                # each hive's main pins its own key; what the agents did is the one commit on top
                tally.conflicts += not maintainer.pick(*_remote(hive), int(url.rsplit("/", 1)[1]))
    return tallies


def _open(hive: LocalHive, edit: Edit) -> int:
    """Open an issue and return its number."""
    number, _ = hive.open_issue(f"Say {edit.word} in {edit.path}", edit.body)
    return number


def _merge(hive: LocalHive, maintainer: Maintainer, url: str) -> bool:
    remote, token = _remote(hive)
    merged = maintainer.merge(remote, token, int(url.rsplit("/", 1)[1]))
    if merged:
        maintainer.push(remote, token)
    return merged


def _remote(hive: LocalHive) -> tuple[str, str]:
    """Return where git finds the repository, and a token for it."""
    token = hive.github.headers["Authorization"].removeprefix("Bearer ")
    return f"{hive.github.base_url}/{REPOSITORY}.git".replace("//acme", "/acme"), token
