"""What the Parquet writer and reader share: pyarrow, and the schema in its types."""

from __future__ import annotations

import importlib
from typing import Any

from broker_plugin.records.schema import load_schema


def pyarrow(module: str = "pyarrow") -> Any:
    """The named module of pyarrow, which is an extra and imported only when used.

    Raises
    ------
    ImportError
        It isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ImportError("Parquet needs pyarrow: pip install 'broker-plugin[parquet]'") from exc


def arrow_schema() -> Any:
    """The newest classification schema as a ``pyarrow.Schema``; derived, so the two can't drift apart."""
    pa = pyarrow()
    return pa.schema([_arrow_field(pa, field) for field in load_schema()["fields"]])


def _arrow_field(pa: Any, field: dict[str, Any]) -> Any:
    avro = field["type"]
    nullable = isinstance(avro, list)
    if nullable:
        (avro,) = (branch for branch in avro if branch != "null")
    return pa.field(field["name"], _arrow_type(pa, avro), nullable=nullable)


def _arrow_type(pa: Any, avro: Any) -> Any:
    if isinstance(avro, str):
        return {
            "string": pa.string(),
            "int": pa.int32(),
            "long": pa.int64(),
            "double": pa.float64(),
            "boolean": pa.bool_(),
        }[avro]
    if avro.get("logicalType") == "timestamp-micros":
        return pa.timestamp("us", tz="UTC")
    if avro["type"] == "enum":
        return pa.string()
    if avro["type"] == "array":
        return pa.list_(_arrow_type(pa, avro["items"]))
    if avro["type"] == "record":
        return pa.struct([_arrow_field(pa, field) for field in avro["fields"]])
    raise TypeError(f"no Arrow type for the Avro type {avro}")
