"""Objects remembered in one SQLite file, by any number of threads and processes of one machine.

The file is in WAL mode with ``synchronous=NORMAL``: a commit is a write to the log that the operating system has
taken, so it outlives the process, however that ends, and costs no wait for the disk.  SQLite waits for the disk when it
moves the log into the file; after a loss of power the batches since then may be missing, the last ones first, and the
file is whole.  ``synchronous=FULL`` would keep those too, for one wait a batch: a broker can read them again from its
stream instead.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from broker_plugin.history.detection import ObjectKey, Row
from broker_plugin.history.limits import Limits, Merged, merge
from broker_plugin.history.store import HistoryError, ObjectStore, Stats, newer_version, no_store, other_form

VERSION = 1
_APPLICATION_ID = 0x42504849  # "BPHI": tells our files from those of others
_BUSY_S = 30.0
_RETRY_S = 0.01
_CACHE_KIB = 65536
# 16 MB of log: to move it into the file four times less often than SQLite would takes a third off the cost of an alert.
_CHECKPOINT_PAGES = 4000
_SCHEMA = f"""
CREATE TABLE store (form TEXT NOT NULL, touches INTEGER NOT NULL, objects INTEGER NOT NULL, detections INTEGER NOT NULL,
                    bytes INTEGER NOT NULL);
CREATE TABLE object (number INTEGER PRIMARY KEY, survey TEXT NOT NULL, object_id TEXT NOT NULL,
                     touched INTEGER NOT NULL, detections INTEGER NOT NULL, bytes INTEGER NOT NULL,
                     UNIQUE (survey, object_id));
CREATE INDEX object_touched ON object (touched);
CREATE TABLE detection (object INTEGER NOT NULL, alert_id INTEGER NOT NULL, data BLOB NOT NULL,
                        PRIMARY KEY (object, alert_id));
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


class SqliteStore(ObjectStore):
    """Objects in one file.

    Connections can't be carried through a fork, so they are closed before one, and each process opens its own when it
    next needs it.

    Parameters
    ----------
    path
        The file; made where there is none, in a folder that is there.
    form
        Stands for how stamps and values were prepared.
    limits
        How much is kept.

    Raises
    ------
    HistoryError
        The file can't be opened, is something else, or holds another form or a newer version.
    """

    def __init__(self, path: Path, form: str, limits: Limits) -> None:
        super().__init__(str(path), limits)
        self._path = path.absolute()  # the process may change its folder before it opens the file again
        self._form = form
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._closed = False
        with _stores_lock:
            _stores.add(self)
        with self._lock:
            self._open()

    def forget(self, keys: Iterable[ObjectKey]) -> None:
        with self._transaction("IMMEDIATE") as db:
            for key in keys:
                row = db.execute(_FIND, (key.survey, key.object_id)).fetchone()
                if row is not None:
                    _delete(db, row[0])

    def stats(self) -> Stats:
        with self._transaction("DEFERRED") as db:
            return Stats(*db.execute("SELECT objects, detections, bytes FROM store").fetchone())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    def _merge(self, batch: Mapping[ObjectKey, list[Row]]) -> dict[ObjectKey, Sequence[Row]]:
        after: dict[ObjectKey, Sequence[Row]] = {}
        # Takes the file's one write lock before it reads, so that nobody writes in between.
        with self._transaction("IMMEDIATE") as db:
            for key, new in batch.items():
                found = db.execute(_FIND, (key.survey, key.object_id)).fetchone()
                before = [] if found is None else self._rows(key, _encoded(db, found[0]))
                merged = merge(before, new, self.limits)
                after[key] = merged.after
                if merged.changes:
                    _write(db, key, merged)
            self._evict(db)
        return after

    def _read(self, keys: Sequence[ObjectKey]) -> list[Sequence[Row]]:
        with self._transaction("DEFERRED") as db:
            found = [db.execute(_FIND, (key.survey, key.object_id)).fetchone() for key in keys]
            encoded = [[] if row is None else _encoded(db, row[0]) for row in found]
        return [self._rows(key, data) for key, data in zip(keys, encoded, strict=True)]

    def _evict(self, db: sqlite3.Connection) -> None:
        while self.limits.max_bytes is not None and _total_bytes(db) > self.limits.max_bytes:
            _delete(db, db.execute("SELECT number FROM object ORDER BY touched LIMIT 1").fetchone()[0])

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self._open()
            with _errors_of(self._path):
                try:
                    db.execute(f"BEGIN {kind}")
                    yield db
                    db.execute("COMMIT")
                finally:
                    if db.in_transaction:
                        db.execute("ROLLBACK")

    def _open(self) -> sqlite3.Connection:
        """This process's connection."""
        if self._closed:
            raise HistoryError(f"{self._path} is closed")
        if self._connection is None:
            self._connection = _connect(self._path, self._form)
            self._owner = os.getpid()
        elif self._owner != os.getpid():
            raise HistoryError(
                f"{self._path} was open when this process was forked without Python's knowledge: "
                "close it before such a fork, or open it after"
            )
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None and self._owner == os.getpid():
            self._connection.close()
            self._connection = None


