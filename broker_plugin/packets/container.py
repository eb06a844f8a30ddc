"""Avro object containers: the writer schema in front, then blocks of records.

Each ZTF alert is such a container of one record, and parsing its schema costs more than decoding
the record.  fastavro's own reader does so for every packet; this one looks the header up by its bytes.
Format: Avro 1.11 specification, "Object container files".
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cramjam

from broker_plugin.alert import AlertError, Reason
from broker_plugin.packets.gunzip import inflate
from broker_plugin.packets.limits import MAX_BLOCK_BYTES, MAX_HEADER_BYTES, MAX_PACKET_BYTES, TooLargeError
from broker_plugin.packets.schemas import PacketSchema, Wanted, make_schema, parse_schema_text

MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_WINDOW_BYTES = 2 * MAX_PACKET_BYTES  # of a block: large enough that no byte of it is copied more than twice


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the first block.  The 16 bytes of sync marker that follow are not part of it."""

    definition: Any
    codec: str


class ContainerDecoder:
    """Decodes containers, with one parsed schema for all that were written alike.

    Parameters
    ----------
    wanted
        What to read of each record; see `schemas.Wanted`.
    cache_size
        Number of different headers remembered.  A stream has a handful; the bound keeps hostile ones
        from filling memory.
    """

    def __init__(self, wanted: Wanted, cache_size: int = 64) -> None:
        self._wanted = wanted
        self._schema_of = lru_cache(cache_size)(self._make_schema)

    def _make_schema(self, header: bytes) -> tuple[PacketSchema, str]:
        parsed = parse_header(header)
        return make_schema(parsed.definition, self._wanted), parsed.codec

    def open(
        self, data: bytes | memoryview, max_block_bytes: int = MAX_BLOCK_BYTES
    ) -> tuple[PacketSchema, Iterator[dict[str, Any]]]:
        """The schema of a container, and its records.

        Raises
        ------
        AlertError
            ``unreadable``: at once for the header, while iterating for the blocks.  ``too_large``: a block
            decompresses to more than ``max_block_bytes``.
        """
        view = memoryview(data)
        size = _header_size(view)
        schema, codec = self._schema_of(bytes(view[:size]))
        return schema, _records(view, size, schema, codec, max_block_bytes)


def parse_header(data: bytes | memoryview) -> Header:
    """Schema and codec of a container's header.

    Raises
    ------
    AlertError
        ``unreadable``.
    """
    view = memoryview(data)
    metadata = _read_metadata(view)
    try:
        codec = metadata.get("avro.codec", b"null").decode("ascii")
        text = metadata["avro.schema"]
    except (UnicodeDecodeError, KeyError) as problem:
        raise AlertError(Reason.UNREADABLE, "container header lacks a schema or names no codec") from problem
    return Header(parse_schema_text(text), codec)


def _header_size(view: memoryview) -> int:
    """Where the metadata ends, without copying what it holds."""
    position = len(MAGIC)
    for _ in range(64):
        count, position = _read_block_count(view, position)
        if count == 0:
            if position + _SYNC_BYTES > len(view):
                break
            return position
        for _ in range(2 * count):
            length, position = _read_long(view, position)
            position += length
            if length < 0 or position > min(len(view), MAX_HEADER_BYTES):
                raise AlertError(Reason.UNREADABLE, "container header is truncated or too large")
    raise AlertError(Reason.UNREADABLE, "container header is truncated")


def _read_metadata(view: memoryview) -> dict[str, bytes]:
    """The metadata map of a header that `_header_size` has walked."""
    metadata: dict[str, bytes] = {}
    position = len(MAGIC)
    while True:
        count, position = _read_block_count(view, position)
        if count == 0:
            return metadata
        for _ in range(count):
            key, position = _read_bytes(view, position)
            value, position = _read_bytes(view, position)
            metadata[key.decode("utf-8", "replace")] = value


def _read_block_count(view: memoryview, position: int) -> tuple[int, int]:
    count, position = _read_long(view, position)
    if count < 0:  # a negative count is followed by the block's size in bytes
        count = -count
        _, position = _read_long(view, position)
    if count > 64:  # headers hold a handful of entries
        raise AlertError(Reason.UNREADABLE, f"container header claims {count} entries")
    return count, position


def _read_bytes(view: memoryview, position: int) -> tuple[bytes, int]:
    length, position = _read_long(view, position)
    return bytes(view[position : position + length]), position + length


