"""Writers and readers: what goes in comes out, in each format."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_plugin.alert import Reason
from broker_plugin.records import writers
from broker_plugin.records.build import unclassified
from broker_plugin.records.readers import read_records
from broker_plugin.records.record import SCHEMA_VERSION, Classification, ClassificationRecord
from broker_plugin.records.schema import load_schema
from broker_plugin.records.validation import validate_file
from broker_plugin.records.writers import open_writer, to_json

from .samples import IDENTITY, NOW, PRODUCER, make_classified, make_temporal, make_unclassified

SUFFIXES = (".avro", ".jsonl", ".parquet")


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"records{request.param}"


def some_records() -> list[ClassificationRecord]:
    return [
        make_classified(),
        make_unclassified(),
        make_temporal(),
        make_classified(alert_id=-(2**63)),
        make_classified(band=None),
    ]


def write(path: Path, records: list[ClassificationRecord]) -> None:
    with open_writer(path) as writer:
        writer.write(records)


def test_what_goes_in_comes_out(path: Path) -> None:
    records = some_records()
    write(path, records)
    assert list(read_records(path)) == [record.to_dict() for record in records]
    assert list(validate_file(path)) == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_ids_are_exact_and_times_are_utc(path: Path) -> None:
    elsewhere = replace(make_classified(), produced_at=NOW.astimezone(timezone(timedelta(hours=-3))))
    write(path, [elsewhere, make_unclassified()])
    first, second = read_records(path)
    assert first["alert_id"] == 2_345_678_901_234_567_891 and type(first["alert_id"]) is int
    assert second["alert_id"] is None
    assert first["produced_at"] == NOW and first["produced_at"].tzinfo is timezone.utc


def test_no_records_make_a_readable_file(path: Path) -> None:
    write(path, [])
    assert list(read_records(path)) == []
    assert list(validate_file(path)) == []


def test_records_are_streamed_in_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_AVRO_BLOCK_BYTES", 2000)
    monkeypatch.setattr(writers, "_PARQUET_ROW_GROUP", 7)
    sizes = []

    def records() -> Iterator[ClassificationRecord]:
        for number in range(100):
            yield make_classified(alert_id=number)
            (part,) = path.parent.iterdir()
            sizes.append(part.stat().st_size)

    monkeypatch.setattr(Path, "open", _unbuffered(Path.open))
    with open_writer(path) as writer:
        writer.write(records())
    assert 0 < sizes[50] < sizes[-1], "nothing was written before the end"
    assert [record["alert_id"] for record in read_records(path)] == list(range(100))


def _unbuffered(real: Any) -> Any:
    return lambda self, mode="r", *rest, **options: real(self, mode, 0) if "x" in mode else real(self, mode, *rest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ra": float("nan")}, "isn't finite"),
        ({"novelty": float("inf")}, "isn't finite"),
        ({"classifications": (Classification("SN", float("nan")),)}, "isn't finite"),
        ({"alert_id": 2**63}, "64 bits"),
        ({"produced_at": datetime(2026, 1, 1)}, "time zone"),
    ],
)
def test_what_no_reader_could_read_is_refused(path: Path, changes: dict[str, Any], message: str) -> None:
    bad = replace(make_classified(), **changes)
    with pytest.raises(ValueError, match=message) as caught, open_writer(path) as writer:
        writer.write([make_classified(), bad])
    assert bad.record_id in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_a_crash_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), open_writer(path) as writer:
        writer.write(some_records())
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_after_a_failed_write_the_file_is_not_completed(path: Path) -> None:
    bad = replace(make_classified(), ra=float("nan"))
    with pytest.raises(ValueError, match="was not written"), open_writer(path) as writer:
        with pytest.raises(ValueError, match="finite"):
            writer.write([bad])
        with pytest.raises(ValueError, match="has failed"):
            writer.write([make_classified()])
    assert list(path.parent.iterdir()) == []


def test_a_record_of_wrong_types_leaves_no_file(path: Path) -> None:
    bad = replace(make_classified(), detections_used=object())  # type: ignore[arg-type]
    with pytest.raises(Exception), open_writer(path) as writer:  # noqa: B017 - each format has its own
        writer.write([make_classified(), bad])
    assert list(path.parent.iterdir()) == []


def test_an_existing_file_is_replaced(path: Path) -> None:
    write(path, some_records())
    write(path, [make_classified()])
    assert len(list(read_records(path))) == 1


@pytest.mark.parametrize("name", ["records.csv", "records", "records.jsonl.gz"])
def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.avro, \.jsonl, \.parquet"):
        open_writer(tmp_path / name)
    with pytest.raises(ValueError, match=r"\.avro, \.jsonl, \.parquet"):
        next(read_records(tmp_path / name))


def test_without_pyarrow_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"pip install 'broker-plugin\[parquet\]'"):
        open_writer(tmp_path / "records.parquet")
    (tmp_path / "records.parquet").touch()
    with pytest.raises(ImportError, match=r"pip install 'broker-plugin\[parquet\]'"):
        next(read_records(tmp_path / "records.parquet"))


def test_standard_output_is_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with open_writer("-") as writer:
        writer.write(some_records())
    lines = capsys.readouterr().out.splitlines()
    assert lines == [to_json(record) for record in some_records()]
    first = json.loads(lines[0])
    assert first["produced_at"] == "2026-03-04T05:06:07.890123Z"
    assert '"alert_id":2345678901234567891,' in lines[0]


def test_standard_output_takes_no_nan() -> None:
    with pytest.raises(ValueError, match="finite"), open_writer("-") as writer:
        writer.write([replace(make_classified(), dec=float("nan"))])


def test_the_avro_file_has_the_schema_with_its_docs(tmp_path: Path) -> None:
    path = tmp_path / "records.avro"
    write(path, some_records())
    with path.open("rb") as file:
        reader = fastavro.reader(file)
        assert reader.codec == "deflate"
        written: Any = reader.writer_schema
    assert written["version"] == SCHEMA_VERSION
    assert all(field["doc"] for field in written["fields"])
    assert [field["name"] for field in written["fields"]] == [field["name"] for field in load_schema()["fields"]]


def test_parquet_types(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "records.parquet"
    write(path, some_records())
    schema = parquet.read_schema(path)
    assert schema.field("alert_id").type == pa.int64()
    assert schema.field("produced_at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("status").nullable is False
    classes = schema.field("classifications").type
    assert pa.types.is_list(classes) and pa.types.is_struct(classes.value_type)
    assert parquet.read_table(path, columns=["alert_id"])["alert_id"].to_pylist()[0] == IDENTITY.alert_id


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.tuples(st.text(st.characters(categories=None)), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=5
    ),
    suffix=st.sampled_from(SUFFIXES),
)
def test_any_detail_and_id_survive(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], suffix: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    records = [
        unclassified(
            replace(IDENTITY, alert_id=alert_id, source=text), PRODUCER, Reason.INVALID_FIELD, text, produced_at=NOW
        )
        for text, alert_id in rows
    ]
    path = tmp_path_factory.mktemp("any") / f"records{suffix}"
    write(path, records)
    assert list(read_records(path)) == [record.to_dict() for record in records]


def test_a_major_version_that_is_not_known_is_said(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(json.loads(to_json(make_classified())) | {"schema_version": "7.0"}) + "\n")
    with pytest.raises(ValueError, match=r"line 1: schema_version is '7.0'; this package knows 1.0, 1.1"):
        list(read_records(path))


def test_a_damaged_file_is_said_with_its_place(path: Path) -> None:
    path.write_bytes(b"\x00nonsense\n")
    with pytest.raises(ValueError, match=r"records\.\w+, (line|record) 1: not "):
        list(read_records(path))
