"""Things that take time to fetch: kept in memory, and waited for no longer than one has time."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

_IDLE_S = 10.0
_DETAIL_LENGTH = 300


class Sized(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def nbytes(self) -> int: ...


K = TypeVar("K")
V = TypeVar("V", bound=Sized)


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be fetched, why, and until when nobody should try again (of ``time.monotonic``)."""

    detail: str
    until_s: float
    nbytes: int = 200


class Fetcher(Generic[K, V]):
    """Values by their keys, from memory or from a function that fetches them.

    Where a caller has a deadline, a thread fetches, and what comes too late for that caller is in memory for the
    next.  The thread starts when it is first needed, in the process that needs it, and ends when it has had nothing
    to do for a while; nothing is carried over a fork.

    Parameters
    ----------
    fetch
        Gives values for some keys.  What it raises becomes a `Failure` of those keys.
    max_bytes
        Memory for values; those not asked for the longest go first.
    at_once
        How many keys to fetch in one call.
    max_pending
        How many keys may wait for the thread; those beyond are not fetched.
    retry_after_s
        How long a failure is believed.
    """

    def __init__(
        self,
        fetch: Callable[[Sequence[K]], Mapping[K, V]],
        *,
        max_bytes: int,
        at_once: int = 1,
        max_pending: int = 10_000,
        retry_after_s: float = 60.0,
    ) -> None:
        if max_bytes < 1:
            raise ValueError(f"the memory for a cache must be above 0 bytes, not {max_bytes}")
        self._fetch = fetch
        self._max_bytes = max_bytes
        self._at_once = at_once
        self._max_pending = max_pending
        self._retry_after_s = retry_after_s
        self._here: _Here[K, V] = _Here()

    def get(self, keys: Iterable[K], timeout_s: float | None) -> dict[K, V | Failure]:
        """Values of the keys, or why there is none; keys that are not there by then are left out.

        Parameters
        ----------
        timeout_s
            How long to wait.  None: fetch in this thread, for as long as it takes.
        """
        here = self._of_this_process()
        with here.lock:
            found = {key: value for key in dict.fromkeys(keys) if (value := self._remembered(here, key)) is not None}
            missing = [key for key in dict.fromkeys(keys) if key not in found]
            futures = {} if timeout_s is None else self._submit(here, missing)
        if timeout_s is None:
            for start in range(0, len(missing), self._at_once):
                found |= self._fetch_now(here, missing[start : start + self._at_once])
            return found
        wait(futures.values(), timeout=max(0.0, timeout_s))
        return found | {key: future.result() for key, future in futures.items() if future.done()}

    @property
    def nbytes(self) -> int:
        """Memory that the values take, in bytes."""
        return self._of_this_process().nbytes

    def _of_this_process(self) -> _Here[K, V]:
        # After a fork the lock may be held by a thread that isn't there any more: begin anew.
        if self._here.pid != os.getpid():
            self._here = _Here()
        return self._here

    def _remembered(self, here: _Here[K, V], key: K) -> V | Failure | None:
        value = here.values.get(key)
        if isinstance(value, Failure) and value.until_s < time.monotonic():
            self._forget(here, key)
            return None
        if value is not None:
            here.values.move_to_end(key)
        return value

    def _forget(self, here: _Here[K, V], key: K) -> None:
        value = here.values.pop(key, None)
        here.nbytes -= 0 if value is None else value.nbytes

    def _remember(self, here: _Here[K, V], values: Mapping[K, V | Failure]) -> None:
        for key, value in values.items():
            self._forget(here, key)
            here.values[key] = value
            here.nbytes += value.nbytes
        while here.nbytes > self._max_bytes:
            self._forget(here, next(iter(here.values)))

    def _submit(self, here: _Here[K, V], keys: Sequence[K]) -> dict[K, Future[V | Failure]]:
        futures = {}
        for key in keys:
            if key not in here.futures:
                if len(here.pending) >= self._max_pending:
                    continue
                here.futures[key] = Future()
                here.pending.append(key)
            futures[key] = here.futures[key]
        if here.pending and not here.is_working:
            # A daemon: an answer that nobody waits for must not keep the interpreter from ending.
            threading.Thread(target=self._work, args=(here,), name="broker_plugin.Fetcher", daemon=True).start()
            here.is_working = True
        elif here.pending:
            here.work.notify()
        return futures

    def _work(self, here: _Here[K, V]) -> None:
        while keys := self._next(here):
            fetched = self._fetch_now(here, keys)
            with here.lock:
                futures = [(here.futures.pop(key), fetched[key]) for key in keys]
            for future, value in futures:
                future.set_result(value)
            del fetched, futures  # or they would stay in memory until the next ones

    def _next(self, here: _Here[K, V]) -> list[K]:
        with here.lock:
            if not here.pending:
                here.work.wait(_IDLE_S)
            keys = [here.pending.popleft() for _ in range(min(self._at_once, len(here.pending)))]
            here.is_working = bool(keys)
            return keys

    def _fetch_now(self, here: _Here[K, V], keys: Sequence[K]) -> dict[K, V | Failure]:
        values: dict[K, V | Failure] = {}
        try:
            values.update(self._fetch(keys))
        except Exception as problem:  # noqa: BLE001 - a damaged file or a strange answer must not reach the batch
            values.update(dict.fromkeys(keys, self._failure(f"{type(problem).__name__}: {problem}")))
        for key in keys:
            values.setdefault(key, self._failure("the source has nothing to say about it"))
        with here.lock:
            self._remember(here, values)
        return values

    def _failure(self, detail: str) -> Failure:
        return Failure(" ".join(detail.split())[:_DETAIL_LENGTH], time.monotonic() + self._retry_after_s)


@dataclass
class _Here(Generic[K, V]):
    """What a `Fetcher` has in one process."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    values: OrderedDict[K, V | Failure] = field(default_factory=OrderedDict)
    nbytes: int = 0
    pending: deque[K] = field(default_factory=deque)
    futures: dict[K, Future[V | Failure]] = field(default_factory=dict)
    is_working: bool = False

    def __post_init__(self) -> None:
        self.work = threading.Condition(self.lock)
