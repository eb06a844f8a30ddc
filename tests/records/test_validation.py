from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from broker_plugin.crossmatch import NotLookedUp
from broker_plugin.records.validation import Problem, validate_file, validate_record
from broker_plugin.records.writers import open_writer, to_json

from .samples import edited, make_classified, make_unclassified


def one_class(probability: float, name: str = "SN") -> dict[str, Any]:
    return {"classifications": [{"class_name": name, "probability": probability}]}


def pair(first: float, second: float) -> list[dict[str, Any]]:
    return [{"class_name": "SN", "probability": first}, {"class_name": "AGN", "probability": second}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alert_id": "12"}, "alert_id is '12', not null or long"),
        ({"alert_id": 2**63}, "not null or long"),
        ({"alert_id": 1.0}, "alert_id is 1.0, not null or long"),
        ({"record_id": None}, "record_id is None, not string"),
        ({"record_id": "17"}, "record_id is '17', not a UUID"),
        ({"status": "fine"}, "status is 'fine', not enum"),
        ({"produced_at": datetime(2026, 1, 1)}, "no time with a zone"),
        ({"produced_at": "yesterday"}, "no ISO 8601 time"),
        ({"schema_version": None}, "schema_version is None, not a string"),
        ({"schema_version": "2.0"}, "this package knows 1.0, 1.1"),
        ({"schema_version": "../1.0"}, "this package knows 1.0, 1.1"),
        ({"surprise": 1}, "'surprise' is no field of version 1.1"),
        ({"mjd": math.nan}, "mjd is nan, not a finite number"),
        ({"mjd": 10**400}, "not a finite number"),
        ({"mjd_scale": "tt"}, "mjd_scale is 'tt', neither utc nor tai"),
        ({"kind": "Temporal"}, "kind is 'Temporal', none of stamp, temporal, stage"),
        ({"kind": None}, "kind is None, not string"),
        ({"allwise": "not_looked_up"}, "allwise is 'not_looked_up', none of found, none_there, absent"),
        ({"status": "error", "allwise": "found"}, "status is error, and allwise is 'found'"),
        ({"stamps_used": -1}, "stamps_used is -1, less than 0"),
        ({"reason": "unreadable"}, "status is ok, and there is a reason"),
        ({"classifications": []}, "status is ok, and there are no classifications"),
        ({"classifications": []}, "class_name is 'SN', and there are no classifications"),
        ({"status": "error"}, "status is error, and there are classifications"),
        ({"status": "error"}, "status is error, and there is no reason"),
        ({"status": "error", "reason": "no_cutouts"}, "but the reason no_cutouts means skipped"),
        ({"status": "skipped", "reason": "unreadable"}, "but the reason unreadable means error"),
        (one_class(0.7), "probabilities sum to 0.7, not 1"),
        (one_class(math.nan), "probabilities are outside 0 to 1"),
        ({"classifications": pair(1.5, -0.5)}, "probabilities are outside 0 to 1"),
        ({"classifications": pair(0.6, 0.4) + pair(0.0, 0.0)}, "name a class twice"),
        ({"classifications": pair(0.3, 0.7)}, "class_name is 'SN', but 'AGN' is the highest"),
        ({"class_name": None}, "class_name is None, but 'SN' is the highest"),
        ({"class_probability": 0.5}, "class_probability is 0.5, but the highest is 0.7"),
        ({"class_probability": None}, "class_probability is None"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    assert any(message in problem for problem in validate_record(edited(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schema_version": "1.99", "surprise": 1},
        {"schema_version": "1.99", "kind": "of_a_later_version", "allwise": "of_a_later_version"},
        {"kind": "temporal", "allwise": "found"},
        {"kind": "temporal", "allwise": "none_there"},
        *({"kind": "temporal", "allwise": why.value} for why in NotLookedUp),
        {"produced_at": "2026-01-01T00:00:00Z"},
        {"mjd": 60000, "mjd_scale": "tai"},
        {"classifications": pair(0.5, 0.5), "class_name": "AGN", "class_probability": 0.5},
        {"classifications": pair(0.7, 0.3000005)},
        {
            "status": "skipped",
            "reason": "of_a_later_version",
            "classifications": [],
            "class_name": None,
            "class_probability": None,
        },
    ],
)
def test_what_is_allowed(changes: dict[str, Any]) -> None:
    assert validate_record(edited(**changes)) == []


def test_every_field_must_stand() -> None:
    for name in edited():
        record = edited()
        del record[name]
        assert any(name in problem for problem in validate_record(record)), name


def test_a_line_of_json_is_a_record() -> None:
    assert validate_record(json.loads(to_json(make_classified()))) == []


def test_validation_leaves_the_record_alone() -> None:
    record = json.loads(to_json(make_classified()))
    before = dict(record)
    validate_record(record)
    assert record == before


def test_a_bad_line_costs_only_itself(tmp_path: Path) -> None:
    good = to_json(make_classified())
    lines = [
        good,
        "{not json",
        "",
        "[1, 2]",
        good.replace('"ra":123.456789', '"ra":NaN'),
        good.replace('"status":"ok"', '"status":"error"'),
        "[" * 100_000,
        '{"alert_id": ' + "9" * 5000 + "}",
        good.replace("2026-03-04T", "not-a-day"),
        good,
    ]
    path = tmp_path / "records.jsonl"
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n" + good.encode())
    problems = list(validate_file(path))
    # Line 6 breaks two rules.
    assert [p.place for p in problems] == [f"line {n}" for n in (2, 4, 5, 6, 6, 7, 8, 9, 11)]
    wrong_status = problems[3]
    assert wrong_status.record_id == make_classified().record_id
    assert str(wrong_status).startswith(f"line 6 ({make_classified().record_id}): status is error")


def test_a_line_without_end_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker_plugin.records.readers._MAX_LINE", 5000)
    path = tmp_path / "records.jsonl"
    path.write_text("x" * 20_000 + "\n" + to_json(make_classified()) + "\n" + "y" * 5001)
    assert [p.place for p in validate_file(path)] == ["line 1", "line 3"]


@pytest.mark.parametrize("suffix", [".avro", ".parquet"])
def test_a_truncated_file_is_one_problem(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"records{suffix}"
    with open_writer(path) as writer:
        writer.write([make_classified(), make_unclassified()])
    path.write_bytes(path.read_bytes()[:-40])
    (problem,) = validate_file(path)
    assert "not readable as" in problem.message


@pytest.mark.parametrize("name", ["missing.avro", "missing.jsonl", "folder.jsonl", "records.csv"])
def test_a_file_that_cannot_be_opened_is_one_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (problem,) = validate_file(tmp_path / name)
    assert problem.place == "file"
    assert name in problem.message


def test_an_avro_file_of_something_else(tmp_path: Path) -> None:
    fastavro = pytest.importorskip("fastavro")
    path = tmp_path / "records.avro"
    with path.open("wb") as file:
        fastavro.writer(file, "string", ["a"])
    assert list(validate_file(path)) == [Problem("record 1", None, "a str, not a record")]
