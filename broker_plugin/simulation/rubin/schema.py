"""The Rubin alert schema, version 11.1, and the wire format that packets come in.

Field names, types and meanings: https://github.com/lsst/alert_packet and https://sdm-schemas.lsst.io/apdb.html
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
from lsst.alert.packet import Schema, get_schema_path

_SCHEMA_VERSION = (11, 1)
_WIRE_HEADER = b"\0" + (1101).to_bytes(4, "big")
"""Magic byte of the Confluent wire format, and the schema's id in the survey's registry."""


def encode(alert: Mapping[str, Any]) -> bytes:
    """Write an alert as it comes off the survey's Kafka stream."""
    buffer = io.BytesIO()
    buffer.write(_WIRE_HEADER)
    fastavro.schemaless_writer(buffer, _schema(), alert)
    return buffer.getvalue()


@cache
def _schema() -> Any:
    major, minor = _SCHEMA_VERSION
    path = Path(get_schema_path(major, minor)) / f"lsst.v{major}_{minor}.alert.avsc"
    return Schema.from_file(str(path)).definition


@cache
def _fields(record_name: str) -> tuple[tuple[str, Any], ...]:
    """Name and type of each field of a record that stands in a field of the alert of the same name."""
    declared = next(field["type"] for field in _schema()["fields"] if field["name"] == record_name)
    record = declared if isinstance(declared, dict) else declared[1]
    return tuple((field["name"], field["type"]) for field in record["fields"])


def blank(record_name: str) -> dict[str, Any]:
    """A record in which no flag is raised, each count is zero and nothing else is known."""
    return {name: _blank_value(avro_type) for name, avro_type in _fields(record_name)}


def _blank_value(avro_type: Any) -> bool | int | None:
    if "boolean" in avro_type:
        return False
    return 0 if avro_type == "int" else None
