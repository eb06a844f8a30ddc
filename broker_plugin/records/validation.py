"""Checking records against the schema and against what the schema can't say."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from fastavro.validation import ValidationError, validate

from broker_plugin.alert import Reason, Status
from broker_plugin.records.build import PROBABILITY_TOLERANCE
from broker_plugin.records.readers import parse_time, scan
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.records.schema import defaults, known_versions, load_schema, newest_of_major, parsed_schema

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATUS_OF = {reason.value: reason.status.value for reason in Reason}
_MJD_SCALES = ("utc", "tai")
_KINDS = ("stamp", "temporal", "stage")
_ALLWISE = ("found", "none_there", "absent", "too_slow", "failed", "bad_position")
_NAMESPACE = "broker_plugin.classification."


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file of records.

    Attributes
    ----------
    place
        ``line 7`` or ``record 7``, counted from 1; ``file`` where it is about the whole file.
    record_id
        Id of the record, where one could be read.
    message
        What is wrong.
    """

    place: str
    record_id: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.place}{f' ({self.record_id})' if self.record_id else ''}: {self.message}"


def validate_record(record: ClassificationRecord | Mapping[str, Any]) -> list[str]:
    """What is wrong with a record; an empty list if nothing is.

    It is checked against the schema of its own version, or for a newer minor version against the newest one
    that this package has, and against the rules of ``docs/records.md``.  A reason that this package doesn't
    know is no problem: a newer minor version may have added it.

    Parameters
    ----------
    record
        A record, or one as `read_records` gives it or as a line of JSON holds it.
    """
    plain = record.to_dict() if isinstance(record, ClassificationRecord) else dict(record)
    problems = _schema_problems(plain)
    # The rules below may rely on the types.
    return problems or list(_rule_problems(plain))


def validate_file(path: str | os.PathLike[str]) -> Iterator[Problem]:
    """What is wrong with a file of records, record by record; reads files of any size.

    A file that can't be read is one problem; so is the first damaged place of an Avro or Parquet file, since
    nothing after it can be found.  A bad line of JSON costs only itself.

    Raises
    ------
    ImportError
        The file is Parquet and pyarrow isn't installed.
    """
    try:
        for row in scan(path):
            if row.record is None:
                yield Problem(row.place, None, row.problem or "not readable")
                continue
            record_id = row.record.get("record_id")
            for message in validate_record(row.record):
                yield Problem(row.place, record_id[:80] if isinstance(record_id, str) else None, message)
    except (OSError, ValueError) as exc:
        yield Problem("file", None, str(exc))


def _schema_problems(plain: dict[str, Any]) -> list[str]:
    version = plain.get("schema_version")
    if not isinstance(version, str):
        return [f"schema_version is {_shown(version)}, not a string"]
    if version not in known_versions():
        newest = newest_of_major(version)
        if newest is None:
            return [f"schema_version is {_shown(version)}; this package knows {', '.join(known_versions())}"]
        version = newest
    else:
        _drop_later_defaults(plain, version)
        if unknown := [name for name in plain if name not in _field_names(version)]:
            return [f"{_shown(name)} is no field of version {version}" for name in unknown]
    # fastavro takes a missing field with a default for null; in a record all fields stand.
    if missing := [name for name in _field_names(version) if name not in plain]:
        return [f"{name} is missing" for name in missing]
    if isinstance(plain.get("produced_at"), str):
        try:
            plain["produced_at"] = parse_time(plain["produced_at"])
        except (ValueError, OverflowError):
            return [f"produced_at is {_shown(plain['produced_at'])}, no ISO 8601 time with a zone"]
    try:
        # Asking for the errors costs five times as much, because every null makes one on the way.
        if not validate(plain, parsed_schema(version), raise_errors=False, strict=True):
            validate(plain, parsed_schema(version), strict=True)
    except ValidationError as exc:
        return _schema_messages(exc)
    except (ValueError, TypeError, OverflowError) as exc:  # a value that fastavro can't even convert
        return [f"doesn't fit the schema: {exc}"]
    return []


def _drop_later_defaults(plain: dict[str, Any], version: str) -> None:
    """Take out what `read_records` filled in: fields of later minor versions, with their defaults."""
    newest = newest_of_major(version)
    assert newest is not None  # noqa: S101 - for the type checker: the version is one that this package has
    for name, default in defaults(newest).items():
        if name in plain and name not in _field_names(version) and plain[name] == default:
            del plain[name]


