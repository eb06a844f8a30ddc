"""Whatever the bytes: an `Alert` or a `Rejected`, finite tensors, in bounded time and memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from broker_plugin.alert import Alert, Reason, Rejected
from broker_plugin.packets import PacketReader
from broker_plugin.packets.limits import MAX_PACKET_BYTES
from broker_plugin.tensors import make_batch, needed_fields
from broker_plugin.tensors.stamps import fill_stamps
from broker_plugin.training.presets import PRESETS

from . import samples
from .strategies import damaged, spoilt_records

SECONDS_PER_PACKET = 2.0
MEMORY_MB = 3000
"""Of address space, with numpy and astropy loaded: a bomb would ask for tens of GB."""

FEATURES = [feature for preset in PRESETS.values() for feature in preset.features]


class Manifested:
    """What `make_batch` needs of a manifest."""

    def __init__(self, survey: str) -> None:
        self.stamps, self.features = PRESETS[survey].stamps, PRESETS[survey].features


def check(reader: PacketReader, packet: object) -> Alert | Rejected:
    started = time.monotonic()
    result = reader.read(packet)
    if isinstance(result, Alert):
        batch = make_batch([result], Manifested(result.identity.survey))
        assert np.isfinite(batch.stamps).all() and np.isfinite(batch.features).all()
        assert all(isinstance(problem.reason, Reason) for problem in batch.problems.values())
    else:
        assert isinstance(result, Rejected) and isinstance(result.reason, Reason) and result.detail
        assert result.digest or result.identity.alert_id is not None
    assert time.monotonic() - started < SECONDS_PER_PACKET
    return result


@pytest.fixture(scope="module")
def packets() -> Sequence[bytes]:
    """Synthetic packets, and real ones where there are any."""
    found = [*samples.payloads("ztf"), *samples.payloads("rubin")]
    found.append(samples.container(samples.rubin_schema(), [samples.rubin_record()], "deflate"))
    folder = Path(__file__).parents[3] / "shared" / "alerts"
    for survey in ("ztf", "rubin"):
        found += [path.read_bytes() for path in sorted((folder / survey / "packets").glob("*"))[::6]]
    return found


def readers() -> list[PacketReader]:
    return [PacketReader(), PacketReader(needed_fields(FEATURES), history=False)]


def test_thousand_damaged_packets_are_each_accounted_for(packets):
    kinds = {type(check(reader, damaged(packets, seed))) for reader in readers() for seed in range(500)}
    assert kinds == {Alert, Rejected}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_damaged_packets_are_each_accounted_for(packets, part):
    for reader in readers():
        for seed in range(1000 + 500 * part, 1500 + 500 * part):
            check(reader, damaged(packets, seed))


def test_damaged_files_of_many_alerts_end(packets):
    reader = PacketReader(needed_fields(FEATURES), history=False)
    records = [samples.ztf_record(candid=i) for i in range(4)]
    files = [samples.container(samples.ztf_schema(), records, codec, 1) for codec in ("null", "deflate", "snappy")]
    for seed in range(300):
        results = list(reader.read_all(damaged(files, seed), "file"))
        assert 1 <= len(results) <= 50 and all(isinstance(result, (Alert, Rejected)) for result in results)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(record=spoilt_records())
def test_dict_of_anything_is_accounted_for(record):
    check(SPOILT_READER, record)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(record=spoilt_records())
def test_thousands_of_dicts_of_anything_are_accounted_for(record):
    check(SPOILT_READER, record)


SPOILT_READER = PacketReader()


def record_schema(*fields: tuple[str, object]) -> bytes:
    schema = {"type": "record", "name": "ztf.alert", "fields": [{"name": n, "type": t} for n, t in fields]}
    return json.dumps(schema).encode()


def deflated(content: bytes) -> bytes:
    stream = zlib.compressobj(9, wbits=-15)
    return stream.compress(content) + stream.flush()


def ztf_bomb(cutout: bytes) -> bytes:
    cutouts = {name: {"fileName": "x", "stampData": cutout} for name in samples.CUTOUTS}
    return samples.container(samples.ztf_schema(), [samples.ztf_record(**cutouts)])


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """Small packets that ask for much."""
    row = {"type": "record", "name": "row", "fields": [{"name": f"f{i}", "type": ["null", "long"]} for i in range(4)]}
    history = record_schema(("prv_candidates", {"type": "array", "items": row}))
    numbers = record_schema(("candidate", {"type": "array", "items": "long"}))
    count = MAX_PACKET_BYTES // 4 - 10
    rows = samples.zigzag(count) + bytes(4 * count) + b"\0"
    many = samples.zigzag(MAX_PACKET_BYTES - 10) + bytes(MAX_PACKET_BYTES - 9)
    zeros = bytes(1 << 28)
    zipped = gzip.compress(zeros, 6)
    return {
        "gzip": zipped,
        "gzip in gzip": gzip.compress(zipped, 6),
        "deflate block": samples.raw_container(history, [(1, deflated(zeros))], b"deflate"),
        "many rows": samples.raw_container(history, [(1, rows)]),
        "many rows, deflated": samples.raw_container(history, [(1, deflated(rows))], b"deflate"),
        "many numbers": samples.raw_container(numbers, [(1, deflated(many))], b"deflate"),
        "cutouts": ztf_bomb(zipped),
        "many members": gzip.compress(b"") * 100_000,
        "snappy": samples.raw_container(history, [(1, b"\xff\xff\xff\xff\x0f" + bytes(100))], b"snappy"),
    }


CHILD = """
import json, resource, sys, time
from pathlib import Path
from broker_plugin.alert import Alert, AlertError
from broker_plugin.packets import PacketReader, read_stamp
limit = int(sys.argv[2]) << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
results = {}
for path in Path(sys.argv[1]).iterdir():
    packet = path.read_bytes()
    started = time.monotonic()
    result = PacketReader().read(packet)
    try:
        if isinstance(result, Alert):
            read_stamp(result, "science")
    except AlertError as problem:
        result = problem
    results[path.name] = result.reason.value, result.detail, time.monotonic() - started
print(json.dumps(results))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space hold on Linux")
def test_bombs_are_bounded_in_time_and_memory(tmp_path, bombs):
    for name, content in bombs.items():
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(MEMORY_MB)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results.keys() == bombs.keys()
    for name, (reason, detail, seconds) in results.items():
        assert Reason(reason), name
        assert "MemoryError" not in detail, name
        assert seconds < 2 * SECONDS_PER_PACKET, name  # twice: other tests may run beside this one


def test_stamps_of_swapped_cutouts_are_those_of_the_other_alert():
    first, second = samples.ztf_record(), samples.ztf_record()
    first["cutoutScience"], first["cutoutTemplate"] = second["cutoutTemplate"], second["cutoutScience"]
    spec = PRESETS["ztf"].stamps
    tensors = []
    for record in (first, second):
        out = np.zeros((spec.size, spec.size, 3), np.float32)
        fill_stamps(PacketReader().read(record), spec, out)
        tensors.append(out)
    np.testing.assert_array_equal(tensors[0][..., [1, 0, 2]], tensors[1])
