"""Whatever the bytes: one valid record for each packet, and the packets around it keep their answers bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from broker_plugin.alert import ObjectUpdate
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.records.validation import validate_record
from broker_plugin.stage import Stage, load_stage

from .packets import samples
from .packets.strategies import damaged

BATCH = 64
SEEDS = 10_000


@pytest.fixture(scope="module")
def stage(tiny_weights: Path) -> Stage:
    return load_stage(["tiny-ztf", "tiny-rubin"], weights=tiny_weights, device="cpu", max_batch=BATCH)


@pytest.fixture(scope="module")
def synthetic() -> Sequence[bytes]:
    return [*samples.payloads("ztf"), *samples.payloads("rubin")]


@pytest.fixture(scope="module")
def real(shared_alerts: Path) -> Sequence[bytes]:
    paths = [path for survey in ("ztf", "rubin") for path in sorted((shared_alerts / survey / "packets").iterdir())]
    return [path.read_bytes() for path in paths[::4]]


def answer(record: ClassificationRecord) -> tuple[object, ...]:
    """What a record says, with its numbers to the bit."""
    return record.status, record.record_id, [c.probability.hex() for c in record.classifications], record.novelty


def check(stage: Stage, packets: Sequence[bytes], seeds: range) -> Counter[str]:
    """Batches of damaged packets between two good ones; how many records there were of each status."""
    first, last = packets[0], packets[-1]  # of one survey and of the other
    alone = [answer(stage.on_alert(packet)[0]) for packet in (first, last)]
    statuses: Counter[str] = Counter()
    for start in range(seeds.start, seeds.stop, BATCH - 2):
        some = seeds[start - seeds.start : start - seeds.start + BATCH - 2]
        results = stage.on_alerts([first, *(damaged(packets, seed) for seed in some), last])
        assert [len(records) for records in results] == [1] * (len(some) + 2)
        for [record], seed in zip(results, ("first", *some, "last"), strict=True):
            assert validate_record(record) == [], seed
            statuses[record.status] += 1
        assert [answer(results[0][0]), answer(results[-1][0])] == alone
    return statuses


def test_damaged_packets_each_have_a_record(stage, synthetic):
    assert check(stage, synthetic, range(500)).keys() >= {"ok", "error"}


def test_damaged_real_packets_each_have_a_record(stage, real):
    assert check(stage, real, range(500)).keys() >= {"ok", "error"}


def test_damaged_packets_each_have_a_record_of_their_object(temporal_weights, synthetic):
    bundles = [str(path) for path in sorted(temporal_weights.glob("*/*"))]
    stage = load_stage(bundles, device="cpu", max_batch=BATCH, history="memory:")
    statuses: Counter[str] = Counter()
    for start in range(0, 512, BATCH):
        batch = [damaged(synthetic, seed) for seed in range(start, start + BATCH)]
        updates = [ObjectUpdate(str(seed % 3), "ztf", [packet]) for seed, packet in enumerate(batch)]
        for records in [*stage.on_alerts(batch, follow=True), *stage.on_object_updates(updates)]:
            assert len(records) == 1 and validate_record(records[0]) == []
            statuses[records[0].status] += 1
    assert statuses.keys() == {"ok", "skipped", "error"}


@pytest.mark.slow
def test_ten_thousand_damaged_packets_each_have_a_record(stage, synthetic):
    check(stage, synthetic, range(1000, 1000 + SEEDS))


@pytest.mark.slow
def test_ten_thousand_damaged_real_packets_each_have_a_record(stage, real):
    check(stage, real, range(1000, 1000 + SEEDS))
