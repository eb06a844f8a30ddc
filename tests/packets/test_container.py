"""Object containers, well made and hostile."""

from __future__ import annotations

import contextlib
import gzip
import io
import json

import fastavro
import pytest
from fastavro.schema import SchemaParseException

from broker_plugin.alert import Alert, AlertError, Reason, Rejected
from broker_plugin.packets import PacketReader, container
from broker_plugin.packets.container import ContainerDecoder, parse_header
from broker_plugin.packets.limits import MAX_PACKET_BYTES

from . import samples

SMALL = {
    "type": "record",
    "name": "ztf.small",
    "fields": [{"name": "candid", "type": "long"}, {"name": "text", "type": "string"}],
}
RECORDS = [{"candid": 2**62 + i, "text": f"row {i}"} for i in range(5)]


def read(data: bytes, wanted=None) -> list[dict]:
    return list(ContainerDecoder(wanted or {"candid": True, "text": True}).open(data)[1])


def refusal(data: bytes) -> AlertError:
    with pytest.raises(AlertError) as caught:
        read(data)
    return caught.value


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "bzip2", "xz"])
def test_every_codec_gives_the_records(codec):
    assert read(samples.container(SMALL, RECORDS, codec)) == RECORDS


def test_records_of_many_blocks_come_in_order():
    assert read(samples.container(SMALL, RECORDS, sync_interval=1)) == RECORDS


def test_only_what_is_wanted_is_built():
    assert read(samples.container(SMALL, RECORDS[:1]), {"candid": True}) == [{"candid": 2**62}]


def test_unknown_codec_is_named():
    problem = refusal(samples.raw_container(json.dumps(SMALL).encode(), [(1, b"xx")], b"zstandard"))
    assert problem.reason is Reason.UNREADABLE and "zstandard" in problem.detail


def test_same_header_is_parsed_once(monkeypatch):
    calls = []

    def counting(*args):
        calls.append(args)
        return original(*args)

    original = container.make_schema
    monkeypatch.setattr(container, "make_schema", counting)
    decoder = ContainerDecoder({"candid": True})
    for record in RECORDS:
        list(decoder.open(samples.container(SMALL, [record]))[1])
    assert len(calls) == 1


def test_header_with_blocks_of_negative_count():
    text = json.dumps(SMALL).encode()
    entry = samples.zigzag(11) + b"avro.schema" + samples.zigzag(len(text)) + text
    header = b"Obj\x01" + samples.zigzag(-1) + samples.zigzag(len(entry)) + entry + samples.zigzag(0)
    content = samples.datum(SMALL, RECORDS[0])
    data = header + bytes(16) + samples.zigzag(1) + samples.zigzag(len(content)) + content + bytes(16)
    assert parse_header(data).codec == "null"
    assert read(data) == RECORDS[:1]


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "bzip2", "xz"])
def test_cut_off_at_any_byte_is_unreadable(codec):
    data = samples.container(SMALL, RECORDS[:2], codec)
    starts = len(data) - len(data[data.rindex(b"avro.codec") :])
    for end in (*range(min(len(data), 40)), *range(starts, len(data))):
        if end == len(samples.container(SMALL, [], codec)):
            continue  # a container of no records is whole
        assert refusal(data[:end]).reason is Reason.UNREADABLE


def test_whole_alert_cut_off_at_any_byte_of_header_or_record_is_rejected():
    small = dict.fromkeys(samples.CUTOUTS)
    data = samples.container(samples.ztf_schema(), [samples.ztf_record(**small, prv_candidates=None)])
    reader = PacketReader()
    assert isinstance(reader.read(data), Alert)
    for end in range(len(data)):
        assert isinstance(reader.read(data[:end]), Rejected)


@pytest.mark.parametrize(
    ("count", "content"),
    [
        (2, samples.datum(SMALL, RECORDS[0])),
        (1, samples.datum(SMALL, RECORDS[0]) * 2),
        (2**60, samples.datum(SMALL, RECORDS[0])),
        (-1, samples.datum(SMALL, RECORDS[0])),
        (1, b""),
    ],
    ids=["too few", "too many", "endless", "negative", "empty"],
)
def test_block_that_lies_about_its_records_is_unreadable(count, content):
    assert refusal(samples.raw_container(json.dumps(SMALL).encode(), [(count, content)])).reason is Reason.UNREADABLE


def test_block_without_its_sync_marker_is_corrupt():
    data = samples.container(SMALL, RECORDS[:1])
    assert "sync marker" in refusal(data[:-1] + bytes([data[-1] ^ 1])).detail


