"""The Confluent wire format: a zero byte, a 4-byte schema id, one schemaless Avro record.

Rubin's ids are major * 100 + minor of the alert schema.  lsst-alert-packet holds these schemas; an id
that it lacks is asked of a schema registry, where one is configured.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from broker_plugin.alert import AlertError, Reason
from broker_plugin.packets.schemas import PacketSchema, Wanted, make_schema, parse_schema_text

MAGIC_BYTE = 0
HEADER_BYTES = 5
_MAX_SCHEMAS = 256
_MAX_REGISTRY_ANSWER_BYTES = 4 << 20


class SchemaRegistry:
    """A client of a Confluent-compatible schema registry that remembers what it was told.

    Parameters
    ----------
    url
        Base address; the schema of id 7 is at ``URL/schemas/ids/7``.
    timeout_s
        Seconds to wait for an answer.
    cache_dir
        Folder that keeps each schema as a file, so that a restart does not need the registry; None
        keeps them in memory alone.
    retry_after_s
        Seconds for which an id that could not be had is not asked for again, nor any id of a registry that
        did not answer: one that is down must not cost each packet a time-out.
    """

    def __init__(
        self, url: str, *, timeout_s: float = 5.0, cache_dir: Path | None = None, retry_after_s: float = 60.0
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"schema registry {url!r}: the address must begin with http:// or https://")
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._refusals: dict[int, tuple[float, str]] = {}
        self._down: tuple[float, str] = (0.0, "")
        self._cache_dir = None
        if cache_dir is not None:  # ids are the registry's own: two registries must not share a folder
            self._cache_dir = cache_dir / hashlib.sha256(self._url.encode()).hexdigest()[:16]
            self._cache_dir.mkdir(parents=True, exist_ok=True)

    def definition(self, schema_id: int) -> Any:
        """The schema of an id, as JSON types.

        Raises
        ------
        AlertError
            ``unknown_schema``: the registry does not know it, or does not answer.
        """
        cached = None if self._cache_dir is None else self._cache_dir / f"{schema_id}.avsc"
        definition = None if cached is None else _from_cache(cached)
        if definition is not None:
            return definition
        for until, problem in (self._refusals.get(schema_id, (0.0, "")), self._down):
            if time.monotonic() < until:
                raise AlertError(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id}: {problem}")
        try:
            definition = self._fetch(schema_id)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError) as error:
            problem = f"registry {self._url}: {error}"
            self._refuse(schema_id, problem, error)
            raise AlertError(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id}: {problem}") from error
        if cached is not None:
            _to_cache(cached, definition)
        return definition

    def _refuse(self, schema_id: int, problem: str, error: BaseException) -> None:
        refusal = (time.monotonic() + self._retry_after_s, problem)
        if isinstance(error, OSError) and not isinstance(error, urllib.error.HTTPError):
            self._down = refusal
            return
        if len(self._refusals) >= _MAX_SCHEMAS:
            self._refusals.clear()
        self._refusals[schema_id] = refusal

    def _fetch(self, schema_id: int) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            f"{self._url}/schemas/ids/{schema_id}", headers={"Accept": "application/vnd.schemaregistry.v1+json"}
        )
        with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
            body = answer.read(_MAX_REGISTRY_ANSWER_BYTES + 1)
        if len(body) > _MAX_REGISTRY_ANSWER_BYTES:
            raise ValueError("the answer is too large")
        definition = json.loads(json.loads(body)["schema"])
        if not (isinstance(definition, dict) and definition.get("type") == "record"):
            raise ValueError("its schema is not a record's")
        return definition


def _from_cache(path: Path) -> Any | None:
    """The schema that a file holds; None where there is no such file or it is damaged."""
    try:
        return parse_schema_text(path.read_bytes())
    except (OSError, AlertError):
        return None


def _to_cache(path: Path, definition: Any) -> None:
    """Write a schema whole or not at all.  A disk that is full must not cost the packet: it is asked for again."""
    with contextlib.suppress(OSError):
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(definition), encoding="utf-8")
        part.replace(path)


class WireDecoder:
    """Decodes messages in the wire format, with the schema of each id parsed once."""

    def __init__(self, wanted: Wanted, registry: SchemaRegistry | None = None) -> None:
        self._wanted = wanted
        self._registry = registry
        self._schemas: dict[int, PacketSchema] = {}

    def decode(self, data: bytes | memoryview) -> tuple[PacketSchema, dict[str, Any]]:
        """The schema and the record of one message.

        Raises
        ------
        AlertError
            ``unreadable``, or ``unknown_schema`` with the id.
        """
        if len(data) < HEADER_BYTES:
            raise AlertError(Reason.UNREADABLE, f"{len(data)} bytes are too few for a message in the wire format")
        schema = self._schema(int.from_bytes(data[1:HEADER_BYTES], "big"))
        return schema, schema.decode(data[HEADER_BYTES:])

    def _schema(self, schema_id: int) -> PacketSchema:
        schema = self._schemas.get(schema_id)
        if schema is None:
            definition = lsst_schema(schema_id // 100, schema_id % 100)
            if definition is None and self._registry is not None:
                definition = self._registry.definition(schema_id)
            if definition is None:
                raise AlertError(
                    Reason.UNKNOWN_SCHEMA,
                    f"schema id {schema_id} is not one of lsst-alert-packet, and no schema registry is configured",
                )
            schema = make_schema(definition, self._wanted)
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._schemas.clear()
            self._schemas[schema_id] = schema
        return schema


def lsst_schema(major: int, minor: int) -> Any | None:
    """Rubin's alert schema of a version, from lsst-alert-packet; None where it has no such version."""
    from lsst.alert.packet import Schema, get_schema_path

    path = Path(get_schema_path(major, minor)) / f"lsst.v{major}_{minor}.alert.avsc"
    return Schema.from_file(str(path)).definition if path.is_file() else None


def named_schema(name: str) -> Any:
    """The schema that a user names: an ``.avsc`` file, or Rubin's ``lsst.v10_0``.

    Raises
    ------
    ValueError
        There is no such schema.
    """
    path = Path(name)
    if path.suffix == ".avsc" and path.is_file():
        from fastavro.schema import load_schema

        return load_schema(str(path))
    try:
        major, minor = (int(part) for part in name.removeprefix("lsst.v").removesuffix(".alert").split("_"))
    except ValueError:
        major = minor = -1
    definition = lsst_schema(major, minor)
    if definition is None:
        raise ValueError(f"schema {name!r} is neither an .avsc file nor one of lsst-alert-packet, such as lsst.v10_0")
    return definition
