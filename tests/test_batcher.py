"""The batcher: full batches at once, parts of one at their deadline, nothing lost."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest

from broker_plugin.batcher import Batcher

GENEROUS_S = 30.0  # for what ought to take milliseconds, on a machine that others use


class Recorder:
    """Echoes a batch, and remembers it; waits for ``gate`` first, if that is closed."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, alerts: list[Any]) -> list[Any]:
        self.batches.append(list(alerts))
        self.entered.set()
        assert self.gate.wait(GENEROUS_S)
        return [[alert] for alert in alerts]


def test_a_full_batch_runs_at_once() -> None:
    call = Recorder()
    with Batcher(call, max_batch=4, max_wait_ms=1e9) as batcher:
        futures = [batcher.submit(i) for i in range(8)]
        assert [f.result(GENEROUS_S) for f in futures] == [[i] for i in range(8)]
    assert call.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_part_of_a_batch_runs_at_its_deadline() -> None:
    call = Recorder()
    with Batcher(call, max_batch=100, max_wait_ms=100) as batcher:
        start = time.monotonic()
        futures = [batcher.submit(i) for i in range(3)]
        assert [f.result(GENEROUS_S) for f in futures] == [[0], [1], [2]]
        assert time.monotonic() - start >= 0.09
    assert call.batches[0][0] == 0


def test_the_deadline_is_the_oldest_alerts() -> None:
    # Alerts come all the time, each well before the wait of the one before is over.
    call = Recorder()
    with Batcher(call, max_batch=10**6, max_wait_ms=60) as batcher:
        end = time.monotonic() + GENEROUS_S
        while not call.batches and time.monotonic() < end:
            batcher.submit(0)
            time.sleep(0.005)
    assert len(call.batches[0]) >= 1
    assert time.monotonic() < end


def test_waiting_takes_no_processor_time() -> None:
    with Batcher(Recorder(), max_batch=10, max_wait_ms=500) as batcher:
        before = time.process_time()
        batcher.submit(0).result(GENEROUS_S)
        assert time.process_time() - before < 0.25


def test_many_submitters() -> None:
    call = Recorder()
    results: dict[int, list[Any]] = {}

    def submit(start: int) -> None:
        futures = [batcher.submit(start + i) for i in range(200)]
        results[start] = [f.result(GENEROUS_S) for f in futures]

    with Batcher(call, max_batch=64, max_wait_ms=5, max_pending=100) as batcher:
        threads = [threading.Thread(target=submit, args=(1000 * i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GENEROUS_S)
    assert results == {1000 * i: [[1000 * i + j] for j in range(200)] for i in range(16)}
    assert max(map(len, call.batches)) <= 64
    seen = [alert for batch in call.batches for alert in batch]
    assert len(seen) == 3200
    for i in range(16):  # the alerts of one submitter stay in order
        assert [alert for alert in seen if alert // 1000 == i] == [1000 * i + j for j in range(200)]


def test_close_drains_what_waits() -> None:
    call = Recorder()
    batcher = Batcher(call, max_batch=4, max_wait_ms=1e9)
    futures = [batcher.submit(i) for i in range(4 + 3)]
    batcher.close()
    batcher.close()
    assert all(f.done() for f in futures)
    assert call.batches == [[0, 1, 2, 3], [4, 5, 6]]
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(9)


def test_cancelled_alerts_are_dropped() -> None:
    call = Recorder()
    call.gate.clear()
    with Batcher(call, max_batch=2, max_wait_ms=1e9) as batcher:
        running = [batcher.submit(0), batcher.submit(1)]
        assert call.entered.wait(GENEROUS_S)
        assert not running[0].cancel()  # its batch has started
        waiting = [batcher.submit(i) for i in range(2, 8)]
        assert waiting[0].cancel()
        assert waiting[2].cancel()
        assert waiting[3].cancel()
        call.gate.set()
    assert call.batches == [[0, 1], [3], [6, 7]]  # 4 and 5 were both cancelled: no call at all
    with pytest.raises(CancelledError):
        waiting[0].result(0)


def test_an_exception_is_its_own_batchs() -> None:
    def call(alerts: list[Any]) -> list[Any]:
        if "bad" in alerts:
            raise ValueError("bad batch")
        if "few" in alerts:
            return []
        if "exit" in alerts:
            raise SystemExit
        return [[alert] for alert in alerts]

    with Batcher(call, max_batch=2, max_wait_ms=1e9) as batcher:
        futures = [batcher.submit(a) for a in ("a", "bad", "b", "few", "c", "exit", "d", "e")]
        errors = [type(f.exception(GENEROUS_S)) for f in futures]
    assert errors == [ValueError] * 2 + [RuntimeError] * 2 + [SystemExit] * 2 + [type(None)] * 2


def test_a_full_queue_holds_submitters_back() -> None:
    call = Recorder()
    call.gate.clear()
    submitted = []

    def submit() -> None:
        for i in range(10):
            batcher.submit(i)
            submitted.append(i)

    with Batcher(call, max_batch=100, max_wait_ms=1e9, max_pending=3) as batcher:
        thread = threading.Thread(target=submit)
        thread.start()
        assert call.entered.wait(GENEROUS_S)  # a full queue is a full batch, though max_batch is larger
        time.sleep(0.1)
        assert len(submitted) == 6  # three run, three wait
        call.gate.set()
        thread.join(GENEROUS_S)
        assert len(submitted) == 10
    assert [len(batch) for batch in call.batches] == [3, 3, 3, 1]


def test_closing_wakes_a_submitter_that_is_held_back() -> None:
    call = Recorder()
    call.gate.clear()
    outcome: Future[str] = Future()

    def submit() -> None:
        try:
            batcher.submit("late")
        except RuntimeError as error:
            outcome.set_result(str(error))

    batcher = Batcher(call, max_batch=1, max_wait_ms=0, max_pending=1)
    batcher.submit(0)
    assert call.entered.wait(GENEROUS_S)
    batcher.submit(1)
    late = threading.Thread(target=submit)
    late.start()
    time.sleep(0.05)
    closer = threading.Thread(target=batcher.close)
    closer.start()
    assert "closed" in outcome.result(GENEROUS_S)
    call.gate.set()
    closer.join(GENEROUS_S)
    late.join(GENEROUS_S)
    assert call.batches == [[0], [1]]


def test_a_callback_may_submit_and_close() -> None:
    call = Recorder()
    batcher = Batcher(call, max_batch=1, max_wait_ms=0, max_pending=1)
    second: list[Future[Any]] = []

    def callback(future: Future[Any]) -> None:
        second.extend(batcher.submit(i) for i in (1, 2, 3))
        batcher.close()

    call.gate.clear()
    batcher.submit(0).add_done_callback(callback)
    call.gate.set()
    batcher._worker.join(GENEROUS_S)
    assert wait(second, GENEROUS_S).not_done == set()
    assert call.batches == [[0], [1], [2], [3]]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # a fork among threads is the point
def test_a_batcher_made_before_a_fork_says_so() -> None:
    with Batcher(Recorder()) as batcher:
        pid = os.fork()
        if pid == 0:
            try:
                batcher.submit(0)
            except RuntimeError as error:
                os._exit(17 if "after the fork" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 17


@pytest.mark.parametrize(
    "options", [{"max_batch": 0}, {"max_wait_ms": -1}, {"max_wait_ms": float("nan")}, {"max_pending": 0}]
)
def test_nonsensical_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="or more"):
        Batcher(Recorder(), **options)
