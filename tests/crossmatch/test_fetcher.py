"""What is fetched, kept, waited for, and not."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from broker_plugin.crossmatch.fetcher import Failure, Fetcher

LONG_S = 30.0
"""Longer than anything here takes, however busy the machine is."""


@dataclass(frozen=True)
class Value:
    of: int
    nbytes: int = 100


class Slow:
    """Fetches numbers, remembers what it was asked for, and waits at the gate before some of them."""

    def __init__(self, gated: Sequence[int] = ()) -> None:
        self.gated = gated
        self.gate = threading.Event()
        self.asked: list[list[int]] = []

    def __call__(self, keys: Sequence[int]) -> Mapping[int, Value]:
        self.asked.append(list(keys))
        if set(keys) & set(self.gated):
            self.gate.wait(LONG_S)
        return {key: Value(key) for key in keys}


def our_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "broker_plugin.Fetcher"]


def test_without_a_deadline_it_is_fetched_in_this_thread() -> None:
    before = our_threads()
    assert Fetcher(Slow(), max_bytes=1000).get([1, 2], None) == {1: Value(1), 2: Value(2)}
    assert our_threads() == before


def test_what_was_fetched_is_not_fetched_again() -> None:
    slow = Slow()
    fetcher = Fetcher(slow, max_bytes=1000)
    fetcher.get([1], None)
    fetcher.get([1, 1, 2], None)
    assert slow.asked == [[1], [2]]


def test_no_longer_than_the_deadline() -> None:
    slow = Slow(gated=[1])
    fetcher = Fetcher(slow, max_bytes=1000)
    started = time.monotonic()
    assert fetcher.get([1], 0.02) == {}
    assert time.monotonic() - started < LONG_S / 2
    slow.gate.set()


def test_what_is_there_by_the_deadline_is_given() -> None:
    slow = Slow(gated=[2])
    fetcher = Fetcher(slow, max_bytes=1000)
    fetcher.get([1], LONG_S)
    assert fetcher.get([1, 2, 3], 0.02) == {1: Value(1)}
    slow.gate.set()
    assert fetcher.get([1, 2, 3], LONG_S).keys() == {1, 2, 3}


def test_a_late_answer_is_there_next_time_and_asked_for_once() -> None:
    slow = Slow(gated=[1])
    fetcher = Fetcher(slow, max_bytes=1000)
    for _ in range(5):
        assert fetcher.get([1], 0.0) == {}
    slow.gate.set()
    assert fetcher.get([1], LONG_S) == {1: Value(1)}
    assert fetcher.get([1], 0.0) == {1: Value(1)}
    assert slow.asked == [[1]]


def test_several_who_wait_for_one_thing_all_get_it() -> None:
    slow = Slow(gated=[1])
    fetcher = Fetcher(slow, max_bytes=1000)
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(fetcher.get([1], LONG_S))) for _ in range(4)]
    for thread in threads:
        thread.start()
    slow.gate.set()
    for thread in threads:
        thread.join()
    assert got == [{1: Value(1)}] * 4
    assert slow.asked == [[1]]


def test_memory_is_bounded_and_what_was_used_last_stays() -> None:
    slow = Slow()
    fetcher = Fetcher(slow, max_bytes=350)
    fetcher.get([1, 2, 3], None)
    fetcher.get([1], None)
    fetcher.get([4], None)
    assert fetcher.nbytes == 300
    slow.asked.clear()
    fetcher.get([1, 3, 4], None)
    assert slow.asked == []
    fetcher.get([2], None)
    assert slow.asked == [[2]]


def test_what_is_too_large_to_keep_is_still_given() -> None:
    fetcher = Fetcher(lambda keys: {key: Value(key, 5000) for key in keys}, max_bytes=1000)
    assert fetcher.get([1], LONG_S) == {1: Value(1, 5000)}
    assert fetcher.nbytes == 0


def test_the_queue_is_bounded() -> None:
    slow = Slow(gated=[0])
    fetcher = Fetcher(slow, max_bytes=10_000, max_pending=3)
    fetcher.get(range(100), 0.0)
    slow.gate.set()
    fetcher.get([0, 1, 2], LONG_S)
    assert fetcher.get(range(3, 100), 0.0) == {}
    assert [keys for keys in slow.asked if keys[0] < 3] == [[0], [1], [2]]


def test_keys_are_fetched_together() -> None:
    slow = Slow()
    Fetcher(slow, max_bytes=10_000, at_once=4).get(range(10), LONG_S)
    assert [len(keys) for keys in slow.asked] == [4, 4, 2]


class Fails:
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, keys: Sequence[int]) -> Mapping[int, Value]:
        self.asked += 1
        raise OSError(f"no disk\n{'x' * 1000}")


@pytest.mark.parametrize("timeout_s", [None, LONG_S])
def test_a_failure_is_a_value_and_believed_for_a_while(timeout_s: float | None) -> None:
    fails = Fails()
    fetcher = Fetcher(fails, max_bytes=10_000, retry_after_s=3600.0)
    for _ in range(2):
        failure = fetcher.get([1], timeout_s)[1]
        assert isinstance(failure, Failure)
        assert failure.detail.startswith("OSError: no disk x")
        assert len(failure.detail) == 300
    assert fails.asked == 1


def test_after_a_while_a_failure_is_tried_again() -> None:
    fails = Fails()
    fetcher = Fetcher(fails, max_bytes=10_000, retry_after_s=0.0)
    fetcher.get([1], None)
    time.sleep(0.01)
    fetcher.get([1], None)
    assert fails.asked == 2


def test_the_thread_outlives_a_failure() -> None:
    def fail_of_one(keys: Sequence[int]) -> Mapping[int, Value]:
        if 1 in keys:
            raise MemoryError
        return {key: Value(key) for key in keys}

    fetcher = Fetcher(fail_of_one, max_bytes=10_000)
    assert isinstance(fetcher.get([1], LONG_S)[1], Failure)
    assert fetcher.get([2], LONG_S) == {2: Value(2)}


def test_the_thread_ends_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker_plugin.crossmatch.fetcher._IDLE_S", 0.05)
    before = our_threads()
    fetcher = Fetcher(Slow(), max_bytes=1000)
    fetcher.get([1], LONG_S)
    for thread in set(our_threads()) - set(before):
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert fetcher.get([2], LONG_S) == {2: Value(2)}, "and begins again when there is"


def test_no_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="0 bytes"):
        Fetcher(Slow(), max_bytes=0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_it_works_on_both_sides_of_a_fork() -> None:
    """Forked while its thread is at work and its lock is held."""
    slow = Slow(gated=[1])
    fetcher = Fetcher(slow, max_bytes=1000)
    fetcher.get([1, 2, 3], 0.0)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with fetcher._here.lock:
        child = context.Process(target=lambda: results.put(sorted(fetcher.get([2, 3], LONG_S))))
        child.start()
    assert results.get(timeout=LONG_S) == [2, 3]
    child.join(LONG_S)
    slow.gate.set()
    assert fetcher.get([1, 2, 3], LONG_S).keys() == {1, 2, 3}


def test_importing_and_making_starts_no_thread() -> None:
    code = (
        "import threading; from broker_plugin.crossmatch import Sources;"
        "from broker_plugin.crossmatch.fetcher import Fetcher;"
        "Sources([]); Fetcher(dict, max_bytes=1); print(threading.active_count())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_an_answer_that_nobody_waits_for_does_not_keep_the_program() -> None:
    code = (
        "import time; from broker_plugin.crossmatch.fetcher import Fetcher;"
        "Fetcher(lambda keys: time.sleep(1000), max_bytes=1).get([1], 0.0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
