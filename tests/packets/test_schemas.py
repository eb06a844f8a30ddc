"""Writer schemas: repaired where writers are careless, refused where they are hostile."""

from __future__ import annotations

import io
import json
import time

import fastavro
import pytest

from broker_plugin.alert import AlertError, Reason
from broker_plugin.packets import PacketReader
from broker_plugin.packets.schemas import make_schema, parse_schema_text
from broker_plugin.packets.wire import lsst_schema

from . import samples

LONG = {"name": "candid", "type": "long"}


def record(name: str, *fields: tuple[str, object]) -> dict:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields]}


def refusal(definition: object, wanted=None) -> str:
    started = time.monotonic()
    with pytest.raises(AlertError) as caught:
        make_schema(definition, wanted or {"candid": True, "rows": True})
    assert caught.value.reason is Reason.UNREADABLE
    assert time.monotonic() - started < 2.0
    return caught.value.detail


def test_null_default_on_a_field_that_is_not_nullable_is_repaired():
    definition = record("ztf.alert", ("candid", "long"))
    definition["fields"].append({"name": "rb", "type": "float", "default": None})
    schema = make_schema(definition, {"candid": True, "rb": True})
    assert schema.decode(samples.zigzag(7) + bytes(4)) == {"candid": 7, "rb": 0.0}


def test_name_and_version_are_what_the_writer_calls_them():
    schema = make_schema(
        {**record("alert", ("candid", "long")), "namespace": "ztf", "version": "3.3"}, {"candid": True}
    )
    assert schema.name == "ztf.alert 3.3"


def test_logical_types_are_left_as_numbers():
    definition = record("r", ("candid", {"type": "long", "logicalType": "timestamp-micros"}))
    assert make_schema(definition, {"candid": True}).decode(samples.zigzag(-(2**60))) == {"candid": -(2**60)}


def test_one_type_can_be_wanted_in_two_forms():
    source = record("lsst.diaSource", ("diaSourceId", "long"), ("a", "double"))
    definition = record("lsst.alert", ("diaSource", source), ("prv", {"type": "array", "items": "lsst.diaSource"}))
    schema = make_schema(definition, {"diaSource": True, "prv": {"a": True}})
    row = {"diaSourceId": 1, "a": 2.0}
    content = samples.datum(definition, {"diaSource": row, "prv": [row]})
    assert schema.decode(content) == {"diaSource": row, "prv": [{"a": 2.0}]}


@pytest.mark.parametrize("branches", [["null", "double", "long"], ["float", "int", "null"], ["double", "long", "int"]])
def test_integer_in_a_union_does_not_become_a_double(branches):
    definition = record("r", ("candid", branches))
    kind = "long" if "long" in branches else "int"
    value = 2**60 + 1 if kind == "long" else 2**30 + 1
    read = make_schema(definition, {"candid": True}).decode(bytes([2 * branches.index(kind)]) + samples.zigzag(value))
    assert read["candid"] == value and isinstance(read["candid"], int)


def test_union_of_two_records_of_one_short_name_is_refused():
    union = [record("a.X", ("p", "long")), record("b.X", ("p", "long"), ("q", "long"))]
    assert "one name" in refusal(record("r", ("candid", union)))


def test_bytes_beyond_the_record_are_refused():
    schema = make_schema(record("r", ("candid", "long")), {"candid": True})
    with pytest.raises(AlertError, match="ends at byte 1 of 2"):
        schema.decode(b"\x02\x02")


@pytest.mark.parametrize("major_minor", [(7, 1), (7, 4), (8, 0), (9, 0), (10, 0), (11, 0), (11, 1)])
def test_every_schema_of_rubin_is_accepted(major_minor):
    make_schema(lsst_schema(*major_minor), PacketReader()._containers._wanted)


@pytest.mark.parametrize(
    "definition",
    [
        "string",
        None,
        [],
        {"type": "array", "items": "long"},
        {"type": "record"},
        {"type": "record", "name": "x"},
        {"type": "record", "name": "x", "fields": 3},
        record("x", ("candid", "no-such-type")),
        record("x", ("candid", {"type": "enum", "name": "e"})),
        record("x", ("candid", {})),
        record("x"),
        record("x", ("candid", "null")),
    ],
)
def test_what_is_no_record_schema_is_refused(definition):
    refusal(definition)


