"""One packet in, one `Alert` or `Rejected` out."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json

import fastavro
import pytest

from broker_plugin.alert import Alert, Reason, Rejected
from broker_plugin.packets import PacketReader, identify
from broker_plugin.packets.limits import MAX_PACKET_BYTES

from . import samples
from .test_wire import newer_schema

ZTF = samples.payloads("ztf")[0]
RUBIN = samples.payloads("rubin")[0]


@pytest.fixture(scope="module")
def reader() -> PacketReader:
    return PacketReader()


@pytest.mark.parametrize("packet", [ZTF, RUBIN], ids=["ztf", "rubin"])
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, gzip.compress])
def test_every_form_of_bytes_gives_the_same_alert(reader, packet, form):
    assert reader.read(form(packet)) == reader.read(packet)


def test_dict_gives_the_same_alert_but_for_its_schema(reader):
    from_bytes, from_dict = reader.read(ZTF), reader.read(samples.ztf_record())
    assert from_dict.values == from_bytes.values and from_dict.cutouts == from_bytes.cutouts
    assert [row.mjd for row in from_dict.history] == [row.mjd for row in from_bytes.history]
    assert from_dict.non_detections == from_bytes.non_detections
    assert from_dict.identity.input_schema == "4.02"


def test_alert_and_rejection_come_back_as_they_are(reader):
    for first in (reader.read(ZTF), reader.read(b"")):
        assert reader.read(first) is first


def test_container_of_rubin_is_read(reader):
    assert isinstance(reader.read(samples.container(samples.rubin_schema(), [samples.rubin_record()])), Alert)


def test_newer_minor_version_in_a_container_is_read(reader):
    record = samples.rubin_record(newTopField=None, diaSource_newFlux=2.0)
    for row in record["prvDiaSources"] or []:
        row["newFlux"] = 0.0
    alert = reader.read(samples.container(newer_schema(), [record]))
    assert isinstance(alert, Alert) and alert.values["newFlux"] == 2.0


def test_unknown_major_version_in_a_container_is_skipped(reader):
    record = samples.rubin_record(newTopField=None, diaSource_newFlux=2.0)
    for row in record["prvDiaSources"] or []:
        row["newFlux"] = 0.0
    refused = reader.read(samples.container(newer_schema(0, 12), [record]))
    assert refused.reason is Reason.UNSUPPORTED_SCHEMA and "12.0" in refused.detail
    assert refused.identity.alert_id == record["diaSourceId"]


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", Reason.EMPTY_PACKET),
        (gzip.compress(b""), Reason.EMPTY_PACKET),
        (b"garbage", Reason.UNREADABLE),
        (b"\x1f\x8b garbage", Reason.UNREADABLE),
        ("text", Reason.UNREADABLE),
        (None, Reason.UNREADABLE),
        (7, Reason.UNREADABLE),
        ([], Reason.UNREADABLE),
        ({}, Reason.UNSUPPORTED_SURVEY),
        (ZTF[:-1], Reason.UNREADABLE),
        (ZTF + b"x", Reason.UNREADABLE),
        (bytes(MAX_PACKET_BYTES + 1), Reason.TOO_LARGE),
        (gzip.compress(bytes(MAX_PACKET_BYTES + 1)), Reason.TOO_LARGE),
        (memoryview(bytes(8 * MAX_PACKET_BYTES)).cast("d"), Reason.TOO_LARGE),
    ],
    ids=range(14),
)
def test_what_is_no_alert_says_why(reader, packet, reason):
    refused = reader.read(packet, "here")
    assert isinstance(refused, Rejected) and refused.reason is reason
    assert refused.identity.source == "here" and refused.digest and refused.detail


def test_container_without_a_record_is_empty(reader):
    assert reader.read(samples.container(samples.ztf_schema(), [])).reason is Reason.EMPTY_PACKET


def test_container_of_two_alerts_is_no_packet(reader):
    packet = samples.container(samples.ztf_schema(), [samples.ztf_record()] * 2)
    assert reader.read(packet).reason is Reason.MULTIPLE_ALERTS


def test_other_survey_is_skipped_with_its_schema_named(reader):
    schema = {"type": "record", "name": "winter.alert", "fields": [{"name": "candid", "type": "long"}]}
    refused = reader.read(samples.container(schema, [{"candid": 7}]))
    assert refused.reason is Reason.UNSUPPORTED_SURVEY and "winter.alert" in refused.detail
    assert refused.identity.alert_id == 7


def deep_dict(depth: int) -> dict:
    inner: dict = {}
    for _ in range(depth):
        inner = {"candidate": inner, "objectId": "ZTF18a"}
    return inner


class Malicious(dict):
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def get(self, *_):
        raise RuntimeError("no")


@pytest.mark.parametrize("packet", [deep_dict(100_000), Malicious(candidate={}), Malicious()], ids=range(3))
def test_dict_that_can_not_be_shown_is_rejected(reader, packet):
    assert isinstance(reader.read(packet), Rejected)


def test_view_of_freed_memory_is_rejected(reader):
    view = memoryview(ZTF)
    view.release()
    assert reader.read(view).reason is Reason.UNREADABLE


def test_fields_that_are_not_wanted_are_not_read():
    alert = PacketReader(fields=["magpsf"], history=False).read(ZTF)
    assert "magpsf" in alert.values and "rb" not in alert.values
    assert alert.history == () and alert.non_detections is None


def test_identity_is_read_of_every_packet():
    for packet in (*samples.payloads("ztf"), *samples.payloads("rubin")):
        identity, digest = identify(packet)
        assert digest is None
        assert None not in (identity.alert_id, identity.object_id, identity.mjd, identity.ra_deg, identity.band)


def test_identity_of_garbage_is_its_digest():
    identity, digest = identify(b"garbage")
    assert identity.alert_id is None and len(digest) == 64 and identify(b"garbage")[1] == digest


def test_source_numbers_the_alerts_of_a_file(reader):
    data = samples.container(samples.ztf_schema(), [samples.ztf_record(candid=i) for i in range(1, 4)])
    assert [a.identity.source for a in reader.read_all(data, "f")] == ["f", "f#1", "f#2"]


def test_bad_record_leaves_its_neighbours_in_a_file(reader):
    records = [samples.ztf_record(), samples.ztf_record(candidate_ra=400.0), samples.ztf_record()]
    kinds = [type(a) for a in reader.read_all(samples.container(samples.ztf_schema(), records), "f")]
    assert kinds == [Alert, Rejected, Alert]


def test_synthetic_values_are_those_that_fastavro_reads(reader):
    for packet in samples.payloads("ztf"):
        (record,) = fastavro.reader(io.BytesIO(packet))
        alert = reader.read(packet)
        assert alert.identity.alert_id == record["candid"] and alert.identity.object_id == record["objectId"]
        assert alert.cutouts["science"] == record["cutoutScience"]["stampData"]
        for name, value in record["candidate"].items():
            if alert.values[name] is not None and name != "isdiffpos":
                assert alert.values[name] == value


def test_every_real_packet_is_an_alert(shared_alerts):
    reader = PacketReader(fields=(), history=False)
    for path in sorted([*shared_alerts.glob("ztf/packets/*"), *shared_alerts.glob("rubin/packets/*")]):
        results = list(reader.read_all(path.read_bytes(), path.name))
        assert results and all(isinstance(result, Alert) for result in results)


def test_packets_of_other_kinds_are_refused_for_documented_reasons(shared_alerts):
    for path in sorted((shared_alerts / "odd").iterdir()):
        result = PacketReader().read(path.read_bytes())
        if path.name.startswith("other-survey"):
            assert result.reason is Reason.UNSUPPORTED_SURVEY
        elif isinstance(result, Rejected):
            assert result.reason is Reason.UNKNOWN_SCHEMA


@pytest.mark.parametrize("major", [7, 8, 9, 10, 11])
def test_record_without_a_schema_is_told_by_the_version_that_it_states(reader, major):
    record = samples.rubin_record(lsst_schema_version=f"lsst.v{major}_0")
    assert isinstance(reader.read(record), Alert)


def test_record_without_a_schema_of_an_unknown_major_is_skipped(reader):
    assert reader.read(samples.rubin_record(lsst_schema_version="lsst.v12_0")).reason is Reason.UNSUPPORTED_SCHEMA


def test_header_that_names_hostile_types_is_rejected_at_once(reader):
    node = {"type": "record", "name": "ztf.alert", "fields": [{"name": "next", "type": ["null", "ztf.alert"]}]}
    assert reader.read(samples.raw_container(json.dumps(node).encode(), [(1, b"\0")])).reason is Reason.UNREADABLE


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def of_other_survey(number: int) -> bytes:
    schema = {"type": "record", "name": "winter.alert", "fields": [{"name": "number", "type": "long"}]}
    return samples.container(schema, [{"number": number}])


def without_an_id(fwhm: float) -> bytes:
    record = samples.ztf_record(candidate_fwhm=fwhm)
    schema = copy.deepcopy(samples.ztf_schema())
    candidate = next(field for field in schema["fields"] if field["name"] == "candidate")["type"]
    for node in (schema, candidate):
        node["fields"] = [field for field in node["fields"] if field["name"] != "candid"]
    return samples.container(schema, [record])


@pytest.mark.parametrize("make", [of_other_survey, without_an_id])
def test_packets_that_look_the_same_have_digests_of_their_own(make):
    readers = [PacketReader(), PacketReader(fields=(), history=False)]
    first, second = make(1), make(2)
    assert readers[1].read(first).identity == readers[1].read(second).identity
    for packet in (first, second, gzip.compress(first), bytearray(first), memoryview(second)):
        assert {reader.read(packet).digest for reader in readers} == {sha256(packet)} == {identify(packet)[1]}


def test_packet_in_a_file_has_the_digest_that_it_has_off_the_wire(reader):
    for packet in (of_other_survey(1), without_an_id(2.0), ZTF[:-1], samples.container(samples.ztf_schema(), []), b"x"):
        (result,) = reader.read_all(packet, "f")
        assert result.digest == reader.read(packet).digest == sha256(packet)
        (result,) = reader.read_all(packet, "f", gzip.compress(packet, mtime=0))
        assert result.digest == sha256(gzip.compress(packet, mtime=0))


def test_alert_of_a_file_of_several_is_told_by_its_source(reader):
    schema = {"type": "record", "name": "winter.alert", "fields": [{"name": "number", "type": "long"}]}
    data = samples.container(schema, [{"number": i} for i in range(3)])
    results = list(reader.read_all(data, "f"))
    assert [(r.identity.source, r.digest) for r in results] == [("f", None), ("f#1", None), ("f#2", None)]


def test_rejected_alert_with_an_id_needs_no_digest(reader):
    assert reader.read(samples.ztf_record(candidate_ra=400.0)).digest is None


def test_view_with_gaps_has_the_digest_of_what_is_seen(reader):
    assert reader.read(memoryview(b"g.a.r.b.a.g.e")[::2]).digest == sha256(b"garbage")


def test_dicts_have_digests_of_their_own(reader):
    digests = {reader.read({"number": i}).digest for i in range(3)}
    assert len(digests) == 3
    assert PacketReader(fields=()).read({"number": 1}).digest in digests
