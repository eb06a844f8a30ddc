"""Reading fields of an untrusted record: right type or a clear error, never a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from broker_plugin.alert import AlertError, Reason

_INT64_MAX = 2**63 - 1


class Fields:
    """One record, and the first thing found wrong with it.

    The readers return None for what is missing or of the wrong type, so that an identity can be read
    as far as it goes; `check` raises what was found wrong on the way.

    Parameters
    ----------
    record
        The record; anything but a mapping is a problem in itself.
    path
        What to put before a field's name in messages: ``"candidate."``.
    """

    def __init__(self, record: Any, path: str = "") -> None:
        self._path = path
        self.problem: AlertError | None = None
        self._record: Mapping[str, Any] = {}
        if isinstance(record, Mapping):
            self._record = record
        elif record is None:
            self._note(Reason.MISSING_FIELD, path.rstrip(".") or "the record", "is missing")
        else:
            self._note(Reason.INVALID_FIELD, path.rstrip(".") or "the record", f"is a {type(record).__name__}")

    def check(self) -> None:
        """Raise the first problem found, if there was one."""
        if self.problem is not None:
            raise self.problem

    def adopt(self, other: Fields) -> None:
        """Make the other record's problem this one's too, unless this one has its own."""
        self.problem = self.problem or other.problem

    def optional_id(self, name: str) -> int | None:
        """A 64-bit id.  A float is refused, whatever its value: above 2**53 its digits are gone."""
        value = self._record.get(name)
        number = whole_id(value)
        if number is None and value is not None:
            self._note(Reason.INVALID_FIELD, self._path + name, f"is not a 64-bit integer: {shown(value)}")
        return number

    def optional_text(self, name: str) -> str | None:
        """A string of at most 256 characters."""
        value = self._record.get(name)
        if value is None or (isinstance(value, str) and len(value) <= 256):
            return value
        self._note(Reason.INVALID_FIELD, self._path + name, f"is not a short string: {shown(value)}")
        return None

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A finite number that has to be there, from ``low`` to ``high``."""
        value = self._record.get(name)
        if value is None:
            self._note(Reason.MISSING_FIELD, self._path + name, "is missing")
            return None
        number = finite(value)
        if number is not None and low <= number <= high:
            return number
        self._note(Reason.INVALID_FIELD, self._path + name, f"is not a number from {low:g} to {high:g}: {shown(value)}")
        return None

    def require(self, value: object, name: str) -> None:
        """Note that ``name`` is missing where ``value`` is None and nothing else is wrong yet."""
        if value is None:
            self._note(Reason.MISSING_FIELD, self._path + name, "is missing")

    def _note(self, reason: Reason, name: str, what: str) -> None:
        if self.problem is None:
            self.problem = AlertError(reason, f"{name} {what}")


def whole_id(value: object) -> int | None:
    """A 64-bit id; None for anything else, a double among it."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and abs(int(value)) <= _INT64_MAX:
        return int(value)
    return None


def finite(value: object) -> float | None:
    """A number as a float; None for what is no number, not finite or beyond a double.  A boolean is no number."""
    if not isinstance(value, (float, int, np.floating, np.integer)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def plain_bytes(value: Any, name: str) -> bytes | None:
    """A cutout as bytes: given as such, or as a record with ``stampData``.

    Raises
    ------
    AlertError
        ``invalid_field``: neither of these.
    """
    if isinstance(value, Mapping):
        value = value.get("stampData")
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value) or None
    raise AlertError(Reason.INVALID_FIELD, f"{name} is not bytes: {shown(value)}")


def as_rows(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    """A list of records; None is an empty one, and a record by itself a list of one.

    Raises
    ------
    AlertError
        ``invalid_field``: something else.
    """
    if value is None:
        return ()
    rows = [value] if isinstance(value, Mapping) else value
    if isinstance(rows, (list, tuple, np.ndarray)) and all(isinstance(row, Mapping) for row in rows):
        return rows  # type: ignore[return-value]
    raise AlertError(Reason.INVALID_FIELD, f"{name} is not a list of records: {shown(value)}")


def schema_label(schema_name: str, version: str | None) -> str | None:
    """What to report as the input schema: the writer's name for it, and the version that the packet states."""
    if version is None or schema_name.endswith(version):
        return schema_name or None
    return f"{schema_name} ({version})" if schema_name else version


def shown(value: object) -> str:
    """A value as messages show it: numbers and strings as such, if short; of all else, its type."""
    if isinstance(value, int) and abs(value) > 10**60:  # Python refuses to write out the longest ones
        return f"an integer of {value.bit_length()} bits"
    text = repr(value[:60] if isinstance(value, str) else value) if isinstance(value, (int, float, str)) else ""
    if not text:
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def one_line(problem: BaseException) -> str:
    """An exception as messages show it: its type, and what it says, in one line."""
    try:
        text = " ".join(str(problem).split())
    except Exception:  # noqa: BLE001 - raised by an object out of a packet, as hostile as that
        text = ""
    return f"{type(problem).__name__}: {text[:160]}" if text else type(problem).__name__