def test_snappy_checksum_is_looked_at():
    data = bytearray(samples.container(SMALL, RECORDS, "snappy"))
    data[-17] ^= 1  # the last byte of the checksum
    assert "checksum" in refusal(bytes(data)).detail


@pytest.mark.parametrize("codec", ["deflate", "snappy", "bzip2", "xz"])
def test_block_that_is_no_such_compression_names_the_codec(codec):
    problem = refusal(samples.raw_container(json.dumps(SMALL).encode(), [(1, b"\xff" * 50)], codec.encode()))
    assert problem.reason is Reason.UNREADABLE and codec in problem.detail


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "bzip2", "xz"])
def test_packet_that_decompresses_past_the_bound_is_too_large(codec):
    data = samples.container(SMALL, [{"candid": 1, "text": "x" * MAX_PACKET_BYTES}], codec)
    with pytest.raises(AlertError) as caught:
        list(ContainerDecoder({"candid": True}).open(data, MAX_PACKET_BYTES)[1])
    assert caught.value.reason is Reason.TOO_LARGE


def test_large_block_of_a_file_gives_each_record():
    records = [{"candid": i, "text": "x" * 3_000_000} for i in range(7)]
    data = samples.container(SMALL, records, "deflate", sync_interval=1 << 30)
    assert read(data, {"candid": True}) == [{"candid": i} for i in range(7)]


@pytest.mark.parametrize("size", [1_000, MAX_PACKET_BYTES // 2, MAX_PACKET_BYTES - 20])
def test_block_is_read_wherever_its_window_ends(size):
    lengths = [size + i % 7 for i in range(3 + 12_000_000 // size)]
    data = samples.container(
        SMALL, [{"candid": i, "text": "x" * n} for i, n in enumerate(lengths)], sync_interval=1 << 30
    )
    assert [(record["candid"], len(record["text"])) for record in read(data)] == list(enumerate(lengths))


@pytest.mark.parametrize("before", [0, 1, 5])
@pytest.mark.parametrize("size", [MAX_PACKET_BYTES, 3 * MAX_PACKET_BYTES])
def test_record_larger_than_a_packet_may_be_is_refused_in_a_file_too(size, before):
    records = [{"candid": 1, "text": "x" * 1_500_000}] * before + [{"candid": 2, "text": "x" * size}]
    data = samples.container(SMALL, records, "deflate", sync_interval=1 << 30)
    assert refusal(data).reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    "data",
    [
        b"Obj\x01",
        b"Obj\x01\x00" + bytes(16),
        b"Obj\x01" + b"\xff" * 30,
        b"Obj\x01" + samples.zigzag(2**40),
        b"Obj\x01" + samples.zigzag(1) + samples.zigzag(2**62),
        b"Obj\x01" + samples.zigzag(1) + samples.zigzag(-5) + b"x" * 40,
    ],
)
def test_garbage_header_is_unreadable(data):
    assert refusal(data).reason is Reason.UNREADABLE


def values_of(expected, got):
    """What a projection kept, compared with the whole record: every value in ``got`` is that of ``expected``."""
    if isinstance(got, dict):
        return all(name in expected and values_of(expected[name], value) for name, value in got.items())
    if isinstance(got, list):
        return len(expected) == len(got) and all(map(values_of, expected, got))
    return expected == got or (expected != expected and got != got)


def check_against_fastavro(data: bytes, decoder: ContainerDecoder) -> int:
    expected = list(fastavro.reader(io.BytesIO(data)))
    schema, records = decoder.open(data)
    got = list(records)
    assert len(got) == len(expected)
    for one, whole in zip(got, expected, strict=True):
        assert set(one) == {field["name"] for field in schema.writer["fields"]} & set(decoder._wanted)
        assert values_of(whole, one)
    return len(got)


def test_projection_reads_what_fastavro_reads_of_synthetic_packets():
    decoder = PacketReader()._containers
    assert sum(check_against_fastavro(data, decoder) for data in samples.payloads("ztf")) == 10


@pytest.mark.parametrize("fields", [None, ("magpsf", "sgscore1", "psfFlux")], ids=["all fields", "few fields"])
def test_projection_reads_what_fastavro_reads_of_real_packets(shared_alerts, fields):
    decoder = PacketReader(fields)._containers
    checked = 0
    for path in sorted([*shared_alerts.rglob("*.avro"), *shared_alerts.rglob("*.gz")]):
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if data[:4] == b"Obj\x01" and "train" not in path.name:
            with contextlib.suppress(SchemaParseException):  # fastavro refuses what is repaired here
                checked += check_against_fastavro(data, decoder)
    assert checked > 500
