"""Writer schemas: parsed once, checked once, and projected to what is wanted of a packet.

A packet is decoded with its writer's schema and a reader schema that names only the wanted fields,
so that fastavro skips the rest without building it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fastavro

from broker_plugin.alert import AlertError, Reason
from broker_plugin.packets.limits import MAX_SCHEMA_DEPTH

Wanted = Mapping[str, Any]
"""What to read of a record: field name to True, or to the `Wanted` of the record (or list of records) within."""

_MAX_TYPES = 4096  # uses of named types in a schema; the largest real one has 12
_UNUSED_KEYS = frozenset({"default", "doc", "aliases", "logicalType", "__fastavro_parsed", "__named_schemas"})

_PRIMITIVE_MIN_BYTES = {
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "bytes": 1,
    "string": 1,
    "enum": 1,
    "array": 1,
    "map": 1,
}


@dataclass(frozen=True, slots=True)
class PacketSchema:
    """A writer schema and its projection, both parsed by fastavro.

    Attributes
    ----------
    name
        Full name and version for the record: ``ztf.alert 4.02``.
    full_name
        The Avro name of the top record.
    fields
        Names of the top record's fields.
    """

    name: str
    full_name: str
    fields: frozenset[str]
    writer: Any
    reader: Any

    def decode(self, datum: bytes | memoryview) -> dict[str, Any]:
        """Decode one schemaless record.

        Raises
        ------
        AlertError
            ``unreadable``: the bytes are not one record of this schema, from first to last.
        """
        stream = io.BytesIO(datum)
        record = self.read_next(stream)
        if stream.tell() != len(datum):
            raise AlertError(
                Reason.UNREADABLE,
                f"record ends at byte {stream.tell()} of {len(datum)}: not written with schema {self.name}",
            )
        return record

    def read_next(self, stream: io.BytesIO) -> dict[str, Any]:
        """Decode the record at the stream's position and leave the stream behind it.  Raises as `decode`."""
        try:
            record = fastavro.schemaless_reader(stream, self.writer, self.reader)
        except Exception as problem:
            raise AlertError(
                Reason.UNREADABLE, f"not a record of schema {self.name}: {_one_line(problem)}"
            ) from problem
        return record  # type: ignore[return-value]  # the top schema is a record, which `make_schema` checks


def make_schema(definition: Any, wanted: Wanted, fallback_version: str = "") -> PacketSchema:
    """Check, repair, parse and project a writer schema.

    Parameters
    ----------
    definition
        The schema as JSON types.
    wanted
        What to read of the top record; fields that the schema lacks are passed over.
    fallback_version
        Version to report where the schema names none.

    Raises
    ------
    AlertError
        ``unreadable``: not a record schema, recursive, too deep, or with list items of no size (such a
        schema lets a packet of ten bytes ask for endless memory).
    """
    if not (isinstance(definition, dict) and definition.get("type") == "record"):
        raise AlertError(Reason.UNREADABLE, "writer schema is not a record")
    try:
        writer = fastavro.parse_schema(_essential(definition))
        if _Sizes(writer["__named_schemas"]).min_bytes(writer) == 0:
            raise AlertError(Reason.UNREADABLE, "writer schema: a record without size")
        reader = fastavro.parse_schema(_Projector(writer["__named_schemas"]).record(writer, wanted))
    except AlertError:
        raise
    except Exception as problem:
        raise AlertError(Reason.UNREADABLE, f"writer schema: {_one_line(problem)}") from problem
    full_name = writer["name"]
    version = str(definition.get("version") or fallback_version)
    return PacketSchema(
        name=f"{full_name} {version}".strip(),
        full_name=full_name,
        fields=frozenset(f["name"] for f in writer["fields"]),
        writer=writer,
        reader=reader,
    )


