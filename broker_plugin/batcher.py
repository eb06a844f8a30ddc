"""Batches out of alerts that come one at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from broker_plugin.hookspecs import AlertInput
from broker_plugin.records.record import ClassificationRecord


class Classifies(Protocol):
    """Anything that classifies a batch: a `Host`, a `Stage`."""

    def on_alerts(self, alerts: Sequence[Any], /) -> Sequence[list[ClassificationRecord]]:
        """One list of records for each alert, in the order given."""
        ...


@dataclass(frozen=True, slots=True)
class _Pending:
    alert: AlertInput
    future: Future[list[ClassificationRecord]]
    deadline_s: float  # of time.monotonic


class Batcher:
    """Makes batches out of alerts that come one at a time, from any number of threads.

    A batch runs, in a thread of the batcher's own, as soon as ``max_batch`` alerts wait or the
    oldest of them has waited ``max_wait_ms``.  Batches run one after the other and hold the alerts
    in the order in which they were submitted.  Make it after a fork, like what it calls, and close
    it before that is torn down.

    Parameters
    ----------
    target
        A `Host` or a `Stage`, or a function that takes a list of alerts and returns one list of
        records for each of them.
    max_batch
        Largest number of alerts in a batch.
    max_wait_ms
        Longest time, in milliseconds, that an alert waits for others while the worker is free.
    max_pending
        Largest number of alerts that wait; at that number `submit` blocks, which holds back a
        reader that is faster than the model.  None: no bound.
    """

    def __init__(
        self,
        target: Classifies | Callable[[list[AlertInput]], Sequence[list[ClassificationRecord]]],
        max_batch: int = 128,
        max_wait_ms: float = 20.0,
        *,
        max_pending: int | None = None,
    ) -> None:
        if max_batch < 1 or not max_wait_ms >= 0 or (max_pending is not None and max_pending < 1):
            raise ValueError(
                f"max_batch ({max_batch}) and max_pending ({max_pending}) must be 1 or more,"
                f" max_wait_ms ({max_wait_ms}) 0 or more"
            )
        self._call = target if callable(target) else target.on_alerts
        self._max_batch = max_batch
        self._max_wait_s = max_wait_ms / 1000.0
        self._max_pending = max_pending
        # A queue that may not hold a whole batch is full before the batch is.
        self._full_batch = max_batch if max_pending is None else min(max_batch, max_pending)
        self._queue: deque[_Pending] = deque()
        self._closed = False
        lock = threading.Lock()
        self._work = threading.Condition(lock)  # the worker waits on it
        self._space = threading.Condition(lock)  # submitters wait on it
        # A daemon, so that a batcher that nobody closed doesn't keep the interpreter from ending.
        self._worker = threading.Thread(target=self._run, name="broker_plugin.Batcher", daemon=True)
        self._worker.start()

    def submit(self, alert: AlertInput) -> Future[list[ClassificationRecord]]:
        """Queue an alert; blocks while ``max_pending`` alerts wait.

        Returns
        -------
        concurrent.futures.Future
            Of the alert's records.  Cancelled before its batch starts, the alert is dropped.  It
            holds the exception if the call of its batch raises.  Its callbacks run in the worker's
            thread: they delay the next batch, and what they submit never blocks.

        Raises
        ------
        RuntimeError
            The batcher is closed, or was made before a fork and has no worker in this process.
        """
        future: Future[list[ClassificationRecord]] = Future()
        with self._work:
            while self._is_full() and not self._closed and self._worker.is_alive():
                self._space.wait()
            if self._closed:
                raise RuntimeError("the batcher is closed")
            if not self._worker.is_alive():
                raise RuntimeError("the batcher has no worker in this process: make it after the fork")
            self._queue.append(_Pending(alert, future, time.monotonic() + self._max_wait_s))
            # Between these two the worker only waits for the deadline, which stays the first one's.
            if len(self._queue) in (1, self._full_batch):
                self._work.notify()
        return future

    def close(self) -> None:
        """Take no more alerts, classify at once those that wait, and return when that is done."""
        with self._work:
            self._closed = True
            self._work.notify_all()
            self._space.notify_all()
        if threading.current_thread() is not self._worker:
            self._worker.join()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _is_full(self) -> bool:
        if self._max_pending is None or threading.current_thread() is self._worker:
            return False  # the worker makes the space: if it waited for it, it would wait for ever
        return len(self._queue) >= self._max_pending

    def _run(self) -> None:
        while batch := self._next_batch():
            # From here on a future can't be cancelled any more.
            batch = [pending for pending in batch if pending.future.set_running_or_notify_cancel()]
            if batch:
                self._classify(batch)
            del batch  # or its packets would stay in memory until the next one

    def _next_batch(self) -> list[_Pending]:
        """The next batch, when its time has come; empty when the batcher is closed and nothing waits."""
        with self._work:
            while not self._closed and len(self._queue) < self._full_batch:
                if not self._queue:
                    self._work.wait()
                    continue
                wait_s = self._queue[0].deadline_s - time.monotonic()
                if wait_s <= 0:
                    break
                self._work.wait(min(wait_s, threading.TIMEOUT_MAX))
            batch = [self._queue.popleft() for _ in range(min(self._max_batch, len(self._queue)))]
            self._space.notify_all()
            return batch

    def _classify(self, batch: list[_Pending]) -> None:
        try:
            results = self._call([pending.alert for pending in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results came back for a batch of {len(batch)} alerts")
        except BaseException as error:  # noqa: BLE001 - as concurrent.futures does: it is the waiting threads' to handle
            for pending in batch:
                pending.future.set_exception(error)
            return
        for pending, records in zip(batch, results, strict=True):
            pending.future.set_result(records)
