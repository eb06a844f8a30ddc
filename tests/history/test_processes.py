"""Processes that write at the same time, are killed while they write, or are forked."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from broker_plugin.history import HistoryError, ObjectStore

from . import writer
from .conftest import Backend, RedisBackend, SqliteBackend
from .samples import SN, detection, ids

KILLS_OF_ONE_FILE = 20
MOST_BATCHES = 4  # that a child writes before its last moment is chosen: SQLite's log is emptied after three
MOST_MS = 8.0  # until then: a batch takes some 2 ms


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, writer.__file__, *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, bufsize=1
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str], word: object = "") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def acknowledged_by_a_killed_child(process: subprocess.Popen[str], first: int, moment: random.Random) -> list[int]:
    """Numbers of the batches that a child said were committed, before it was killed."""
    say(process, first)
    child = int(hear(process))
    heard = [hear(process) for _ in range(moment.randint(0, MOST_BATCHES))]
    time.sleep(moment.uniform(0.0, MOST_MS) / 1000)
    os.kill(child, signal.SIGKILL)
    return [int(word) for word in [*heard, *iter(lambda: hear(process), "dead")]]


def present(store: ObjectStore, number: int) -> int:
    """How many detections of a batch are there."""
    batch = writer.batch(number)
    known = store.recall([key for key, _ in batch])
    return sum(one.alert_id in [d.alert_id for d in some] for (_, one), some in zip(batch, known, strict=True))


def check_nothing_lost(store: ObjectStore, acknowledged: Sequence[int], next_number: int) -> int:
    """Everything acknowledged is there, the one that was not is there wholly or not at all; how many there are."""
    for number in acknowledged:
        assert present(store, number) == writer.IN_BATCH, f"batch {number} was acknowledged"
    unacknowledged = present(store, next_number)
    assert unacknowledged in (0, writer.IN_BATCH), f"of batch {next_number} a part is there"
    return next_number + bool(unacknowledged)


def check_whole(path: Path) -> None:
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        counted = "SELECT (SELECT count(*) FROM object), count(*), coalesce(sum(length(data)), 0) FROM detection"
        totals = db.execute("SELECT objects, detections, bytes FROM store").fetchone()
        assert totals == db.execute(counted).fetchone()
    finally:
        db.close()


def kill_and_check(backend: Backend, kills: int, seed: int) -> int:
    """Kill as many children one after the other, and check what each one left; how many batches there are."""
    moment = random.Random(seed)
    number = 0
    with running("killed", backend.url) as process:
        for _ in range(kills):
            acknowledged = acknowledged_by_a_killed_child(process, number, moment)
            assert acknowledged == list(range(number, number + len(acknowledged)))
            with backend.open(writer.LIMITS) as store:
                if isinstance(backend, SqliteBackend):
                    check_whole(backend.path)
                number = check_nothing_lost(store, acknowledged, number + len(acknowledged))
                assert store.stats().detections == number * writer.IN_BATCH
    return number


@pytest.mark.parametrize("seed", range(200 // KILLS_OF_ONE_FILE))
def test_a_killed_process_loses_nothing_that_sqlite_acknowledged(sqlite_backend: SqliteBackend, seed: int) -> None:
    assert kill_and_check(sqlite_backend, KILLS_OF_ONE_FILE, seed) > 0


def test_a_killed_process_loses_nothing_that_redis_acknowledged(redis_backend: RedisBackend) -> None:
    assert kill_and_check(redis_backend, 40, seed=0) > 0


def test_two_processes_that_write_to_one_object_lose_nothing(persistent: Backend) -> None:
    count = 60
    with ExitStack() as stack:
        racers = [stack.enter_context(running("races", persistent.url, str(i * count), str(count))) for i in range(3)]
        assert [hear(racer) for racer in racers] == ["ready"] * 3
        for racer in racers:
            say(racer)
        assert [racer.wait(60) for racer in racers] == [0] * 3
    with persistent.open(writer.LIMITS) as store:
        assert ids(store, writer.SHARED) == list(range(3 * count))
        assert store.stats().objects == 1 and store.stats().detections == 3 * count


FORKED = """
import os, sys
from broker_plugin.history import ObjectKey, open_store
sys.path.insert(0, sys.argv[2])
import writer

store = open_store(sys.argv[1], writer.FORM, writer.LIMITS)
store.remember([(writer.SHARED, writer.detection(0))])
child = os.fork()
for i in range(20):
    store.remember([(writer.SHARED, writer.detection(100 * (1 if child else 2) + i))])
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert len(store.recall([writer.SHARED])[0]) == 41
    store.close()
"""


def test_a_store_may_be_used_on_both_sides_of_a_fork(persistent: Backend) -> None:
    folder = str(Path(writer.__file__).parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", FORKED, persistent.url, folder], check=True, timeout=60, env=environment)
    with persistent.open(writer.LIMITS) as store:
        assert ids(store, writer.SHARED) == [0, *range(100, 120), *range(200, 220)]
    if isinstance(persistent, SqliteBackend):
        check_whole(persistent.path)


def test_a_fork_behind_the_back_of_python_is_noticed(
    sqlite_backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite_backend.open()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(HistoryError, match="was forked without Python's knowledge"):
        store.remember([(SN, detection(1))])
    monkeypatch.undo()
    store.remember([(SN, detection(1))])
    assert ids(store, SN) == [1]
