"""The state store in one SQLite file: the local hive's adapter.

WAL with `synchronous=NORMAL`: a kill -9 loses nothing committed, a power cut at most the last commits, and those
are read again from the archive. A file that is damaged, of another schema, or deleted under the running process
is replaced by an empty one, because everything in it can be made again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, cast

import structlog

from bzzz_scribe.errors import StoreError
from bzzz_scribe.store import Block, Changes, DiscussionKey, Document
from hmmm.envelope import canonical_json, parse_json
from hmmm.errors import MalformedError
from hmmm.identity import IssueIdentity

SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE agents (node_id TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE discussions (
    repository TEXT, number INTEGER, epoch INTEGER, log_key TEXT, document BLOB NOT NULL,
    PRIMARY KEY (repository, number, epoch, log_key)
) WITHOUT ROWID;
CREATE TABLE cards (serial INTEGER PRIMARY KEY, card BLOB NOT NULL);
CREATE TABLE blocks (
    log_key TEXT, seq INTEGER, repository TEXT, number INTEGER, epoch INTEGER, block BLOB NOT NULL,
    PRIMARY KEY (log_key, seq)
);
CREATE INDEX blocks_by_issue ON blocks (log_key, repository, number, epoch, seq);
"""
MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_PAGE: Final = 256
"""Rows read at a time, so that a reader never holds the lock for long."""

log = structlog.get_logger("bzzz.scribe.store")


class SqliteStore:
    """`StateStore` over a file. Calls may come from any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db = self._open_or_replace()
        self._inode = _inode(path)

    def positions(self) -> dict[str, int]:
        """Return for each log how many of its blocks are held; writes leave no gaps."""
        rows = self._read("SELECT log_key, MAX(seq) + 1 FROM blocks GROUP BY log_key")
        return {cast("str", key): cast("int", length) for key, length in rows}

    def blocks(self, log_key: str, issue: IssueIdentity | None = None) -> Iterator[Block]:
        """Return a log's blocks in order; only those of an issue if one is named."""
        where, names = "", ()
        if issue is not None:
            where = " AND repository = ? AND number = ? AND epoch = ?"
            names = (issue.repository, issue.number, issue.epoch)
        query = (
            "SELECT seq, repository, number, epoch, block FROM blocks "  # noqa: S608 -- `where` is one of two constants
            f"WHERE log_key = ? AND seq > ?{where} ORDER BY seq LIMIT {_PAGE}"
        )
        last = -1
        while rows := self._read(query, (log_key, last, *names)):
            for seq, repository, number, epoch, block in rows:
                last = cast("int", seq)
                named = repository is not None
                identity = (
                    IssueIdentity.model_validate({"repository": repository, "number": number, "epoch": epoch})
                    if named
                    else None
                )
                yield Block(log_key, last, identity, cast("bytes", block))

    def agents(self) -> dict[str, Document]:
        """Return the agents as last written, by node id."""
        rows = self._read("SELECT node_id, document FROM agents")
        return {cast("str", node): _document(document) for node, document in rows}

    def discussions(self) -> dict[DiscussionKey, Document]:
        """Return the discussions as last written."""
        rows = self._read("SELECT repository, number, epoch, log_key, document FROM discussions")
        return {
            DiscussionKey(
                cast("str", repository), cast("int", number), cast("int", epoch), cast("str", key)
            ): _document(document)
            for repository, number, epoch, key, document in rows
        }

    def cards(self) -> dict[int, bytes]:
        """Return the membership cards held, by serial."""
        rows = self._read("SELECT serial, card FROM cards")
        return {cast("int", serial): cast("bytes", card) for serial, card in rows}

    def write(self, changes: Changes) -> None:
        """Write changes in one transaction. Raises StoreError; then nothing of them is written."""
        agents = [(node, canonical_json(document)) for node, document in changes.agents.items()]
        discussions = [
            (k.repository, k.number, k.epoch, k.log_key, canonical_json(document))
            for k, document in changes.discussions.items()
        ]
        blocks = [(b.log_key, b.seq, *_names(b.issue), b.data) for b in changes.blocks]

        def run(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO agents VALUES (?, ?)", agents)
            db.executemany("INSERT OR REPLACE INTO discussions VALUES (?, ?, ?, ?, ?)", discussions)
            db.executemany("INSERT OR REPLACE INTO cards VALUES (?, ?)", list(changes.cards.items()))
            db.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)", blocks)

        self._transact(run)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _read(self, query: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, parameters).fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: cannot be read: {error}; it is tried again") from error

    def _transact(self, run: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock:
            if _inode(self.path) != self._inode:
                self._replace("it was deleted or replaced under the running process")
                raise StoreError(f"{self.path}: was deleted or replaced; started anew, to be filled again")
            try:
                with self._db:
                    self._db.execute("BEGIN IMMEDIATE")
                    run(self._db)
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                    self._set_aside(str(error))
                    self._replace(str(error))
                raise StoreError(f"{self.path}: cannot be written: {error}; it is tried again") from error

    def _replace(self, why: str) -> None:
        log.warning("state store started anew", path=str(self.path), why=why)
        self._db.close()
        self._db = self._open_or_replace()
        self._inode = _inode(self.path)

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open()
        except (sqlite3.OperationalError, OSError) as error:
            raise StoreError(
                f"{self.path}: cannot be opened: {error}; expected a writable folder and free space"
            ) from error
        except sqlite3.DatabaseError as error:
            self._set_aside(str(error))
            return self._open()

    def _open(self) -> sqlite3.Connection:
        """Open the file, made if absent. Raises sqlite3.DatabaseError when it is not ours."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=5)
        try:
            (version,) = cast("tuple[int]", db.execute("PRAGMA user_version").fetchone())
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if version not in {0, SCHEMA_VERSION}:
                _refuse_schema(version)
            if version == 0:
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            db.execute("SELECT COUNT(*) FROM discussions").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self, why: str) -> None:
        log.warning("state store is not usable and set aside", path=str(self.path), why=why)
        self.path.replace(self.path.with_name(self.path.name + ".unusable"))
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).unlink()


def _refuse_schema(version: int) -> NoReturn:
    raise sqlite3.DatabaseError(f"schema {version}, expected {SCHEMA_VERSION}")


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _names(issue: IssueIdentity | None) -> tuple[str | None, int | None, int | None]:
    return (None, None, None) if issue is None else (issue.repository, issue.number, issue.epoch)


def _document(raw: object) -> Document:
    try:
        return parse_json(cast("bytes", raw), limit=MAX_DOCUMENT_BYTES, what="stored document")
    except MalformedError:
        return {}  # differs from every real document, so it is written again
