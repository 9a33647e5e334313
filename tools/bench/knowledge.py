"""Whether what was said before is found again: facts planted in earlier discussions, asked for later.

Whole logs of six agents, signed as agents sign them. In some discussions a reviewer objects with a fact about a file,
half of which do not name it; in the others it says what anybody says. Later a plan touches the file, or an issue speaks
of it. Found means: among the three passages that a planner or reviewer is given.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from bzzz_agent.knowledge import Memory
from hmmm.identity import IssueIdentity
from tests.support.planted import REPOSITORY, past
from tools.bench.rows import Context, Row, percentile

DISCUSSIONS: Final = 400
FACTS: Final = 60
SEED: Final = 11
NEW: Final = IssueIdentity(repository=REPOSITORY, number=1_000_000, epoch=1)


def measure(context: Context) -> Iterator[Row]:
    """Plant, read and ask."""
    count, facts = context.times(DISCUSSIONS, 60), context.times(FACTS, 9)
    context.say(f"{count} discussions are made")
    told = past(count, facts, SEED)
    memory = Memory()
    started = time.perf_counter()
    for key, blocks in told.logs.items():
        for seq, block in enumerate(blocks):
            memory.read(key, seq, block)
    records = sum(map(len, told.logs.values()))
    rate = records / (time.perf_counter() - started)
    asked: list[float] = []
    hits = {"its file is in the plan": 0, "an issue speaks of it": 0}
    for fact in told.planted:
        for way, text, paths in (
            ("its file is in the plan", "make it faster", (fact.path,)),
            ("an issue speaks of it", fact.question, ()),
        ):
            begun = time.perf_counter()
            found = memory.find(NEW, text, paths)
            asked.append(1000 * (time.perf_counter() - begun))
            hits[way] += any((p.log_key, p.seq) == (fact.log_key, fact.seq) for p in found)
    note = f"{len(memory)} passages of {count} discussions; {facts} facts on 36 files"
    for way, hit in hits.items():
        yield Row(f"recall of 3, {way}", 100 * hit / len(told.planted), "%", note=note)
    yield Row("records read", rate, "/s", note="parsed, not verified again")
    yield Row("a question, p50", percentile(asked, 50), "ms", note=f"worst {max(asked):.1f} ms")
