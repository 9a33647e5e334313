"""The scribe shows what the claimants' logs say, and comes back to the same whatever happens to it."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import psutil

from tests.scribe.rig import Rig, Voice
from tests.support.processes import eventually


def mid_debate(rig: Rig) -> Voice:
    """An objection on the table in the first round of a debate."""
    voice = rig.agent("bzzz-0")
    chair = voice.claimant
    chair.claim()
    chair.propose()
    chair.pass_time(2)
    chair.objection(rig.hive.node("bzzz-1"), reason="x.py is the wrong file")
    voice.write()
    return voice


def stored_blocks(rig: Rig) -> int:
    """How many blocks the store holds."""
    if not rig.state_file.exists():
        return -1
    with closing(sqlite3.connect(f"file:{rig.state_file}?mode=ro", uri=True)) as db:
        try:
            return int(db.execute("SELECT COUNT(*) FROM blocks").fetchone()[0])
        except sqlite3.OperationalError:
            return -1  # it is being made


def test_a_discussion_is_shown_while_it_goes_on(rig: Rig) -> None:
    voice = mid_debate(rig)
    rig.start()
    rig.wait_folded(voice)
    shown = rig.discussion()
    assert shown is not None
    assert (shown["phase"], shown["round"], shown["claimant"]) == ("Listening", 1, "bzzz-0")
    assert [(o["nodeId"], o["severity"], o["status"]) for o in shown["objections"]] == [
        ("bzzz-1", "blocking", "open")
    ]
    assert shown["openBlocking"] == 1
    assert shown["deadline"] == "2026-01-01T00:00:30.000Z"
    assert shown["phaseTimestamps"]["Planning"] == "2026-01-01T00:00:00.000Z"
    (agent,) = rig.state()["agents"]
    assert (agent["nodeId"], agent["issue"]) == ("bzzz-0", "acme/widgets#42")

    voice.claimant.pass_time(30)
    voice.claimant.close()
    voice.write()
    rig.wait_folded(voice)
    shown = rig.discussion()
    assert shown is not None
    assert (shown["phase"], shown["rounds"][0]["next"]) == ("Revising", "revise")
    assert rig.live.stop() == 0


def test_a_store_deleted_mid_debate_is_made_again_to_the_byte(rig: Rig) -> None:
    voice = mid_debate(rig)
    rig.start()
    rig.wait_folded(voice)
    before = rig.export()
    assert rig.live.stop() == 0
    assert rig.state_file.exists()
    rig.state_file.unlink()
    rig.start()
    rig.wait_folded(voice)
    assert rig.export() == before
    assert json.loads(before)["discussions"][0]["openBlocking"] == 1


def test_a_store_deleted_under_the_running_scribe_is_filled_again(rig: Rig) -> None:
    voice = mid_debate(rig)
    rig.start()
    rig.wait_folded(voice)
    before = rig.discussion()
    rig.state_file.unlink()
    voice.claimant.pass_time(30)
    voice.claimant.close()
    voice.write()
    rig.wait_folded(voice)
    eventually(lambda: stored_blocks(rig) == voice.written, what="the new store holds every block")
    after = rig.export()
    assert rig.discussion() != before
    assert rig.live.stop() == 0
    rig.archive.live.kill()  # what it knows now, it knows from its store
    rig.start()
    assert rig.export() == after


def test_killed_at_any_moment_it_comes_back_to_the_same(rig: Rig) -> None:
    voice = mid_debate(rig)
    rig.start()
    chair = voice.claimant
    for _ in range(3):
        chair.reviewing(rig.hive.node("bzzz-2")) if chair.state.closing is None else None
        voice.write()
        rig.live.kill()
        rig.start()
    rig.wait_folded(voice)
    survivor = rig.export()
    assert rig.live.stop() == 0
    rig.state_file.unlink()
    rig.start()
    rig.wait_folded(voice)
    assert rig.export() == survivor


def test_without_the_archive_it_serves_what_it_knows_and_says_so(rig: Rig) -> None:
    voice = mid_debate(rig)
    rig.start()
    rig.wait_folded(voice)
    known = rig.export()
    rig.archive.live.kill()
    eventually(lambda: rig.state()["archive"] == "away", what="the scribe says that the archive is away")
    assert rig.export() == known

    port = rig.archive.live.ready["url"].rpartition(":")[2]
    rig.archive.config["http"]["port"] = int(port)
    rig.archive.start()
    voice.claimant.pass_time(30)
    voice.claimant.close()
    voice.write()
    rig.wait_folded(voice)
    assert rig.state()["archive"] == "here"
    assert rig.live.running


def test_an_archive_that_is_away_at_the_start_is_waited_for(rig: Rig) -> None:
    voice = mid_debate(rig)
    rig.archive.wait_held(voice.log, voice.written)
    rig.archive.live.kill()
    rig.start()
    assert rig.state()["archive"] == "away"
    rig.archive.config["http"]["port"] = int(rig.archive.live.ready["url"].rpartition(":")[2])
    rig.archive.start()
    rig.wait_folded(voice)
    assert rig.discussion() is not None


def test_discussions_about_foreign_repositories_are_not_shown(rig: Rig) -> None:
    rig.config["repositories"] = ["acme/gadgets"]
    voice = mid_debate(rig)
    rig.start()
    rig.wait_folded(voice)
    assert rig.state()["discussions"] == []


def test_an_idle_scribe_writes_nothing_to_its_store(rig: Rig) -> None:
    voice = mid_debate(rig)
    rig.start()
    rig.wait_folded(voice)

    def writes() -> float:
        lines = rig.ask("/metrics").text.splitlines()
        done = 'bzzz_scribe_store_writes_total{result="done"}'
        return sum(float(line.split()[1]) for line in lines if line.startswith(done))

    def settled() -> float:
        before = writes()
        looks = rig.ask("/api/state").status_code
        return before if looks == 200 and writes() == before and before > 0 else 0

    settled_at = eventually(settled, what="the first writes are done")
    eventually(lambda: rig.live.running and _seconds_up(rig) > 8, within=30, what="several seconds idle")
    assert writes() <= settled_at + 1  # at most the write that was still gathering


def _seconds_up(rig: Rig) -> float:
    return time.time() - psutil.Process(rig.live.pid).create_time()


def test_an_older_claim_is_over_once_the_issue_was_taken_over(rig: Rig) -> None:
    first = mid_debate(rig)
    second = rig.agent("bzzz-3", issue=first.claimant.issue.at_epoch(2))
    second.claimant.claim()
    second.write()
    rig.start()
    rig.wait_folded(first, second)
    shown = [(d["claimant"], d["epoch"], d["live"], d["superseded"]) for d in rig.state()["discussions"]]
    assert shown == [("bzzz-0", 1, False, True), ("bzzz-3", 2, True, False)]
    issues = {agent["nodeId"]: agent["issue"] for agent in rig.state()["agents"]}
    assert issues == {"bzzz-0": None, "bzzz-3": "acme/widgets#42"}
    before = rig.export()
    rig.live.kill()
    rig.start()
    assert rig.export() == before


def test_blocks_that_are_no_records_are_passed_over_and_counted(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    chair = voice.claimant
    chair.append(b'{"id":"x-1","kind":"nonsense"}')
    chair.append(
        b'{"id":"x-2","at":"2026-01-01T00:00:00Z","kind":"claimed","data":{"title":7},"issue":{"a":1}}'
    )
    chair.append(b'{"id":"x-3","at":"2026-01-01T00:00:00Z","kind":"of_tomorrow","data":{"card":"garbage"}}')
    chair.claim()
    chair.propose()
    voice.write()
    rig.start()
    rig.wait_folded(voice)
    shown = rig.discussion()
    assert shown is not None
    assert (shown["phase"], shown["firstSeq"]) == ("Listening", 4)
    assert 'bzzz_scribe_blocks_total{result="refused"} 2.0' in rig.ask("/metrics").text
