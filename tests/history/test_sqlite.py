"""What is particular to SQLite: the file, its neighbours, and what can be wrong with them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker_plugin.history import HistoryError, open_store, sqlite

from .conftest import SqliteBackend
from .samples import AGN, FORM, SN, detection, ids

NOBODY = 65534


def test_it_is_one_file_once_it_is_closed(sqlite_backend: SqliteBackend, tmp_path: Path) -> None:
    with sqlite_backend.open() as store:
        store.remember([(SN, detection(1))])
    assert list(tmp_path.iterdir()) == [sqlite_backend.path]


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes. " * 100)
    with pytest.raises(HistoryError, match=r"notes\.txt: file is not a database"):
        open_store(str(path), FORM)
    assert path.read_text() == "These are notes. " * 100


def test_the_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(HistoryError, match=r"other\.db is an SQLite database of something else"):
        open_store(str(path), FORM)
    assert path.read_bytes() == before


def test_a_damaged_file_is_an_error_that_names_it(sqlite_backend: SqliteBackend) -> None:
    with sqlite_backend.open() as store:
        store.remember([(SN, detection(i, stamped=True, size=20)) for i in range(8)])
    damaged = bytearray(sqlite_backend.path.read_bytes())
    damaged[4096:] = os.urandom(len(damaged) - 4096)
    sqlite_backend.path.write_bytes(damaged)
    with pytest.raises(HistoryError, match=r"store-0\.db: "):
        sqlite_backend.open()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"there is no folder .*missing"):
        open_store(str(tmp_path / "missing" / "store.db"), FORM)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="unable to open database file"):
        open_store(str(tmp_path), FORM)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process can't write into while the test runs, even where tests run as root."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    with open_store(str(folder / "there.db"), FORM) as store:
        store.remember([(SN, detection(1))])
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_in_a_read_only_folder_no_store_is_made(read_only_folder: Path) -> None:
    with pytest.raises(HistoryError, match=r"new\.db: unable to open database file"):
        open_store(str(read_only_folder / "new.db"), FORM)


def test_in_a_read_only_folder_none_is_opened(read_only_folder: Path) -> None:
    with pytest.raises(HistoryError, match=r"there\.db: "):
        open_store(str(read_only_folder / "there.db"), FORM)


def test_a_full_disk_is_an_error_and_leaves_what_was_there(sqlite_backend: SqliteBackend) -> None:
    with sqlite_backend.open() as store:
        store.remember([(SN, detection(1))])
        store._connection.execute("PRAGMA max_page_count = 12")  # SQLite answers as it does on a full disk
        batch = [(AGN, detection(i, stamped=True, size=30)) for i in range(8)]
        with pytest.raises(HistoryError, match="database or disk is full"):
            store.remember(batch)
        assert ids(store, SN) == [1] and ids(store, AGN) == []
        store._connection.execute("PRAGMA max_page_count = 4294967294")
        store.remember(batch)
        assert ids(store, AGN) == list(range(8))


def test_a_store_that_somebody_else_locks_is_an_error_after_a_while(
    sqlite_backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_S", 0.05)
    with sqlite_backend.open() as store:
        other = sqlite3.connect(sqlite_backend.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="database is locked"):
            store.remember([(SN, detection(1))])
        assert store.recall([SN]) == [()], "reading needs no lock"
        other.execute("ROLLBACK")
        other.close()
        store.remember([(SN, detection(1))])


def test_many_may_make_the_same_store_at_the_same_time(tmp_path: Path) -> None:
    for number in range(20):
        url, barrier = f"sqlite:{tmp_path}/{number}.db", threading.Barrier(4)

        def open_and_remember(alert_id: int, url: str = url, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            with open_store(url, FORM) as store:
                store.remember([(SN, detection(alert_id))])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(open_and_remember, range(4)))
        with open_store(url, FORM) as store:
            assert ids(store, SN) == [0, 1, 2, 3]


def test_the_file_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:here.db", FORM) as store:
        store.remember([(SN, detection(1))])
        store._disconnect()
        monkeypatch.chdir("/")
        assert ids(store, SN) == [1]


def test_commits_outlive_the_process_but_do_not_wait_for_the_disk(sqlite_backend: SqliteBackend) -> None:
    with sqlite_backend.open() as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_the_file_stays_within_reach_of_the_limit(sqlite_backend: SqliteBackend) -> None:
    """What is deleted is used again: a store at its limit grows no further."""
    from broker_plugin.history import Limits, ObjectKey

    with sqlite_backend.open(Limits(max_bytes=1_000_000)) as store:
        for number in range(60):
            store.remember([(ObjectKey("ztf", f"{number}-{i}"), detection(i, stamped=True, size=33)) for i in range(8)])
        assert 990_000 < store.stats().bytes <= 1_000_000
    assert sqlite_backend.path.stat().st_size < 1_500_000
