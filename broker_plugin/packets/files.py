"""Packets from files, folders and archives."""

from __future__ import annotations

import io
import mmap
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from broker_plugin.alert import Alert, Identity, Reason, Rejected
from broker_plugin.packets.gunzip import GZIP_MAGIC, CorruptDeflateError, gunzip, open_gzip
from broker_plugin.packets.limits import MAX_FILE_BYTES, TooLargeError
from broker_plugin.packets.reader import PacketReader, digest_of

SUFFIXES = (".avro", ".parquet", ".tar", ".tgz", ".gz")
"""What is taken from a folder.  A file named by itself is read whatever its suffix."""

_TAR_MAGIC = b"ustar"
_TAR_MAGIC_AT = 257
_PARQUET_MAGIC = b"PAR1"
_PARQUET_ROWS = 64  # a row with its cutouts is 50-150 kB
_BROKEN_ARCHIVE = (tarfile.TarError, OSError, EOFError, ValueError, CorruptDeflateError)


class MissingExtraError(RuntimeError):
    """An optional dependency is not installed; the message says how to install it."""


class PacketFiles:
    """The packets of files, folders (searched to the bottom) and archives, in order of their names.

    Iterating gives an `Alert` or a `Rejected` for each packet; each packet is accounted for.

    Parameters
    ----------
    paths
        Files and folders.
    reader
        Reads the packets.

    Attributes
    ----------
    passed_over
        Files of the folders that are no packets by their suffix.
    total_bytes, done_bytes
        Size of all files, and of those that have been read.

    Raises
    ------
    FileNotFoundError
        A path does not exist.
    """

    def __init__(self, paths: Iterable[Path], reader: PacketReader) -> None:
        self._reader = reader
        self.passed_over: list[Path] = []
        self._files: list[Path] = []
        for path in paths:
            if path.is_dir():
                for inner in sorted(p for p in path.rglob("*") if p.is_file()):
                    (self._files if inner.name.endswith(SUFFIXES) else self.passed_over).append(inner)
            elif path.exists():
                self._files.append(path)
            else:
                raise FileNotFoundError(path)
        self._sizes = {path: path.stat().st_size for path in self._files}
        self.total_bytes = sum(self._sizes[path] for path in self._files)
        self.done_bytes = 0

    def __iter__(self) -> Iterator[Alert | Rejected]:
        for path in self._files:
            try:
                with path.open("rb") as file:
                    yield from self._read_file(file, path.stat().st_size, str(path))
            except (OSError, ValueError) as problem:
                yield _rejected(str(path), Reason.UNREADABLE, f"the file can't be read: {problem}")
            self.done_bytes += self._sizes[path]

    def _read_file(self, file: BinaryIO, size: int, source: str) -> Iterator[Alert | Rejected]:
        start = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
        file.seek(0)
        if start[:2] == GZIP_MAGIC and _is_gzipped_tar(file):
            with open_gzip(file) as inflated:
                yield from self._read_tar(inflated, source)
        elif start[_TAR_MAGIC_AT:] == _TAR_MAGIC:
            yield from self._read_tar(file, source)
        elif start[: len(_PARQUET_MAGIC)] == _PARQUET_MAGIC:
            yield from self._read_parquet(file, source)
        elif size == 0:
            yield _rejected(source, Reason.EMPTY_PACKET, "a file of no bytes")
        else:
            # Not closed by hand: views into it may outlive this frame, and it goes with the last of them.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            yield from self._read_bytes(memoryview(content), source)

    def _read_bytes(self, received: bytes | memoryview, source: str) -> Iterator[Alert | Rejected]:
        data = received
        if received[:2] == GZIP_MAGIC:
            try:
                data = gunzip(received, MAX_FILE_BYTES)
            except ValueError as problem:
                reason = Reason.TOO_LARGE if isinstance(problem, TooLargeError) else Reason.UNREADABLE
                yield Rejected(Identity(source=source), reason, f"gzipped file: {problem}", digest_of(received))
                return
        if data[: len(_PARQUET_MAGIC)] == _PARQUET_MAGIC:
            yield from self._read_parquet(io.BytesIO(data), source)
        else:
            yield from self._reader.read_all(data, source, received)

    def _read_tar(self, file: Any, source: str) -> Iterator[Alert | Rejected]:
        name = source
        try:
            with tarfile.open(fileobj=file, mode="r|") as archive:
                for member in archive:
                    name = f"{source}/{member.name}"
                    if not member.isfile():
                        continue
                    if member.size > MAX_FILE_BYTES or member.issparse():
                        yield _rejected(name, Reason.TOO_LARGE, f"archive member of {member.size} bytes")
                        continue
                    content = archive.extractfile(member)
                    yield from self._read_bytes(b"" if content is None else content.read(), name)
        except _BROKEN_ARCHIVE as problem:
            yield _rejected(name, Reason.UNREADABLE, f"the archive breaks off here: {problem}")

    def _read_parquet(self, file: Any, source: str) -> Iterator[Alert | Rejected]:
        try:
            import pyarrow.parquet as pq
        except ImportError as problem:
            raise MissingExtraError("reading Parquet needs pyarrow: pip install 'broker-plugin[parquet]'") from problem
        count = 0
        try:
            table = pq.ParquetFile(file)
            columns = [name for name in table.schema_arrow.names if name in self._reader.wanted_columns]
            for batch in table.iter_batches(_PARQUET_ROWS, columns=columns):
                for row in batch.to_pylist():
                    yield self._reader.read_row(row, f"{source}#{count}")
                    count += 1
        except Exception as problem:  # noqa: BLE001 - pyarrow's own, and Python's for values that it lacks
            yield _rejected(f"{source}#{count}", Reason.UNREADABLE, f"Parquet: {problem}")


def _is_gzipped_tar(file: BinaryIO) -> bool:
    """Whether what is gzipped is a tar; the file is left at its start."""
    try:
        with open_gzip(file) as inflated:
            start: bytes = inflated.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
        return start[_TAR_MAGIC_AT:] == _TAR_MAGIC
    except _BROKEN_ARCHIVE:
        return False
    finally:
        file.seek(0)


def _rejected(source: str, reason: Reason, detail: str) -> Rejected:
    return Rejected(Identity(source=source), reason, detail)
