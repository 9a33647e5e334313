"""The SQLite store gives back what it took, and may vanish, be damaged or be another's at any time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from bzzz_scribe.errors import StoreError
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.outbox import Outbox
from bzzz_scribe.sqlite_store import SqliteStore
from bzzz_scribe.store import Block, Changes, DiscussionKey
from hmmm.identity import IssueIdentity

KEY, OTHER = "a" * 64, "b" * 64
ISSUE = IssueIdentity(repository="acme/widgets", number=42, epoch=1)


def blocks(count: int, *, key: str = KEY, first: int = 0) -> list[Block]:
    return [
        Block(key, seq, ISSUE if seq % 2 else None, f"block {seq}".encode()) for seq in range(first, count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        yield opened


def test_what_was_written_is_there_after_reopening(store: SqliteStore, path: Path) -> None:
    name = DiscussionKey.of(KEY, ISSUE)
    written = Changes({"bzzz-0": {"a": [1]}}, {name: {"phase": "Listening"}}, {7: b"card"}, blocks(600))
    store.write(written)
    store.close()
    with closing(SqliteStore(path)) as again:
        assert again.positions() == {KEY: 600}
        assert list(again.blocks(KEY)) == written.blocks
        assert [b.seq for b in again.blocks(KEY, ISSUE)] == list(range(1, 600, 2))
        assert list(again.blocks(OTHER)) == []
        assert (again.agents(), again.cards()) == ({"bzzz-0": {"a": [1]}}, {7: b"card"})
        assert again.discussions() == {name: {"phase": "Listening"}}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([KEY, OTHER]), st.binary(max_size=50)), max_size=40))
def test_any_blocks_come_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "state.db"
    with closing(SqliteStore(path)) as store:
        logs: dict[str, list[bytes]] = {}
        for key, data in said:
            logs.setdefault(key, []).append(data)
            store.write(Changes(blocks=[Block(key, len(logs[key]) - 1, None, data)]))
        assert {key: [b.data for b in store.blocks(key)] for key in logs} == logs
        assert store.positions() == {key: len(data) for key, data in logs.items()}


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_and_started_anew(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with closing(SqliteStore(path)) as store:
        assert store.positions() == {}
        store.write(Changes(blocks=blocks(3)))
        assert store.positions() == {KEY: 3}
    assert path.with_name("state.db.unusable").read_bytes() == content


def test_another_schema_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("CREATE TABLE blocks (what TEXT)")
        db.commit()
    with closing(SqliteStore(path)) as store:
        assert store.positions() == {}


def test_a_folder_that_cannot_be_made_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="expected a writable folder"):
        SqliteStore(tmp_path / "file" / "state.db")


def test_a_write_is_all_or_nothing(store: SqliteStore) -> None:
    broken = Block(KEY, 1, None, None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        store.write(Changes(agents={"bzzz-0": {}}, blocks=[*blocks(1), broken]))
    assert (store.positions(), store.agents()) == ({}, {})


def outbox_over(store: SqliteStore) -> Outbox:
    return Outbox(store, ScribeMetrics(CollectorRegistry()))


async def test_the_same_again_is_not_written(store: SqliteStore) -> None:
    name = DiscussionKey.of(KEY, ISSUE)
    outbox = outbox_over(store)
    outbox.put_discussion(name, {"phase": "Listening"})
    outbox.put_agent("bzzz-0", {"load": 1})
    await outbox.flush()
    with closing(sqlite3.connect(store.path)) as watcher:

        def version() -> int:
            return int(watcher.execute("PRAGMA data_version").fetchone()[0])

        before = version()
        for again in (outbox, outbox_over(store)):
            await again.load()
            again.put_discussion(name, {"phase": "Listening"})
            again.put_agent("bzzz-0", {"load": 1})
            await again.flush()
        assert version() == before
        outbox.put_agent("bzzz-0", {"load": 2})
        await outbox.flush()
        assert version() != before


async def test_changes_gather_and_are_written_together(store: SqliteStore) -> None:
    outbox = outbox_over(store)
    with closing(sqlite3.connect(store.path)) as watcher:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.run)
            for seq, block in enumerate(blocks(50)):
                outbox.put_block(block)
                outbox.put_agent("bzzz-0", {"load": seq})
            with trio.fail_after(5):
                while not watcher.execute("SELECT COUNT(*) FROM agents").fetchone()[0]:
                    await trio.sleep(0.01)
            assert watcher.execute("SELECT COUNT(*) FROM blocks").fetchone()[0] == 50
            nursery.cancel_scope.cancel()


async def test_a_block_out_of_its_place_is_passed_over(store: SqliteStore) -> None:
    outbox = outbox_over(store)
    for block in [*blocks(2), *blocks(5, first=3), *blocks(1)]:
        outbox.put_block(block)
    await outbox.flush()
    assert store.positions() == {KEY: 2}
    assert outbox.position(KEY) == 2


async def test_after_a_store_was_lost_documents_are_written_again_and_blocks_asked_for(
    store: SqliteStore,
) -> None:
    outbox, asked = outbox_over(store), list[bool]()
    outbox.on_reason_to_read = lambda: asked.append(True)
    outbox.put_agent("bzzz-0", {"load": 1})
    for block in blocks(3):
        outbox.put_block(block)
    await outbox.flush()
    store.path.unlink()
    outbox.put_agent("bzzz-1", {"load": 1})
    with pytest.raises(StoreError, match="deleted or replaced"):
        await outbox.flush()
    assert outbox.position(KEY) == 0
    assert asked
    await outbox.flush()
    assert set(store.agents()) == {"bzzz-0", "bzzz-1"}
