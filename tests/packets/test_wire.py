"""The Confluent wire format, and a schema registry that answers, does not, or answers nonsense."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from broker_plugin.alert import Alert, AlertError, Reason, Rejected
from broker_plugin.packets import PacketReader, SchemaRegistry
from broker_plugin.packets.wire import named_schema

from . import samples

NEW_ID = 1102


def newer_schema(minor: int = 2, major: int = 11):
    """Rubin's newest schema with fields that nobody has seen yet."""
    schema = samples.rubin_schema()
    text = json.dumps(schema).replace("lsst.v11_1", f"lsst.v{major}_{minor}")
    schema = json.loads(text)
    schema["fields"].insert(1, {"name": "newTopField", "type": ["null", "string"], "default": None})
    dia_source = next(f["type"] for f in schema["fields"] if f["name"] == "diaSource")
    dia_source["fields"].insert(3, {"name": "newFlux", "type": "double"})
    return schema


def newer_message(schema_id: int = NEW_ID) -> bytes:
    record = samples.rubin_record(newTopField="x", diaSource_newFlux=3.5)
    return samples.message(schema_id, newer_schema(), fill_history(record))


def fill_history(record: dict) -> dict:
    for row in record["prvDiaSources"] or []:
        row["newFlux"] = 1.0
    return record


@dataclass
class Registry:
    """A registry on loopback.  ``answers`` are (status, body) by id; a number is the seconds it sleeps."""

    url: str
    answers: dict[int, tuple[int, bytes] | float] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)


@pytest.fixture
def registry() -> Iterator[Registry]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            schema_id = int(self.path.rsplit("/", 1)[1])
            state.asked.append(schema_id)
            answer = state.answers.get(schema_id, (404, b'{"error_code": 40403}'))
            if isinstance(answer, float):
                time.sleep(answer)
                return
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    state = Registry(f"http://127.0.0.1:{server.server_port}")
    state.answers[NEW_ID] = (200, json.dumps({"schema": json.dumps(newer_schema())}).encode())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def free_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("schema_id", [700, 701, 702, 703, 704, 800, 900, 1000, 1100, 1101])
def test_every_published_id_is_known(schema_id):
    refused = PacketReader().read(b"\0" + schema_id.to_bytes(4, "big") + b"\x02")
    assert refused.reason is Reason.UNREADABLE and f"lsst.v{schema_id // 100}_{schema_id % 100}" in refused.detail


def test_synthetic_message_is_read():
    alert = PacketReader().read(samples.payloads("rubin")[0])
    assert isinstance(alert, Alert) and alert.identity.input_schema == "lsst.v11_1.alert"


@pytest.mark.parametrize("schema_id", [0, 999, 1102, 12345, 2**32 - 1])
def test_unknown_id_is_named(schema_id):
    refused = PacketReader().read(b"\0" + schema_id.to_bytes(4, "big") + bytes(50))
    assert refused.reason is Reason.UNKNOWN_SCHEMA and f"schema id {schema_id} " in refused.detail


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_header_cut_off_is_unreadable(size):
    assert PacketReader().read(bytes(size)).reason is Reason.UNREADABLE


def test_message_cut_off_anywhere_is_unreadable():
    data = samples.payloads("rubin")[0]
    reader = PacketReader(fields=(), history=False)
    ends = [*range(5, 2000), *range(2000, len(data), 997), *range(len(data) - 200, len(data))]
    assert {reader.read(data[:end]).reason for end in ends} == {Reason.UNREADABLE}


def test_bytes_behind_the_record_are_refused():
    refused = PacketReader().read(samples.payloads("rubin")[0] + b"\0")
    assert isinstance(refused, Rejected) and "ends at byte" in refused.detail


def test_newer_minor_version_comes_from_the_registry(registry):
    alert = PacketReader(registry=SchemaRegistry(registry.url)).read(newer_message())
    assert isinstance(alert, Alert)
    assert alert.identity.input_schema == "lsst.v11_2.alert" and alert.values["newFlux"] == 3.5


def test_each_id_is_asked_for_once(registry):
    reader = PacketReader(registry=SchemaRegistry(registry.url))
    for _ in range(3):
        assert isinstance(reader.read(newer_message()), Alert)
    assert registry.asked == [NEW_ID]


def test_ids_of_the_packaged_schemas_are_not_asked_for(registry):
    PacketReader(registry=SchemaRegistry(registry.url)).read(samples.payloads("rubin")[0])
    assert registry.asked == []


def test_id_that_the_registry_lacks_is_not_asked_for_again(registry):
    reader = PacketReader(registry=SchemaRegistry(registry.url))
    for _ in range(3):
        refused = reader.read(newer_message(1177))
        assert refused.reason is Reason.UNKNOWN_SCHEMA
        assert "schema id 1177" in refused.detail and "404" in refused.detail
    assert registry.asked == [1177]


def test_id_that_the_registry_lacks_keeps_no_other_from_being_asked_for(registry):
    reader = PacketReader(registry=SchemaRegistry(registry.url))
    reader.read(newer_message(1177))
    assert isinstance(reader.read(newer_message()), Alert)