def _read_long(view: memoryview, position: int) -> tuple[int, int]:
    """A zig-zag variable-length integer of at most 64 bits, and the position behind it."""
    value = shift = 0
    while True:
        if position >= len(view) or shift > 63:
            raise AlertError(Reason.UNREADABLE, "container is truncated or holds a number that is too long")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
        shift += 7


def _records(
    view: memoryview, header_size: int, schema: PacketSchema, codec: str, max_block_bytes: int
) -> Iterator[dict[str, Any]]:
    sync = view[header_size : header_size + _SYNC_BYTES]
    position = header_size + _SYNC_BYTES
    while position < len(view):
        count, position = _read_long(view, position)
        size, position = _read_long(view, position)
        end = position + size
        if count < 0 or size < 0 or end + _SYNC_BYTES > len(view):
            raise AlertError(Reason.UNREADABLE, "container is truncated: its last block is not whole")
        if view[end : end + _SYNC_BYTES] != sync:
            raise AlertError(Reason.UNREADABLE, "container is corrupt: a block does not end in the sync marker")
        yield from _block_records(_decompress(view[position:end], codec, max_block_bytes), count, schema)
        position = end + _SYNC_BYTES


def _block_records(block: bytes | memoryview, count: int, schema: PacketSchema) -> Iterator[dict[str, Any]]:
    """The records of one block, read through a window that is moved before a packet could reach over its end."""
    start = position = 0
    stream = io.BytesIO(block[:_WINDOW_BYTES])
    for _ in range(count):
        if start + position >= len(block):
            raise AlertError(Reason.UNREADABLE, "container is corrupt: a block holds fewer records than it says")
        if position > _WINDOW_BYTES - MAX_PACKET_BYTES:
            start, position = start + position, 0
            stream = io.BytesIO(block[start : start + _WINDOW_BYTES])
        record = schema.read_next(stream)
        size, position = stream.tell() - position, stream.tell()
        if size > MAX_PACKET_BYTES:
            raise AlertError(Reason.UNREADABLE, f"a record of {size} bytes, more than {MAX_PACKET_BYTES}")
        yield record
    if start + position != len(block):
        raise AlertError(Reason.UNREADABLE, "container is corrupt: a block holds more bytes than its records")


def _decompress(block: memoryview, codec: str, max_bytes: int) -> bytes | memoryview:
    try:
        if codec == "null":
            if len(block) > max_bytes:
                raise TooLargeError(f"holds more than {max_bytes} bytes")
            return block
        if codec == "deflate":
            return inflate(block, max_bytes)
        if codec == "snappy":
            return _decompress_snappy(block, max_bytes)
        if codec in ("bzip2", "xz"):
            stream = bz2.BZ2Decompressor() if codec == "bzip2" else lzma.LZMADecompressor(memlimit=MAX_BLOCK_BYTES)
            out = stream.decompress(bytes(block), max_bytes + 1)
            if len(out) > max_bytes:
                raise TooLargeError(f"decompresses to more than {max_bytes} bytes")
            if not stream.eof:
                raise ValueError("compressed data is truncated")
            return out
    except TooLargeError as problem:
        raise AlertError(Reason.TOO_LARGE, f"container block, codec {codec}: {problem}") from problem
    except Exception as problem:
        raise AlertError(Reason.UNREADABLE, f"container block, codec {codec}: {problem}") from problem
    raise AlertError(
        Reason.UNREADABLE, f"container codec {codec[:40]!r} is not one of null, deflate, snappy, bzip2, xz"
    )


def _decompress_snappy(block: memoryview, max_bytes: int) -> bytes:
    """Raw snappy; the last four bytes are the CRC-32 of what comes out."""
    size, _ = _read_raw_varint(block)
    if size > max_bytes:
        raise TooLargeError(f"decompresses to more than {max_bytes} bytes")
    out = bytes(cramjam.snappy.decompress_raw(bytes(block[:-4])))
    if zlib.crc32(out) != int.from_bytes(block[-4:], "big"):
        raise ValueError("the checksum is not that of the data")
    return out


def _read_raw_varint(block: memoryview) -> tuple[int, int]:
    """Snappy's preamble: the decompressed length as an unsigned variable-length integer."""
    zigzag, position = _read_long(block, 0)
    return (zigzag << 1) if zigzag >= 0 else ((-zigzag << 1) - 1), position
