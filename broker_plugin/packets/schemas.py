"""Writer schemas: parsed once, checked once, and projected to what is wanted of a packet.

A packet is decoded with its writer's schema and a reader schema that names only the wanted fields,
so that fastavro skips the rest without building it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import fastavro

from broker_plugin.alert import AlertError, Reason
from broker_plugin.packets.fields import one_line
from broker_plugin.packets.limits import MAX_SCHEMA_DEPTH, MAX_SCHEMA_VALUES, MAX_VALUES_PER_BYTE

Wanted = Mapping[str, Any]
"""What to read of a record: field name to True, or to the `Wanted` of the record (or list of records) within."""

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
_RECORD_VALUES = 8  # what the dict of a record costs, in values
# Avro resolution takes the reader's first branch that the value fits: an int must meet int before double.
_PROMOTION_ORDER = {"int": 1, "long": 2, "float": 3, "double": 4}


@dataclass(frozen=True, slots=True)
class PacketSchema:
    """A writer schema and its projection, both parsed by fastavro.

    Attributes
    ----------
    name
        Full name and version for the record: ``ztf.alert 4.02``.
    """

    name: str
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
            raise AlertError(Reason.UNREADABLE, f"not a record of schema {self.name}: {one_line(problem)}") from problem
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
        ``unreadable``: not a record schema, recursive, too deep, too large, or with list items that take no
        room (such a schema lets a packet of ten bytes ask for endless memory).
    """
    if not (isinstance(definition, dict) and definition.get("type") == "record"):
        raise AlertError(Reason.UNREADABLE, "writer schema is not a record")
    try:
        writer: Any = fastavro.parse_schema(_essential(definition))
        _check_size(writer)
        reader = fastavro.parse_schema(_Projector(writer["__named_schemas"]).record(writer, wanted))
    except AlertError:
        raise
    except Exception as problem:
        raise AlertError(Reason.UNREADABLE, f"writer schema: {one_line(problem)}") from problem
    version = str(definition.get("version") or fallback_version)
    return PacketSchema(f"{writer['name']} {version}".strip(), writer, reader)


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
        raise AlertError(Reason.UNREADABLE, f"writer schema is not JSON: {one_line(problem)}") from problem


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


def _check_size(writer: Any) -> None:
    size = _Sizes(writer["__named_schemas"]).of(writer)
    if size.min_bytes == 0:
        raise AlertError(Reason.UNREADABLE, "writer schema: a record that takes no room")
    if size.values > MAX_SCHEMA_VALUES:
        raise AlertError(Reason.UNREADABLE, f"writer schema: a record of more than {MAX_SCHEMA_VALUES} values")


class _Size(NamedTuple):
    """Bounds on what there is in a value of some type, its lists apart.

    Attributes
    ----------
    min_bytes
        Fewest bytes that it takes.
    values
        Values in it, with all branches of its unions.
    excess
        By how much its values can outnumber what its bytes pay for, whichever branches are taken.
    """

    min_bytes: int
    values: int
    excess: int


class _Sizes:
    """Sizes of types; refuses recursive ones, and lists whose items hold much in little room."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._known: dict[str, _Size] = {}
        self._path: list[str] = []

    def of(self, node: Any) -> _Size:
        if isinstance(node, list):
            branches = [self.of(branch) for branch in node] or [_NOTHING]
            return _Size(
                1 + min(branch.min_bytes for branch in branches),
                1 + sum(branch.values for branch in branches),
                1 + max(branch.excess for branch in branches) - MAX_VALUES_PER_BYTE,
            )
        if isinstance(node, str):
            return self.of(self._named[node]) if node in self._named else _primitive(_PRIMITIVE_MIN_BYTES[node])
        kind = node["type"]
        if not isinstance(kind, str) or kind in self._named:
            return self.of(kind)
        if kind in ("record", "error"):
            return self._record(node)
        if kind == "fixed":
            if type(node["size"]) is not int or node["size"] < 1:
                raise AlertError(Reason.UNREADABLE, f"writer schema: a fixed type of size {node['size']!r:.20}")
            return _primitive(node["size"])
        if kind in ("array", "map"):
            # A map's key takes a byte at least, which pays for it.
            item = self.of(node["items" if kind == "array" else "values"])
            if item.excess > 0 or (kind == "array" and item.min_bytes == 0):
                raise AlertError(Reason.UNREADABLE, "writer schema: a list whose items hold too much in too few bytes")
        return _primitive(_PRIMITIVE_MIN_BYTES[kind])

    def _record(self, node: Mapping[str, Any]) -> _Size:
        name = node["name"]
        if name in self._path or len(self._path) > MAX_SCHEMA_DEPTH:
            raise AlertError(Reason.UNREADABLE, f"writer schema: {name:.60} is recursive or nested too deeply")
        if name not in self._known:
            self._path.append(name)
            fields = [self.of(f["type"]) for f in node["fields"]]
            self._path.pop()
            self._known[name] = _Size(
                sum(f.min_bytes for f in fields),
                _RECORD_VALUES + sum(f.values for f in fields),
                _RECORD_VALUES + sum(f.excess for f in fields),
            )
        return self._known[name]


_NOTHING = _Size(0, 0, 0)


def _primitive(min_bytes: int) -> _Size:
    return _Size(min_bytes, 1, 1 - MAX_VALUES_PER_BYTE * min_bytes)


class _Projector:
    """Builds the reader schema: the writer's types, with only the wanted fields.

    One named type can be wanted in two forms (``diaSource`` in full, and three fields of it in the
    history), so that each use gets a namespace of its own; Avro resolution goes by the unqualified name.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._count = 0

    def record(self, node: Mapping[str, Any], wanted: Wanted | Literal[True]) -> dict[str, Any]:
        fields = [
            {"name": f["name"], "type": self._type(f["type"], True if wanted is True else wanted[f["name"]])}
            for f in node["fields"]
            if wanted is True or f["name"] in wanted
        ]
        return {"type": "record", "name": self._fresh(node["name"]), "fields": fields}

    def _type(self, node: Any, wanted: Wanted | Literal[True]) -> Any:
        if isinstance(node, list):
            return self._union(node, wanted)
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

    def _union(self, branches: list[Any], wanted: Wanted | Literal[True]) -> list[Any]:
        names = [branch if isinstance(branch, str) else branch.get("name", "") for branch in branches]
        short = [name.rsplit(".", 1)[-1] for name in names if name]
        if len(set(short)) != len(short):
            raise AlertError(Reason.UNREADABLE, "writer schema: a union of two types of one name")
        types = [self._type(branch, wanted) for branch in branches]
        return sorted(types, key=lambda kind: _PROMOTION_ORDER.get(kind, 0) if isinstance(kind, str) else 0)

    def _fresh(self, name: str) -> str:
        self._count += 1
        return f"use{self._count}.{name.rsplit('.', 1)[-1]}"
