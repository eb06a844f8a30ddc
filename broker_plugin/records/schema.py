"""The Avro schemas of the classification record, by version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import fastavro
from fastavro.types import Schema

from broker_plugin._data import data_folder
from broker_plugin.records.record import SCHEMA_VERSION

_FILE_NAME = re.compile(r"(\d+)\.(\d+)\.avsc")


@cache
def known_versions() -> tuple[str, ...]:
    """Versions of the schema that this package has, ``MAJOR.MINOR``, oldest first."""
    found = [m for path in _folder().iterdir() if (m := _FILE_NAME.fullmatch(path.name))]
    found.sort(key=lambda m: (int(m[1]), int(m[2])))
    return tuple(f"{m[1]}.{m[2]}" for m in found)


def load_schema(version: str = SCHEMA_VERSION) -> dict[str, Any]:
    """One version of the schema, as its file has it.

    Raises
    ------
    ValueError
        This package has no such version.
    """
    known = known_versions()
    if version not in known:
        raise ValueError(f"no version {version!r} of the classification schema; there are {', '.join(known)}")
    schema: dict[str, Any] = json.loads((_folder() / f"{version}.avsc").read_text(encoding="utf-8"))
    return schema


@cache
def parsed_schema(version: str = SCHEMA_VERSION) -> Schema:
    """The same, made ready for fastavro once."""
    return fastavro.parse_schema(load_schema(version))


@cache
def defaults(version: str) -> Mapping[str, Any]:
    """Default of each field that has one."""
    return {field["name"]: field["default"] for field in load_schema(version)["fields"] if "default" in field}


@lru_cache(maxsize=64)  # bounded: the version comes from somebody's file
def newest_of_major(version: str) -> str | None:
    """The newest version that this package has of the same major version.

    None where it has none, or where ``version`` isn't ``MAJOR.MINOR``.
    """
    if not re.fullmatch(r"[0-9]{1,6}\.[0-9]{1,6}", version):
        return None
    major = version.split(".")[0]
    return next((known for known in reversed(known_versions()) if known.split(".")[0] == major), None)


def _folder() -> Path:
    return data_folder("schemas") / "classification"