def held_form(path: Path) -> str:
    """The form of what a file holds.  Nothing is made or changed.

    Raises
    ------
    HistoryError
        There is no file, it can't be opened, it holds nothing or something else, or is of a newer version.
    """
    if not path.exists():
        raise HistoryError(no_store(str(path)))
    with _errors_of(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as db:
        if _is_new(db, path):
            raise HistoryError(no_store(str(path)))
        return str(db.execute("SELECT form FROM store").fetchone()[0])


_FIND = "SELECT number FROM object WHERE survey = ? AND object_id = ?"


def _encoded(db: sqlite3.Connection, number: int) -> list[bytes]:
    return [data for (data,) in db.execute("SELECT data FROM detection WHERE object = ?", (number,))]


def _write(db: sqlite3.Connection, key: ObjectKey, merged: Merged) -> None:
    added = (merged.added_detections, merged.added_bytes)
    db.execute(
        "UPDATE store SET touches = touches + 1, objects = objects + ?, detections = detections + ?, bytes = bytes + ?",
        (0 if merged.before else 1, *added),
    )
    ((number,),) = db.execute(
        "INSERT INTO object (survey, object_id, touched, detections, bytes)"
        " VALUES (?, ?, (SELECT touches FROM store), ?, ?) ON CONFLICT DO UPDATE SET"
        " touched = excluded.touched, detections = detections + excluded.detections, bytes = bytes + excluded.bytes"
        " RETURNING number",
        (key.survey, key.object_id, *added),
    ).fetchall()
    db.executemany("DELETE FROM detection WHERE object = ? AND alert_id = ?", [(number, i) for i in merged.drop])
    db.executemany(
        "INSERT OR REPLACE INTO detection VALUES (?, ?, ?)", [(number, row.alert_id, row.data) for row in merged.put]
    )


def _delete(db: sqlite3.Connection, number: int) -> None:
    lost = db.execute("SELECT detections, bytes FROM object WHERE number = ?", (number,)).fetchone()
    db.execute("UPDATE store SET objects = objects - 1, detections = detections - ?, bytes = bytes - ?", lost)
    db.execute("DELETE FROM detection WHERE object = ?", (number,))
    db.execute("DELETE FROM object WHERE number = ?", (number,))


def _total_bytes(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT bytes FROM store").fetchone()[0])


def _connect(path: Path, form: str) -> sqlite3.Connection:
    if not path.parent.is_dir():
        raise HistoryError(f"{path}: there is no folder {path.parent}")
    with _errors_of(path):
        # Transactions are begun and ended by hand; the store's own lock keeps threads apart.
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path, form)
        except BaseException:
            db.close()
            raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, form: str) -> None:
    """Look before anything is written whether the file is ours, and make it where it is new."""
    db.execute("BEGIN")  # one look at one moment: another process may be making it
    new = _is_new(db, path)
    db.execute("COMMIT")
    if new:
        _turn_to_wal(db)
        db.execute("BEGIN IMMEDIATE")
        if _is_new(db, path):  # still: another process may have been first
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
            db.execute("INSERT INTO store VALUES (?, 0, 0, 0, 0)", (form,))
        db.execute("COMMIT")
    ((held,),) = db.execute("SELECT form FROM store").fetchall()
    if held != form:
        raise HistoryError(other_form(str(path), held, form, f"delete {path}, {path}-wal and {path}-shm"))
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    db.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")


def _turn_to_wal(db: sqlite3.Connection) -> None:
    """Of several that try at the same time SQLite lets one through and refuses the others at once, without a wait."""
    deadline_s = time.monotonic() + _BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def _is_new(db: sqlite3.Connection, path: Path) -> bool:
    application, version, tables = (
        db.execute(query).fetchone()[0]
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if application == _APPLICATION_ID and version > VERSION:
        raise HistoryError(newer_version(str(path), version, VERSION))
    if application != _APPLICATION_ID and tables:
        raise HistoryError(f"{path} is an SQLite database of something else")
    return bool(tables == 0)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """SQLite's own words are plain: "file is not a database", "database or disk is full", "database is locked"."""
    try:
        yield
    except sqlite3.Error as problem:
        raise HistoryError(f"{path}: {problem}") from problem


_stores: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_stores_lock = threading.Lock()
_held: list[SqliteStore] = []


def _before_fork() -> None:
    """Close every connection, once its transaction is over, and let none be opened until the fork is done."""
    _stores_lock.acquire()
    for store in _stores:
        store._lock.acquire()
        _held.append(store)
        store._disconnect()


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()
    _stores_lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