def _rule_problems(record: Mapping[str, Any]) -> Iterator[str]:
    if not _UUID.fullmatch(record["record_id"]):
        yield f"record_id is {_shown(record['record_id'])}, not a UUID in lower case"
    for name in ("mjd", "ra", "dec", "class_probability", "novelty"):
        if record[name] is not None and not _is_finite(record[name]):
            yield f"{name} is {_shown(record[name])}, not a finite number"
    if record["mjd_scale"] is not None and record["mjd_scale"] not in _MJD_SCALES:
        yield f"mjd_scale is {_shown(record['mjd_scale'])}, neither utc nor tai"
    for name in ("detections_used", "stamps_used"):
        if record[name] < 0:
            yield f"{name} is {record[name]}, less than 0"
    if not isinstance(record["produced_at"], datetime) or record["produced_at"].tzinfo is None:
        yield f"produced_at is {_shown(record['produced_at'])}, no time with a zone"
    yield from _word_problems(record)
    yield from _status_problems(record)
    yield from _classification_problems(record)


def _word_problems(record: Mapping[str, Any]) -> Iterator[str]:
    # Younger than 1.0, so they may be missing; and a version that isn't known here may have more words.
    kind, allwise = record.get("kind"), record.get("allwise")
    if record["schema_version"] in known_versions():
        for name, word, words in (("kind", kind, _KINDS), ("allwise", allwise, _ALLWISE)):
            if word is not None and word not in words:
                yield f"{name} is {_shown(word)}, none of {', '.join(words)}"
    if allwise is not None and record["status"] != Status.OK.value:
        yield f"status is {record['status']}, and allwise is {_shown(allwise)}"


def _status_problems(record: Mapping[str, Any]) -> Iterator[str]:
    status, reason = record["status"], record["reason"]
    if status == Status.OK.value:
        if reason is not None:
            yield f"status is ok, and there is a reason: {_shown(reason)}"
        if not record["classifications"]:
            yield "status is ok, and there are no classifications"
        return
    if record["classifications"]:
        yield f"status is {status}, and there are classifications"
    if reason is None:
        yield f"status is {status}, and there is no reason"
    elif _STATUS_OF.get(reason, status) != status:
        yield f"status is {status}, but the reason {reason} means {_STATUS_OF[reason]}"


def _classification_problems(record: Mapping[str, Any]) -> Iterator[str]:
    names = [item["class_name"] for item in record["classifications"]]
    values = [item["probability"] for item in record["classifications"]]
    if not values:
        for name in ("class_name", "class_probability"):
            if record[name] is not None:
                yield f"{name} is {_shown(record[name])}, and there are no classifications"
        return
    if len(set(names)) < len(names):
        yield f"classifications name a class twice: {_shown(names)}"
    if bad := [value for value in values if not 0.0 <= value <= 1.0]:  # NaN is in no range
        yield f"probabilities are outside 0 to 1: {_shown(bad)}"
        return
    if abs(math.fsum(values) - 1.0) > PROBABILITY_TOLERANCE:
        yield f"probabilities sum to {math.fsum(values)!r}, not 1"
    highest = max(values)
    if (record["class_name"], highest) not in zip(names, values, strict=True):
        yield f"class_name is {_shown(record['class_name'])}, but {_shown(names[values.index(highest)])} is the highest"
    if record["class_probability"] != highest:
        yield f"class_probability is {record['class_probability']}, but the highest is {highest}"


def _schema_messages(exc: ValidationError) -> list[str]:
    # A union gives one error for each of its branches.
    expected: dict[str, list[str]] = {}
    for error in exc.errors:
        field = str(error.field).rpartition(_NAMESPACE)[2].partition(".")[2] or "the record"
        wanted = error.schema["type"] if isinstance(error.schema, dict) else error.schema
        expected.setdefault(f"{field} is {_shown(error.datum)}", []).append(str(wanted))
    return [f"{found}, not {' or '.join(wanted)}" for found, wanted in expected.items()]


@cache
def _field_names(version: str) -> Mapping[str, None]:
    return dict.fromkeys(field["name"] for field in load_schema(version)["fields"])


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer, as JSON may have it, that no double holds
        return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
