"""What every store of objects can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from broker_plugin.history.detection import ObjectKey, RememberedDetection, Row, decode, encode, row_of
from broker_plugin.history.limits import Limits


class HistoryError(Exception):
    """A store can't be opened, read or written.  The message names the store and says what can be done."""


class DamagedObjectError(HistoryError):
    """What a store holds of an object is not what was written.  `ObjectStore.forget` takes it out of the way.

    Attributes
    ----------
    key
        The object.
    """

    def __init__(self, address: str, key: ObjectKey, problem: str) -> None:
        super().__init__(f"{address}: a detection of {key} is damaged: {problem}")
        self.key = key


@dataclass(frozen=True, slots=True)
class Stats:
    """How much a store holds.

    Attributes
    ----------
    objects, detections
        Their numbers.
    bytes
        Of the encoded detections, which `Limits.max_bytes` bounds.  Files and servers need more: ``docs/history.md``.
    """

    objects: int
    detections: int
    bytes: int


class ObjectStore(ABC):
    """The latest detections of each object.  Every method may be called from any thread.

    A batch is remembered wholly or, where it raises, not at all.

    Parameters
    ----------
    address
        Where it is, for messages: no password may stand in it.
    limits
        How much is kept.  Lower limits than those of before hold for an object once it is remembered again.
    """

    def __init__(self, address: str, limits: Limits) -> None:
        self.address = address
        self.limits = limits

    def remember(self, items: Sequence[tuple[ObjectKey, RememberedDetection]]) -> None:
        """Add a batch of detections.  One that is known already changes nothing.

        Returns once the batch is safe from the end of this process (memory: while the process lives).

        Raises
        ------
        HistoryError
            The store can't be read or written; `DamagedObjectError` where it is one of these objects.
        ValueError
            A detection can't be encoded.
        """
        self._merge(_encoded_by_object(items))

    def remember_and_recall(
        self, items: Sequence[tuple[ObjectKey, RememberedDetection]]
    ) -> dict[ObjectKey, tuple[RememberedDetection, ...]]:
        """`remember`, then everything known of each object of the batch, for the price of the former.

        An object of the batch is in the answer even where the limit of bytes leaves it no room in the store.
        """
        return {key: _decoded(rows) for key, rows in self._merge(_encoded_by_object(items)).items()}

    def recall(self, keys: Sequence[ObjectKey]) -> list[tuple[RememberedDetection, ...]]:
        """The detections of each object by mjd, then alert id; none of an object that is not known.

        Raises
        ------
        HistoryError
            The store can't be read; `DamagedObjectError` where it is one of these objects.
        """
        return [_decoded(rows) for rows in self._read(keys)]

    @abstractmethod
    def forget(self, keys: Iterable[ObjectKey]) -> None:
        """Throw away everything known of objects."""

    @abstractmethod
    def stats(self) -> Stats:
        """How much is in the store now."""

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds open.  Nothing else may be called afterwards."""

    def __enter__(self) -> ObjectStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _merge(self, batch: Mapping[ObjectKey, list[Row]]) -> dict[ObjectKey, Sequence[Row]]:
        """Merge rows into their objects, all or none; the rows of each afterwards, rising."""

    @abstractmethod
    def _read(self, keys: Sequence[ObjectKey]) -> list[Sequence[Row]]:
        """The rows of each object, rising."""

    def _rows(self, key: ObjectKey, encoded: Iterable[bytes]) -> list[Row]:
        """What the store holds of one object, checked, rising."""
        try:
            return sorted(row_of(data) for data in encoded)
        except ValueError as problem:
            raise DamagedObjectError(self.address, key, str(problem)) from problem


def _encoded_by_object(items: Iterable[tuple[ObjectKey, RememberedDetection]]) -> dict[ObjectKey, list[Row]]:
    batch: dict[ObjectKey, list[Row]] = {}
    for key, detection in items:
        batch.setdefault(key, []).append(encode(detection))
    return batch


def _decoded(rows: Iterable[Row]) -> tuple[RememberedDetection, ...]:
    return tuple(decode(row) for row in rows)


def other_form(address: str, held: str, wanted: str, throw_away: str) -> str:
    """What to tell of a store whose detections were prepared in another way."""
    return (
        f"{address} holds detections of the form {held!r}, and those of {wanted!r} are wanted: the model or its"
        f" preprocessing is another. Name another store for this model, or throw this one away: {throw_away}"
    )


def newer_version(address: str, found: int, known: int) -> str:
    """What to tell of a store that a later release of the package made."""
    return f"{address} was made by a newer broker_plugin (store version {found}; this one knows {known}): update it"


def no_store(address: str) -> str:
    """What to tell where a store is looked for that nobody has made."""
    return f"{address}: there is no store of objects"
