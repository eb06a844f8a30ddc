"""What stays of an object, and why the order in which its detections arrive does not matter.

Rows of one object have a total order: by mjd, then alert id, then stamps (those with stamps are greater), then their
bytes.  Two rules say what an object holds after a set S of rows was remembered:

1. Of the rows with the same alert id only the greatest counts.  A repeated row therefore changes nothing, and one with
   stamps takes the place of one without.  Where two packets tell one alert differently, the same one wins whichever
   came first; "the first stays" would not do that.  The time comes before the stamps so that an alert can only move
   forward: if it could move back, the rows that it had pushed out would be missed.  Packets of one survey give
   one alert the same time.
2. Of what counts, in rising order, both limits cut off the low end: all but the last ``max_detections`` rows, and all
   rows more than ``max_days`` older than the last.  What is left, L(S), is all rows that count above some threshold.

Then L(L(S) + T) = L(S + T) for any later rows T, so batches in any order and division give L(all rows).  Adding rows
never lowers one that counts, by rule 1; so neither the n-th highest of them nor the newest ever falls, and the
threshold only rises.  A row that L(S) left out lies below the threshold of S and hence of S + T, where it would be
left out again; and what puts the threshold of S + T where it is, its highest rows, are in T or were never left out
of L(S).

The limit in bytes is of the store, not of an object, and takes away whole objects, those first that have gained
nothing for longest.  Which these are does depend on the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker_plugin.history.detection import Row


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Attributes
    ----------
    max_detections
        Of an object; the latest stay.
    max_days
        Between an object's newest detection and the oldest that is kept.  None: no limit.
    max_bytes
        Of all encoded detections together.  None: no limit.
    """

    max_detections: int = 8
    max_days: float | None = None
    max_bytes: int | None = 2_000_000_000

    def __post_init__(self) -> None:
        if self.max_detections < 1:
            raise ValueError(f"max_detections is {self.max_detections}: it must be 1 or more")
        if self.max_days is not None and not self.max_days >= 0:
            raise ValueError(f"max_days is {self.max_days}: it must be 0 or more")
        if self.max_bytes is not None and self.max_bytes < 1:
            raise ValueError(f"max_bytes is {self.max_bytes}: it must be 1 or more")


@dataclass(frozen=True, slots=True)
class Merged:
    """What becomes of an object.

    Attributes
    ----------
    before, after
        All its rows, rising.
    put
        Rows to write, each in place of any with the same alert id.
    drop
        Alert ids of rows to delete.
    """

    before: Sequence[Row]
    after: Sequence[Row]
    put: Sequence[Row]
    drop: Sequence[int]

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.put or self.drop)

    @property
    def added_detections(self) -> int:
        """How many more the object has, which may be negative."""
        return len(self.after) - len(self.before)

    @property
    def added_bytes(self) -> int:
        """How many more the object has, which may be negative."""
        return size_bytes(self.after) - size_bytes(self.before)


def merge(before: Sequence[Row], new: Iterable[Row], limits: Limits) -> Merged:
    """What an object holds once more rows of it are remembered."""
    known = {row.alert_id: row for row in before}
    greatest = dict(known)
    for row in new:
        greatest[row.alert_id] = max(greatest.get(row.alert_id, row), row)  # of equals the first, which is known
    after = _within(sorted(greatest.values()), limits)
    staying = {row.alert_id for row in after}
    return Merged(
        before,
        after,
        put=[row for row in after if row is not known.get(row.alert_id)],
        drop=[row.alert_id for row in before if row.alert_id not in staying],
    )


def size_bytes(rows: Iterable[Row]) -> int:
    """What rows count for in the limit of the store."""
    return sum(len(row.data) for row in rows)


def _within(rows: list[Row], limits: Limits) -> list[Row]:
    rows = rows[-limits.max_detections :]
    if limits.max_days is None or not rows:
        return rows
    oldest_mjd = rows[-1].mjd - limits.max_days
    return [row for row in rows if row.mjd >= oldest_mjd]
