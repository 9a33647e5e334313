"""How long until a log of 10,000 events is there again after kill -9: the log itself, and the agent's journal from it.

The events are whole discussions as an agent logs them, with real signatures: opening the journal reads and folds all of
them with the code that every observer folds with; its owner checked each signature before it appended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import trio
from prometheus_client import CollectorRegistry

from bzzz_agent.clock import now
from bzzz_agent.failpoints import Failpoints
from bzzz_agent.journal import Journal
from bzzz_agent.log_client import LogClient
from bzzz_agent.metrics import AgentMetrics
from hmmm.identity import IssueIdentity
from hmmm.meta import DiscussionClosed
from hmmm.observer import Entry
from hmmm.records import ClaimIntended, EffectIntended, PullRequestOpened, Released
from tests.support.discussions import HEAD, Claimant, Hive, Node
from tests.support.processes import Processes
from tests.support.sidecar import Log, Logs
from tools.bench.rows import BrokenError, Context, Row, at_most, percentile

EVENTS = 10_000
BATCH = 500
TURNS = 3


def measure(context: Context) -> Iterator[Row]:
    """Fill a log, then kill and reopen it some times."""
    hive = Hive()
    reviewers = (hive.node("bzzz-1"), hive.node("bzzz-2"))
    claimant = Claimant(hive, hive.node("bzzz-0"))
    context.say(f"writing {EVENTS} events")
    _live(claimant, reviewers)
    discussions = len(claimant.observer.discussions)
    violations = [v for state in claimant.observer.discussions.values() for v in state.violations]
    if violations:
        raise BrokenError(f"the history is not one that an agent would write: {violations[0]}")
    logs: list[float] = []
    journals: list[tuple[float, float]] = []
    with Processes(context.folder) as processes:
        log = Logs(processes, context.folder).log().start()
        _fill(log, claimant.blocks)
        for _ in range(context.times(TURNS)):
            log.live.kill()
            logs.append(_reopened(log))
            journals.append(trio.run(_opened, log.socket, claimant, context.folder))
        log.live.stop()
    journal, cpu = ([turn[place] for turn in journals] for place in (0, 1))
    both = [one + other for one, other in zip(logs, journal, strict=True)]
    history = f"{discussions} discussions, {sum(map(len, claimant.blocks)) / 1e6:.0f} MB"
    started = "the start of the program included"
    worked = f"{history}; {percentile(cpu, 50):.1f} s of processor time"
    yield Row("log: kill -9 → may be written", percentile(logs, 50), "s", at_most(2), note=started)
    yield Row("agent: journal read and folded", percentile(journal, 50), "s", note=worked)
    yield Row(
        "log and journal", percentile(both, 50), "s", at_most(2), detail={"log": logs, "journal": journal}
    )


def _live(claimant: Claimant, reviewers: tuple[Node, Node]) -> None:
    """Work on one issue after the other until the log is as long as it is to be."""
    number = 0
    while len(claimant.blocks) < EVENTS:
        number += 1
        claimant.issue = IssueIdentity(repository="acme/widgets", number=number, epoch=1)
        claimant.sent.clear()
        for _ in _discussion(claimant, reviewers):
            claimant.pass_time(0.5)
            if len(claimant.blocks) == EVENTS:
                return


def _discussion(claimant: Claimant, reviewers: tuple[Node, Node]) -> Iterator[Entry]:
    """Do what an agent does from the claim to the pull request, one event at a time."""
    yield claimant.record(ClaimIntended(nonce="n1"))
    yield claimant.claim()
    yield claimant.propose()
    for reviewer in reviewers:
        yield claimant.no_objection(reviewer)
    claimant.pass_time(claimant.limits.window_s)
    yield claimant.close()
    for reviewer in reviewers:
        yield claimant.countersign(reviewer)
    yield claimant.execute()
    yield claimant.finish()
    yield claimant.seal()
    yield claimant.record(EffectIntended(effect="pull_request", parameters={"head_sha": HEAD}))
    url = f"https://github.com/acme/widgets/pull/{claimant.issue.number}"
    yield claimant.record(PullRequestOpened(number=claimant.issue.number, url=url, head_sha=HEAD))
    yield claimant.say(DiscussionClosed(outcome="pull_request", pull_request=url))
    yield claimant.record(Released(outcome="pull_request", reason=url))


def _fill(log: Log, blocks: list[bytes]) -> None:
    for start in range(0, len(blocks), BATCH):
        log.append(*(json.loads(block) for block in blocks[start : start + BATCH]))


def _reopened(log: Log) -> float:
    started = time.perf_counter()
    log.start()
    log.wait_open()
    seconds = time.perf_counter() - started
    length = int(log.get("/v1/head")["length"])
    if length != EVENTS:
        raise BrokenError(f"log: {EVENTS} records were acknowledged, {length} are left after kill -9")
    return seconds


async def _opened(socket: Path, claimant: Claimant, folder: Path) -> tuple[float, float]:
    """Open an agent's journal; seconds that passed, and seconds of processor time."""
    client = LogClient(socket, AgentMetrics(CollectorRegistry()))
    owner = replace(claimant.owner, trusted=True)  # as an agent opens its own log
    journal = Journal(client, owner, claimant.node.key, Failpoints((), folder), now)
    started, cpu = time.perf_counter(), time.process_time()
    await journal.open()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    await client.aclose()
    if journal.discussions != claimant.observer.discussions:
        raise BrokenError("journal: what follows from the log is not what was there when it was written")
    return seconds, cpu_s
