"""Writing records: Avro, JSON lines, Parquet."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from fastavro.write import Writer as _FastavroWriter

from broker_plugin.records.parquet import arrow_schema, pyarrow
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.records.schema import parsed_schema

_LONG = 2**63
_AVRO_BLOCK_BYTES = 256 * 1024
_PARQUET_ROW_GROUP = 20_000  # some 40 MB while it is gathered


def open_writer(path: str | os.PathLike[str]) -> RecordWriter:
    """A writer of records, to be used in a ``with`` statement.

    The suffix says the format: ``.avro`` (object container file, with the schema), ``.jsonl`` (one JSON
    object a line) or ``.parquet``.  ``"-"`` is JSON lines on standard output.

    A file is written under a temporary name beside the final one and gets that name, in place of what may
    be there, when the ``with`` block ends well.  If an exception leaves the block, nothing is kept.

    Raises
    ------
    ValueError
        The suffix is none of these.
    ImportError
        Parquet is asked for and pyarrow isn't installed.
    """
    if path == "-":
        return _StdoutWriter()
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in _ENCODERS:
        raise ValueError(f"can't tell the format of {str(target)!r}: the suffix must be {', '.join(_ENCODERS)}")
    if suffix == ".parquet":
        pyarrow("pyarrow.parquet")  # better missed now than after a night's work
    return _FileWriter(target, _ENCODERS[suffix])


class RecordWriter(ABC):
    """Takes records and writes them; what `open_writer` gives."""

    @abstractmethod
    def write(self, records: Iterable[ClassificationRecord]) -> None:
        """Write some records, in the order given; may be called any number of times.

        Raises
        ------
        ValueError
            A record has a number that isn't finite, an id that isn't a 64-bit integer, or a time without
            a zone.  Nothing can be written after that, and a file is not kept.
        """

    @abstractmethod
    def __enter__(self) -> RecordWriter: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class _StdoutWriter(RecordWriter):
    def write(self, records: Iterable[ClassificationRecord]) -> None:
        for record in records:
            sys.stdout.write(to_json(record) + "\n")
        sys.stdout.flush()  # who reads the pipe sees each batch when it is done

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class _FileWriter(RecordWriter):
    def __init__(self, target: Path, encoder: type[_Encoder]) -> None:
        self._target = target
        # Hidden and with another suffix, so that nobody's *.avro picks it up; random, so that two writers of
        # one name don't meet.
        self._partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.part")
        self._make_encoder = encoder
        self._file: IO[bytes] | None = None
        self._encoder: _Encoder | None = None
        self._failed = False

    def __enter__(self) -> RecordWriter:
        self._file = self._partial.open("xb")
        try:
            self._encoder = self._make_encoder(self._file)
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, records: Iterable[ClassificationRecord]) -> None:
        encoder = self._encoder
        if encoder is None or self._failed:
            raise ValueError(f"the writer of {self._target} is not open, or has failed")
        try:
            for record in records:
                _check(record)
                encoder.add(record)
        except BaseException:
            self._failed = True  # half a record may be in the block: this file can't be completed
            raise

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None and self._encoder is not None  # noqa: S101 - for the type checker
        if kind is not None:
            self._discard()
            return
        try:
            if self._failed:
                raise ValueError(f"{self._target} was not written: an earlier write failed")
            self._encoder.finish()
            self._file.flush()
            os.fsync(self._file.fileno())  # the name must not outlive the content in a power cut
            self._file.close()
            os.replace(self._partial, self._target)
        except BaseException:
            self._discard()
            raise
        self._encoder = None

    def _discard(self) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        if self._encoder is not None:
            self._encoder.abandon()
            self._encoder = None
        self._file.close()
        self._partial.unlink(missing_ok=True)


class _Encoder(ABC):
    """One format: gets records one by one, and keeps no more of them than a block."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @abstractmethod
    def add(self, record: ClassificationRecord) -> None: ...

    @abstractmethod
    def finish(self) -> None: ...

    def abandon(self) -> None:  # noqa: B027 - most formats hold nothing
        """Let go of the file, which is about to be removed."""


class _AvroEncoder(_Encoder):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._writer = _FastavroWriter(file, parsed_schema(), codec="deflate", sync_interval=_AVRO_BLOCK_BYTES)

    def add(self, record: ClassificationRecord) -> None:
        self._writer.write(record.to_dict())

    def finish(self) -> None:
        self._writer.flush()


class _JsonLinesEncoder(_Encoder):
    def add(self, record: ClassificationRecord) -> None:
        self._file.write(_json_line(record).encode("ascii") + b"\n")

    def finish(self) -> None:
        pass


class _ParquetEncoder(_Encoder):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._pa = pyarrow()
        self._schema = arrow_schema()
        self._writer = pyarrow("pyarrow.parquet").ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, record: ClassificationRecord) -> None:
        self._rows.append(record.to_dict())
        if len(self._rows) >= _PARQUET_ROW_GROUP:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        # Else pyarrow closes it when it is collected, and complains that the file is gone.
        with contextlib.suppress(Exception):
            self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()


_ENCODERS: dict[str, type[_Encoder]] = {
    ".avro": _AvroEncoder,
    ".jsonl": _JsonLinesEncoder,
    ".parquet": _ParquetEncoder,
}

# ASCII, so that a terminal or a locale without UTF-8 breaks nothing.
_encode_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def to_json(record: ClassificationRecord) -> str:
    """One record as one line of strict JSON, without the line's end.

    Raises
    ------
    ValueError
        See `RecordWriter.write`.
    """
    _check(record)
    return _json_line(record)


def _json_line(record: ClassificationRecord) -> str:
    plain = record.to_dict()
    plain["produced_at"] = _iso_utc(record.produced_at)
    return _encode_json(plain)


def _iso_utc(time: datetime) -> str:
    return time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _check(record: ClassificationRecord) -> None:
    """Refuse what one format would write and another, or its reader, would not."""
    numbers = (record.mjd, record.ra, record.dec, record.class_probability, record.novelty)
    if not all(number is None or math.isfinite(number) for number in numbers) or not all(
        math.isfinite(item.probability) for item in record.classifications
    ):
        raise ValueError(f"record {record.record_id} has a number that isn't finite")
    if record.alert_id is not None and not -_LONG <= record.alert_id < _LONG:
        raise ValueError(f"record {record.record_id} has an alert_id beyond 64 bits")
    if record.produced_at.tzinfo is None:
        raise ValueError(f"record {record.record_id} has a produced_at without a time zone")