def parse_schema_text(text: bytes | str) -> Any:
    """A schema's JSON text as plain types.

    Raises
    ------
    AlertError
        ``unreadable``.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise AlertError(Reason.UNREADABLE, f"writer schema is not JSON: {_one_line(problem)}") from problem


def _essential(node: Any, depth: int = 0) -> Any:
    """The schema without what decoding does not use.

    Writers do declare ``"default": null`` on fields that can't be null, which fastavro refuses.
    Logical types would cost time and raise on dates that the calendar lacks.
    """
    if depth > 6 * MAX_SCHEMA_DEPTH:
        raise AlertError(Reason.UNREADABLE, "writer schema is nested too deeply")
    if isinstance(node, dict):
        return {k: _essential(v, depth + 1) for k, v in node.items() if k not in _UNUSED_KEYS}
    if isinstance(node, list):
        return [_essential(v, depth + 1) for v in node]
    return node


class _Sizes:
    """Fewest bytes that a value takes; refuses recursive types and lists of items without size."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._known: dict[str, int] = {}
        self._path: list[str] = []

    def min_bytes(self, node: Any) -> int:
        if isinstance(node, list):
            return 1 + min((self.min_bytes(branch) for branch in node), default=0)
        if isinstance(node, str):
            return self.min_bytes(self._named[node]) if node in self._named else _PRIMITIVE_MIN_BYTES[node]
        kind = node["type"]
        if not isinstance(kind, str) or kind in self._named:
            return self.min_bytes(kind)
        if kind in ("record", "error"):
            return self._record(node)
        if kind == "fixed":
            return int(node["size"])
        if kind == "array" and self.min_bytes(node["items"]) == 0:
            raise AlertError(Reason.UNREADABLE, "writer schema: a list whose items have no size")
        if kind == "map":
            self.min_bytes(node["values"])
        return _PRIMITIVE_MIN_BYTES[kind]

    def _record(self, node: Mapping[str, Any]) -> int:
        name = node["name"]
        if name in self._path or len(self._path) > MAX_SCHEMA_DEPTH:
            raise AlertError(Reason.UNREADABLE, f"writer schema: {name} is recursive or nested too deeply")
        if name not in self._known:
            self._path.append(name)
            self._known[name] = sum(self.min_bytes(f["type"]) for f in node["fields"])
            self._path.pop()
        return self._known[name]


class _Projector:
    """Builds the reader schema: the writer's types, with only the wanted fields.

    One named type can be wanted in two forms (``diaSource`` in full, and three fields of it in the
    history), so that each use gets a namespace of its own; Avro resolution goes by the unqualified name.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._count = 0

    def record(self, node: Mapping[str, Any], wanted: Wanted | bool) -> dict[str, Any]:
        fields = [
            {"name": f["name"], "type": self._type(f["type"], True if wanted is True else wanted[f["name"]])}
            for f in node["fields"]
            if wanted is True or f["name"] in wanted  # type: ignore[operator]
        ]
        return {"type": "record", "name": self._fresh(node["name"]), "fields": fields}

    def _type(self, node: Any, wanted: Wanted | bool) -> Any:
        if isinstance(node, list):
            return [self._type(branch, wanted) for branch in node]
        if isinstance(node, str):
            return self._type(self._named[node], wanted) if node in self._named else node
        kind = node["type"]
        if not isinstance(kind, str):
            return self._type(kind, wanted)
        if kind in ("record", "error"):
            return self.record(node, wanted)
        if kind in ("enum", "fixed"):
            return {**node, "name": self._fresh(node["name"])}
        if kind == "array":
            return {**node, "items": self._type(node["items"], wanted)}
        if kind == "map":
            return {**node, "values": self._type(node["values"], wanted)}
        return node

    def _fresh(self, name: str) -> str:
        self._count += 1
        if self._count > _MAX_TYPES:
            raise AlertError(Reason.UNREADABLE, "writer schema: too many nested types")
        return f"use{self._count}.{name.rsplit('.', 1)[-1]}"


def _one_line(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return f"{type(problem).__name__}: {text[:160]}" if text else type(problem).__name__