def test_refusal_is_forgotten_after_its_time(registry):
    reader = PacketReader(registry=SchemaRegistry(registry.url, retry_after_s=0.0))
    reader.read(newer_message(1177))
    reader.read(newer_message(1177))
    assert registry.asked == [1177, 1177]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"schema": 7}',
        b'{"schema": "not json"}',
        b'{"schema": "[]"}',
        b'{"schema": "\\"string\\""}',
        b"[" * 50_000,
        b'{"schema": "' + b"[" * 50_000 + b'"}',
        b" " * (5 << 20),
    ],
    ids=[
        "empty",
        "text",
        "list",
        "no schema",
        "number",
        "text inside",
        "list inside",
        "string",
        "deep",
        "deeper",
        "big",
    ],
)
def test_garbage_answer_is_an_unknown_schema(registry, body):
    registry.answers[1178] = (200, body)
    refused = PacketReader(registry=SchemaRegistry(registry.url)).read(newer_message(1178))
    assert refused.reason is Reason.UNKNOWN_SCHEMA and "schema id 1178" in refused.detail


def test_registry_that_does_not_answer_costs_one_timeout(registry):
    registry.answers[1179] = 0.5
    reader = PacketReader(registry=SchemaRegistry(registry.url, timeout_s=0.1))
    for schema_id in (1179, 1179, 1180):
        refused = reader.read(newer_message(schema_id))
        assert refused.reason is Reason.UNKNOWN_SCHEMA and f"schema id {schema_id}" in refused.detail
    assert registry.asked == [1179]


def test_schema_kept_on_disk_outlives_an_outage(registry, tmp_path):
    first = SchemaRegistry(registry.url, cache_dir=tmp_path)
    assert isinstance(PacketReader(registry=first).read(newer_message()), Alert)
    registry.answers[NEW_ID] = (500, b"")
    again = SchemaRegistry(registry.url, cache_dir=tmp_path)
    assert isinstance(PacketReader(registry=again).read(newer_message()), Alert)
    assert registry.asked == [NEW_ID]


def test_two_registries_do_not_share_what_is_on_disk(registry, tmp_path):
    SchemaRegistry(registry.url, cache_dir=tmp_path).definition(NEW_ID)
    with pytest.raises(AlertError, match="unknown_schema"):
        SchemaRegistry(free_url(), cache_dir=tmp_path, timeout_s=0.5).definition(NEW_ID)


def test_damaged_file_on_disk_is_asked_for_again(registry, tmp_path):
    SchemaRegistry(registry.url, cache_dir=tmp_path).definition(NEW_ID)
    (cached,) = tmp_path.rglob("*.avsc")
    cached.write_text("{")
    SchemaRegistry(registry.url, cache_dir=tmp_path).definition(NEW_ID)
    assert registry.asked == [NEW_ID, NEW_ID] and json.loads(cached.read_text())


def test_disk_that_takes_nothing_does_not_cost_the_packet(registry, tmp_path):
    client = SchemaRegistry(registry.url, cache_dir=tmp_path)
    for folder in tmp_path.iterdir():
        folder.rmdir()
    assert isinstance(PacketReader(registry=client).read(newer_message()), Alert)


def test_registry_that_is_down_is_an_unknown_schema():
    reader = PacketReader(registry=SchemaRegistry(free_url(), timeout_s=0.5))
    assert reader.read(newer_message()).reason is Reason.UNKNOWN_SCHEMA


@pytest.mark.parametrize("url", ["ftp://x", "file:///etc/passwd", "registry"])
def test_address_must_be_of_the_web(url):
    with pytest.raises(ValueError, match="http"):
        SchemaRegistry(url)


@pytest.mark.parametrize("major", [6, 12])
def test_unknown_major_version_is_skipped(registry, major):
    schema = newer_schema(minor=0, major=major)
    registry.answers[major * 100 + 77] = (200, json.dumps({"schema": json.dumps(schema)}).encode())
    reader = PacketReader(registry=SchemaRegistry(registry.url))
    refused = reader.read(newer_message(major * 100 + 77))
    assert refused.reason is Reason.UNSUPPORTED_SCHEMA and refused.identity.alert_id is not None


def test_bare_datum_is_read_with_a_named_schema():
    schema = samples.rubin_schema()
    reader = PacketReader(datum_schema="lsst.v11_1")
    assert isinstance(reader.read(samples.datum(schema, samples.rubin_record())), Alert)


def test_bare_datum_is_read_with_a_schema_file(tmp_path):
    path = tmp_path / "mine.avsc"
    path.write_text(json.dumps(samples.ztf_schema()))
    reader = PacketReader(datum_schema=str(path))
    assert isinstance(reader.read(samples.datum(samples.ztf_schema(), samples.ztf_record())), Alert)


@pytest.mark.parametrize("name", ["lsst.v99_0", "lsst.v10", "nothing", "missing.avsc", "lsst.v-1_-1", ""])
def test_name_of_no_schema_is_refused(name):
    with pytest.raises(ValueError, match="neither an"):
        named_schema(name)
