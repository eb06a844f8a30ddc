"""Packets to test with, and the means to write odd ones."""

from __future__ import annotations

import copy
import gzip
import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import fastavro
import numpy as np
from astropy.io import fits

from broker_plugin.packets.wire import lsst_schema
from broker_plugin.simulation import simulate_packets
from broker_plugin.simulation import ztf as simulated_ztf

CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
NEWEST = (11, 1)


@cache
def payloads(survey: str, n: int = 10) -> tuple[bytes, ...]:
    """Synthetic packets as they come off the wire."""
    return tuple(packet.payload for packet in simulate_packets(survey, n, seed=5))


@cache
def _ztf_record() -> dict[str, Any]:
    (record,) = fastavro.reader(io.BytesIO(payloads("ztf")[0]))
    return record


@cache
def _rubin_record() -> dict[str, Any]:
    return fastavro.schemaless_reader(io.BytesIO(payloads("rubin")[0][5:]), fastavro.parse_schema(rubin_schema()))


def ztf_record(**changes: Any) -> dict[str, Any]:
    """A fresh decoded ZTF alert; a change whose name begins with ``candidate_`` is of the candidate."""
    return _changed(_ztf_record(), "candidate", changes)


def rubin_record(**changes: Any) -> dict[str, Any]:
    """A fresh decoded Rubin alert; a change whose name begins with ``diaSource_`` is of the diaSource."""
    return _changed(_rubin_record(), "diaSource", changes)


def _changed(record: dict[str, Any], inner: str, changes: dict[str, Any]) -> dict[str, Any]:
    record = copy.deepcopy(record)
    for name, value in changes.items():
        if name.startswith(f"{inner}_"):
            record[inner][name.removeprefix(f"{inner}_")] = value
        else:
            record[name] = value
    return record


def ztf_schema() -> Any:
    """ZTF's writer schema as JSON types."""
    return copy.deepcopy(simulated_ztf.schema())


def rubin_schema(major: int = NEWEST[0], minor: int = NEWEST[1]) -> Any:
    """Rubin's writer schema as JSON types."""
    schema = lsst_schema(major, minor)
    return copy.deepcopy({k: v for k, v in schema.items() if not k.startswith("__")})  # without fastavro's marks


def container(schema: Any, records: Sequence[Any], codec: str = "null", sync_interval: int = 16000) -> bytes:
    """An Avro object container."""
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(schema), records, codec=codec, sync_interval=sync_interval)
    return stream.getvalue()


def datum(schema: Any, record: Any) -> bytes:
    """One record without a header."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return stream.getvalue()


def message(schema_id: int, schema: Any, record: Any) -> bytes:
    """One record in the Confluent wire format."""
    return b"\0" + schema_id.to_bytes(4, "big") + datum(schema, record)


def zigzag(number: int) -> bytes:
    """A long as Avro writes it."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def raw_container(schema_text: bytes, blocks: Sequence[tuple[int, bytes]], codec: bytes = b"null") -> bytes:
    """A container put together by hand: anything may stand in it.  ``blocks`` are pairs of count and content."""
    out = b"Obj\x01" + zigzag(2)
    for part in (b"avro.schema", schema_text, b"avro.codec", codec):
        out += zigzag(len(part)) + part
    sync = bytes(range(16))
    out += zigzag(0) + sync
    for count, content in blocks:
        out += zigzag(count) + zigzag(len(content)) + content + sync
    return out


def fits_file(data: np.ndarray | None, **cards: Any) -> bytes:
    """A FITS file of one primary image."""
    stream = io.BytesIO()
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(cards)
    hdu.writeto(stream)
    return stream.getvalue()


def gzipped_fits(data: np.ndarray) -> bytes:
    """A ZTF cutout."""
    return gzip.compress(fits_file(data), 1, mtime=0)
