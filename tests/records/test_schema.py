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
from broker_plugin.records.readers import parse_time, read_records
from broker_plugin.records.record import SCHEMA_VERSION, Classification, ClassificationRecord
from broker_plugin.records.schema import known_versions, load_schema
from broker_plugin.records.validation import validate_file, validate_record
from broker_plugin.records.writers import open_writer, to_json

from .samples import make_classified, make_temporal, make_unclassified

STORED = Path(__file__).parent / "stored"
"""What each older version's own writers made of ``make_classified()`` and ``make_unclassified()``, in every format."""
SUFFIXES = (".avro", ".jsonl", ".parquet")
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
        for record in (make_classified().to_dict(), make_temporal().to_dict(), make_unclassified().to_dict())
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


@pytest.fixture(params=itertools.product(known_versions()[:-1], SUFFIXES), ids="".join)
def stored(request: pytest.FixtureRequest) -> Path:
    """A file that an older version wrote."""
    version, suffix = request.param
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    return STORED / f"{version}{suffix}"


def stored_lines(version: str) -> list[dict[str, Any]]:
    lines = (STORED / f"{version}.jsonl").read_text(encoding="utf-8").splitlines()
    return [record | {"produced_at": parse_time(record["produced_at"])} for record in map(json.loads, lines)]


def test_a_stored_file_is_of_its_version_and_valid(stored: Path) -> None:
    assert {record["schema_version"] for record in read_records(stored)} == {stored.stem}
    assert all(list(record) == field_names(load_schema(stored.stem)) for record in stored_lines(stored.stem))
    assert list(validate_file(stored)) == []


def test_what_is_read_of_a_stored_file_has_the_defaults_and_nothing_else_new(stored: Path) -> None:
    defaults = schema_module.defaults(SCHEMA_VERSION)
    assert list(read_records(stored)) == [{**defaults, **line} for line in stored_lines(stored.stem)]


def test_what_is_read_of_a_stored_file_is_valid(stored: Path) -> None:
    assert [validate_record(record) for record in read_records(stored)] == [[], []]


def test_a_stored_record_with_a_later_field_of_another_value_is_wrong() -> None:
    record = stored_lines("1.0")[0] | {"kind": "temporal"}
    assert validate_record(record) == ["'kind' is no field of version 1.0"]


def test_a_record_of_1_0_reads_as_a_stamp_record_without_allwise() -> None:
    for record in read_records(STORED / "1.0.avro"):
        assert (record["kind"], record["allwise"]) == ("stamp", None)


def test_the_ids_of_stored_records_are_made_today_too(stored: Path) -> None:
    today = [make_classified().record_id, make_unclassified().record_id]
    assert [record["record_id"] for record in read_records(stored)] == today


@pytest.mark.parametrize("version", known_versions()[:-1])
def test_a_plain_avro_reader_reads_a_stored_file_with_the_newest_schema(version: str) -> None:
    with (STORED / f"{version}.avro").open("rb") as file:
        records = list(fastavro.reader(file, reader_schema=load_schema()))
    assert records == list(read_records(STORED / f"{version}.avro"))


@pytest.mark.parametrize("version", known_versions())
def test_a_plain_avro_reader_of_any_version_reads_what_is_written_today(tmp_path: Path, version: str) -> None:
    written = [make_classified(), make_temporal(), make_unclassified()]
    with open_writer(tmp_path / "records.avro") as writer:
        writer.write(written)
    with (tmp_path / "records.avro").open("rb") as file:
        read = list(fastavro.reader(file, reader_schema=load_schema(version)))
    assert read == [{name: record.to_dict()[name] for name in field_names(load_schema(version))} for record in written]


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
@pytest.mark.parametrize("suffix", SUFFIXES)
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
    with pytest.raises(ValueError, match=r"no version '9\.9' .* there are 1\.0, 1\.1"):
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
