"""The schema and its evolution: parametrised over the versions that there are, so that it bites when one is added."""

from __future__ import annotations

import copy
import io
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one

from broker_plugin import _data
from broker_plugin.alert import Status
from broker_plugin.records import schema as schema_module
from broker_plugin.records.readers import read_records
from broker_plugin.records.record import SCHEMA_VERSION, Classification, ClassificationRecord
from broker_plugin.records.schema import known_versions, load_schema
from broker_plugin.records.validation import validate_file, validate_record
from broker_plugin.records.writers import open_writer, to_json

from .samples import make_classified, make_unclassified

PAIRS = [
    (one, other)
    for one, other in itertools.product(known_versions(), repeat=2)
    if one.split(".")[0] == other.split(".")[0]
]


def field_names(schema: dict[str, Any]) -> list[str]:
    return [field["name"] for field in schema["fields"]]


def samples_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Records as that version of the schema has them; what today's record lacks is made up by type."""
    made_up = generate_one(schema)
    return [
        {name: record.get(name, made_up[name]) for name in field_names(schema)}
        for record in (make_classified().to_dict(), make_unclassified().to_dict())
    ]


def passed_on(written_by: dict[str, Any], read_by: dict[str, Any], data: list[dict[str, Any]]) -> list[Any]:
    buffer = io.BytesIO()
    fastavro.writer(buffer, copy.deepcopy(written_by), data)
    buffer.seek(0)
    return list(fastavro.reader(buffer, reader_schema=copy.deepcopy(read_by)))


def assert_readable(written_by: dict[str, Any], read_by: dict[str, Any]) -> None:
    """Data of one schema, read with another: what both have is unchanged, what is new has its default."""
    data = samples_of(written_by)
    defaults = {field["name"]: field["default"] for field in read_by["fields"] if "default" in field}
    expected = [{name: d[name] if name in d else defaults[name] for name in field_names(read_by)} for d in data]
    assert passed_on(written_by, read_by, data) == expected


def assert_only_adds(older: dict[str, Any], newer: dict[str, Any]) -> None:
    """What a minor version may do: every field is still there, with its type."""
    types = {field["name"]: field["type"] for field in newer["fields"]}
    assert {field["name"]: field["type"] for field in older["fields"]}.items() <= {
        name: types[name] for name in types if name in field_names(older)
    }.items()


def next_minor(**field: Any) -> dict[str, Any]:
    schema = load_schema()
    schema["version"] = "1.99"
    schema["fields"].insert(3, {"name": "added", "doc": "New.", **field})
    return schema


@pytest.mark.parametrize(("written_by", "read_by"), PAIRS)
def test_every_version_reads_every_other_of_its_major(written_by: str, read_by: str) -> None:
    assert_readable(load_schema(written_by), load_schema(read_by))


@pytest.mark.parametrize(
    ("older", "newer"), [(a, b) for a, b in PAIRS if known_versions().index(a) <= known_versions().index(b)]
)
def test_a_minor_version_only_adds(older: str, newer: str) -> None:
    assert_only_adds(load_schema(older), load_schema(newer))


def test_an_added_field_with_a_default_reads_both_ways() -> None:
    newer = next_minor(type=["null", "double"], default=None)
    assert_readable(load_schema(), newer)
    assert_readable(newer, load_schema())
    assert_only_adds(load_schema(), newer)


def test_an_added_field_without_a_default_is_caught() -> None:
    newer = next_minor(type="double")
    with pytest.raises((fastavro.read.SchemaResolutionError, KeyError)):
        assert_readable(load_schema(), newer)
    with pytest.raises(fastavro.read.SchemaResolutionError):
        passed_on(load_schema(), newer, samples_of(load_schema()))


@pytest.mark.parametrize("name", ["record_id", "novelty"])
def test_a_removed_field_is_caught(name: str) -> None:
    newer = load_schema()
    newer["fields"] = [field for field in newer["fields"] if field["name"] != name]
    with pytest.raises(AssertionError):
        assert_only_adds(load_schema(), newer)


def test_a_changed_type_is_caught() -> None:
    newer = load_schema()
    next(field for field in newer["fields"] if field["name"] == "stamps_used")["type"] = "long"
    with pytest.raises(AssertionError):
        assert_only_adds(load_schema(), newer)


@pytest.fixture
def package_with_1_99(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package as it will be with an imaginary version 1.99."""
    folder = tmp_path / "schemas"
    shutil.copytree(_data.data_folder("schemas"), folder)
    added = next_minor(type=["null", "double"], default=None)
    (folder / "classification" / "1.99.avsc").write_text(json.dumps(added))
    monkeypatch.setattr(schema_module, "data_folder", lambda name: tmp_path / name)
    caches = (known_versions, schema_module.parsed_schema, schema_module.defaults, schema_module.newest_of_major)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("package_with_1_99")
@pytest.mark.parametrize("suffix", [".avro", ".jsonl", ".parquet"])
def test_an_older_file_read_by_a_package_with_1_99(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    assert known_versions()[-1] == "1.99"
    path = tmp_path / f"records{suffix}"
    with open_writer(path) as writer:
        writer.write([make_classified()])
    (record,) = read_records(path)
    assert record == {**make_classified().to_dict(), "added": None}
    assert list(validate_file(path)) == []


def test_a_newer_file_read_by_this_package(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    line = json.loads(to_json(make_classified())) | {"schema_version": "1.99", "added": 1.5}
    path.write_text(json.dumps(line) + "\n")
    (record,) = read_records(path)
    assert record["added"] == 1.5
    assert list(validate_file(path)) == []


@pytest.mark.parametrize("version", known_versions())
def test_a_schema_file(version: str) -> None:
    schema = load_schema(version)
    assert schema["version"] == version
    assert (schema["namespace"], schema["name"]) == ("broker_plugin.classification", "ClassificationRecord")
    fastavro.parse_schema(copy.deepcopy(schema))
    for field in schema["fields"]:
        assert len(field["doc"]) > 15, field["name"]
        assert not isinstance(field["type"], list) or (field["type"][0] == "null" and field["default"] is None)
    changes = (_data.data_folder("schemas") / "classification" / "CHANGES.md").read_text()
    assert f"\n## {version}\n" in changes


def test_the_newest_schema_is_the_record() -> None:
    assert known_versions()[-1] == SCHEMA_VERSION == make_classified().schema_version
    schema = load_schema()
    assert field_names(schema) == [field.name for field in fields(ClassificationRecord)]
    by_name = {field["name"]: field["type"] for field in schema["fields"]}
    assert field_names(by_name["classifications"]["items"]) == [field.name for field in fields(Classification)]
    assert by_name["status"]["symbols"] == [status.value for status in Status]
    assert validate_record(make_classified()) == []


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no version '9\.9' .* there are 1\.0"):
        load_schema("9.9")


def test_a_loaded_schema_is_the_callers_own() -> None:
    load_schema()["fields"].clear()
    assert load_schema()["fields"]


def test_schemas_are_found_in_a_wheel_and_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broker_plugin"
    package.mkdir()
    monkeypatch.setattr(_data, "_PACKAGE", package)
    with pytest.raises(FileNotFoundError, match=r"broker_plugin's schemas folder is neither at .*_schemas nor at "):
        _data.data_folder("schemas")
    (tmp_path / "schemas").mkdir()
    assert _data.data_folder("schemas") == tmp_path / "schemas"
    (package / "_schemas").mkdir()
    assert _data.data_folder("schemas") == package / "_schemas"