def test_recursive_schema_is_refused():
    node = record("node", ("candid", "long"), ("next", ["null", "node"]))
    assert "recursive" in refusal(node)


def test_schema_recursive_through_a_list_is_refused():
    assert "recursive" in refusal(record("node", ("candid", "long"), ("rows", {"type": "array", "items": "node"})))


@pytest.mark.parametrize("size", [0, -5, 1.5, "7", True, None, 2**70])
def test_fixed_type_of_an_impossible_size_is_refused_or_never_fits(size):
    definition = record("x", ("rows", {"type": "array", "items": {"type": "fixed", "name": "f", "size": size}}))
    with pytest.raises(AlertError):
        make_schema(definition, {"rows": True}).decode(samples.zigzag(2**60) + b"\0")


@pytest.mark.parametrize(
    "item",
    [
        "null",
        record("empty"),
        record("nulls", ("a", "null"), ("b", "null")),
        record("one", ("a", ["null", "long"])),
        record("nest", ("a", record("n1", ("b", record("n2", ("c", "long")))))),
        ["null", record("in_union", ("a", "int"))],
    ],
    ids=["null", "empty record", "record of nulls", "record of one byte", "nested records", "in a union"],
)
@pytest.mark.parametrize("kind", ["array", "map"])
def test_list_whose_items_take_next_to_no_room_is_refused(kind, item):
    if (kind, item) == ("map", "null"):
        return  # each takes its key
    rows = {"type": kind, "items" if kind == "array" else "values": item}
    assert "too few bytes" in refusal(record("x", ("candid", "long"), ("rows", rows)))


def test_list_of_endless_count_ends_with_the_bytes():
    item = record("row", ("jd", "double"))
    schema = make_schema(record("x", ("rows", {"type": "array", "items": item})), {"rows": True})
    with pytest.raises(AlertError):
        schema.decode(samples.zigzag(2**60) + bytes(100))


@pytest.mark.parametrize("count", [-1, -(2**62), -(2**63), 2**62])
def test_list_that_is_skipped_ends_too(count):
    definition = record("x", ("other", {"type": "array", "items": "long"}), ("candid", "long"))
    schema = make_schema(definition, {"candid": True})
    with pytest.raises(AlertError):
        schema.decode(samples.zigzag(count) + samples.zigzag(-20) + b"\x02\x02")


@pytest.mark.parametrize("leaf", ["null", "long"])
def test_exponential_nesting_of_named_types_is_refused(leaf):
    kind: object = leaf
    for level in range(14):
        fields = [("f0", kind), *((f"f{i}", f"r{level - 1}" if level else leaf) for i in range(1, 10))]
        kind = record(f"r{level}", *fields)
    assert "more than" in refusal(record("top", ("candid", "long"), ("rows", kind)))


def test_deep_nesting_is_refused():
    kind: object = "long"
    for level in range(40):
        kind = record(f"r{level}", ("f", kind))
    assert "deep" in refusal(record("top", ("candid", "long"), ("rows", kind)))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"{", b"NaN}"])
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(AlertError) as caught:
        parse_schema_text(text)
    assert caught.value.reason is Reason.UNREADABLE


def test_huge_schema_is_refused_quickly():
    fields = [(f"f{i}", ["null", "long"]) for i in range(20_000)]
    text = json.dumps(record("ztf.alert", *fields)).encode()
    started = time.monotonic()
    PacketReader().read(samples.raw_container(text, []))
    assert time.monotonic() - started < 2.0


def test_real_history_of_nullable_rows_is_accepted():
    row = record("row", ("jd", "double"), ("candid", ["null", "long"]))
    definition = record("ztf.alert", ("prv_candidates", ["null", {"type": "array", "items": ["null", row]}]))
    stream = io.BytesIO()
    content = {"prv_candidates": [{"jd": 1.0, "candid": None}, None]}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(definition), content)
    assert make_schema(definition, {"prv_candidates": True}).decode(stream.getvalue()) == content
