"""Reading records: Avro, JSON lines, Parquet."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import fastavro

from broker_plugin.records.parquet import pyarrow
from broker_plugin.records.schema import defaults, known_versions, newest_of_major

_MAX_LINE = 16 * 1024 * 1024
_PARQUET_BATCH = 4096


def read_records(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Read a file of records, one by one; the suffix says the format, as for ``open_writer``.

    Each record is a dict of the schema's fields: ids are exact integers, ``produced_at`` is a datetime in
    UTC, ``classifications`` a list of dicts.  A record of an older minor version gets the defaults of the
    fields that came later; one of a newer minor version keeps the fields that this package doesn't know.

    Raises
    ------
    ValueError
        The suffix is none of the known ones, the file or a line of it can't be read, or a record is of a
        major version that this package has no schema of.
    ImportError
        The file is Parquet and pyarrow isn't installed.
    OSError
        The file can't be opened.
    """
    for row in scan(path):
        if row.record is None:
            raise ValueError(f"{os.fspath(path)}, {row.place}: {row.problem}")
        yield _complete(row.record, f"{os.fspath(path)}, {row.place}")


class Row(NamedTuple):
    """One record of a file as it stands there, or what keeps it from being read."""

    place: str
    record: dict[str, Any] | None
    problem: str | None = None


def scan(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Go through a file whatever is in it; raises only where it can't be opened, or has an unknown suffix."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SCANNERS:
        raise ValueError(f"can't tell the format of {os.fspath(path)!r}: the suffix must be {', '.join(_SCANNERS)}")
    with open(path, "rb") as file:
        yield from _SCANNERS[suffix](file)


def parse_time(text: str) -> datetime:
    """Time of an ISO 8601 text with a zone.

    Raises
    ------
    ValueError
        It is no such text.
    """
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time.astimezone(timezone.utc)


def _scan_json_lines(file: IO[bytes]) -> Iterator[Row]:
    number = 0
    while line := file.readline(_MAX_LINE + 1):
        number += 1
        place = f"line {number}"
        if len(line) > _MAX_LINE and not line.endswith(b"\n"):
            yield Row(place, None, f"longer than {_MAX_LINE} bytes")
            while (rest := file.readline(_MAX_LINE)) and not rest.endswith(b"\n"):
                pass
        elif line.strip():
            yield _json_row(place, line)


def _json_row(place: str, line: bytes) -> Row:
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        return Row(place, None, f"not JSON: {exc}")
    if not isinstance(record, dict):
        return Row(place, None, "not a JSON object")
    time = record.get("produced_at")
    if isinstance(time, str):
        try:
            record["produced_at"] = parse_time(time)
        except (ValueError, OverflowError):
            return Row(place, None, f"produced_at is no ISO 8601 time with a zone: {time[:80]!r}")
    return Row(place, record)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")


def _scan_avro(file: IO[bytes]) -> Iterator[Row]:
    # As written, without a reader schema: read_records fills in what is missing alike for every format.
    return _numbered(lambda: cast(Iterator[Any], fastavro.reader(file)), "Avro")


def _scan_parquet(file: IO[bytes]) -> Iterator[Row]:
    parquet = pyarrow("pyarrow.parquet")

    def rows() -> Iterator[Any]:
        for batch in parquet.ParquetFile(file).iter_batches(batch_size=_PARQUET_BATCH):
            yield from batch.to_pylist()

    return _numbered(rows, "Parquet")


def _numbered(start: Callable[[], Iterator[Any]], form: str) -> Iterator[Row]:
    number = 0
    try:
        for number, record in enumerate(start(), 1):
            place = f"record {number}"
            if not isinstance(record, dict):
                yield Row(place, None, f"a {type(record).__name__}, not a record")
                continue
            time = record.get("produced_at")
            if isinstance(time, datetime) and time.tzinfo is not None:
                record["produced_at"] = time.astimezone(timezone.utc)
            yield Row(place, record)
    # A damaged file makes the decoders raise nearly anything: struct.error, zlib.error, EOFError, KeyError...
    except Exception as exc:
        yield Row(f"record {number + 1}", None, f"not readable as {form}: {type(exc).__name__}: {exc}"[:500])


def _complete(record: dict[str, Any], place: str) -> dict[str, Any]:
    version = record.get("schema_version")
    newest = newest_of_major(version) if isinstance(version, str) else None
    if newest is None:
        known = ", ".join(known_versions())
        raise ValueError(f"{place}: schema_version is {version!r:.80}; this package knows {known}")
    for name, default in defaults(newest).items():
        if name not in record:
            record[name] = copy.copy(default)
    return record


_SCANNERS: dict[str, Callable[[IO[bytes]], Iterator[Row]]] = {
    ".avro": _scan_avro,
    ".jsonl": _scan_json_lines,
    ".parquet": _scan_parquet,
}
