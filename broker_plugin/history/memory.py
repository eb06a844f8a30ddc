"""Objects remembered in this process, for as long as it lives."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from broker_plugin.history.detection import ObjectKey, Row
from broker_plugin.history.limits import Limits, merge
from broker_plugin.history.store import HistoryError, ObjectStore, Stats


class MemoryStore(ObjectStore):
    """Objects in memory.  After a fork each process goes on with a copy of its own."""

    def __init__(self, limits: Limits) -> None:
        super().__init__("memory:", limits)
        self._lock = threading.Lock()
        # In the order in which they last gained something.  Encoded: arrays and records would take more.
        self._objects: OrderedDict[ObjectKey, tuple[bytes, ...]] | None = OrderedDict()
        self._detections = 0
        self._bytes = 0

    def forget(self, keys: Iterable[ObjectKey]) -> None:
        with self._lock:
            for key in keys:
                self._subtract(self._open().pop(key, ()))

    def stats(self) -> Stats:
        with self._lock:
            return Stats(len(self._open()), self._detections, self._bytes)

    def close(self) -> None:
        with self._lock:
            self._objects = None

    def _merge(self, batch: Mapping[ObjectKey, list[Row]]) -> dict[ObjectKey, Sequence[Row]]:
        with self._lock:
            objects = self._open()
            merged = {key: merge(self._rows(key, objects.get(key, ())), new, self.limits) for key, new in batch.items()}
            for key, change in merged.items():
                if change.changes:
                    objects[key] = tuple(row.data for row in change.after)
                    objects.move_to_end(key)
                    self._detections += change.added_detections
                    self._bytes += change.added_bytes
            self._evict()
        return {key: change.after for key, change in merged.items()}

    def _read(self, keys: Sequence[ObjectKey]) -> list[Sequence[Row]]:
        with self._lock:
            objects = self._open()
            encoded = [objects.get(key, ()) for key in keys]
        return [self._rows(key, data) for key, data in zip(keys, encoded, strict=True)]

    def _evict(self) -> None:
        while self.limits.max_bytes is not None and self._bytes > self.limits.max_bytes:
            self._subtract(self._open().popitem(last=False)[1])

    def _subtract(self, encoded: tuple[bytes, ...]) -> None:
        self._detections -= len(encoded)
        self._bytes -= sum(map(len, encoded))

    def _open(self) -> OrderedDict[ObjectKey, tuple[bytes, ...]]:
        if self._objects is None:
            raise HistoryError(f"{self.address} is closed")
        return self._objects
