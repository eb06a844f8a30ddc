"""Sequences: several detections of one object, and packets that know the earlier ones."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import fastavro
import pytest

from broker_plugin.packets import PacketReader
from broker_plugin.simulation import CLASSES, SURVEYS, SimulatedObject, simulate_objects

from .conftest import rubin_schema


def ztf_record(payload: bytes) -> dict[str, Any]:
    (record,) = fastavro.reader(io.BytesIO(payload))
    return record


@pytest.fixture(scope="module")
def ztf_objects() -> list[SimulatedObject]:
    return list(simulate_objects("ztf", 20, seed=4, detections=(2, 4)))


@pytest.fixture(scope="module")
def rubin_objects() -> list[SimulatedObject]:
    return list(simulate_objects("rubin", 20, seed=4, detections=(2, 4)))


@pytest.fixture(params=SURVEYS)
def objects(request: pytest.FixtureRequest) -> list[SimulatedObject]:
    return request.getfixturevalue(f"{request.param}_objects")


def test_classes_come_in_turn_and_asteroids_are_met_once(objects):
    assert [drawn.class_name for drawn in objects] == list(CLASSES) * 4
    for drawn in objects:
        assert len(drawn.packets) == 1 if drawn.class_name == "asteroid" else 2 <= len(drawn.packets) <= 4


def test_packets_of_an_object_share_its_id_and_place_and_come_in_time(objects):
    reader = PacketReader()
    for drawn in objects:
        identities = [reader.read(packet.payload).identity for packet in drawn.packets]
        assert {identity.object_id for identity in identities} == {drawn.object_id}
        mjds = [identity.mjd for identity in identities]
        assert mjds == sorted(set(mjds))
        assert max(abs(identity.dec_deg - identities[0].dec_deg) for identity in identities) < 1.5 / 3600


def test_a_packet_holds_the_detections_before_it(objects):
    reader = PacketReader()
    for drawn in objects:
        alerts = [reader.read(packet.payload) for packet in drawn.packets]
        for before, alert in pairwise(alerts):
            if alert.identity.mjd - before.identity.mjd < 30.0:
                assert any(abs(row.mjd - before.identity.mjd) < 1e-6 for row in alert.history)


@pytest.mark.parametrize("survey", SURVEYS)
def test_same_seed_gives_the_same_bytes(survey):
    assert list(simulate_objects(survey, 5, seed=3)) == list(simulate_objects(survey, 5, seed=3))


def test_epochs_can_be_given():
    reader = PacketReader()
    for drawn in simulate_objects("ztf", 3, seed=3, epochs_days=(1.0, 2.0, 5.0)):
        mjds = [reader.read(packet.payload).identity.mjd for packet in drawn.packets]
        nights = [int(mjd) - int(mjds[0]) for mjd in mjds]
        assert nights[0] == 0
        assert set(nights[1:]) <= {1, 2, 3, 5, 6}


@pytest.mark.parametrize("detections", [(0, 2), (3, 2)])
def test_a_wrong_number_of_detections_is_named(detections):
    with pytest.raises(ValueError, match=f"{detections[0]}:{detections[1]}"):
        next(simulate_objects("ztf", 1, seed=1, detections=detections))


def test_ztf_counts_agree_with_the_history(ztf_objects):
    for drawn in ztf_objects:
        records = [ztf_record(packet.payload) for packet in drawn.packets]
        for number, record in enumerate(records):
            candidate, rows = record["candidate"], record["prv_candidates"] or []
            detected = [row for row in rows if row["candid"] is not None]
            assert candidate["ndethist"] == records[0]["candidate"]["ndethist"] + number
            assert candidate["ndethist"] > len(detected)
            assert candidate["ncovhist"] > len(rows) and candidate["ncovhist"] >= candidate["ndethist"]
            assert candidate["jdstarthist"] == records[0]["candidate"]["jdstarthist"] <= candidate["jd"]
            assert all(row["jd"] >= candidate["jdstarthist"] for row in detected)


def test_ztf_catalogues_say_the_same_of_every_detection(ztf_objects):
    for drawn in ztf_objects:
        candidates = [ztf_record(packet.payload)["candidate"] for packet in drawn.packets]
        assert len({candidate["sgscore1"] for candidate in candidates}) == 1
        assert len({candidate["objectidps1"] for candidate in candidates}) == 1


def test_rubin_objects_count_their_sources(rubin_objects):
    for drawn in rubin_objects:
        records = [rubin_schema().deserialize(packet.payload[5:]) for packet in drawn.packets]
        if drawn.class_name != "asteroid":
            first = records[0]["diaObject"]["nDiaSources"]
            assert [r["diaObject"]["nDiaSources"] for r in records] == [first + n for n in range(len(records))]
            assert all(len(r["prvDiaSources"] or []) == r["diaObject"]["nDiaSources"] - 1 for r in records)


def test_ztf_visits_between_two_alerts_that_show_nothing_are_upper_limits():
    upper_limits = 0
    for drawn in simulate_objects("ztf", 20, seed=4, detections=(3, 3), classes=("VS",)):
        first, *_, last = (ztf_record(packet.payload) for packet in drawn.packets)
        alerts = {ztf_record(packet.payload)["candid"] for packet in drawn.packets}
        between = [row for row in last["prv_candidates"] if row["jd"] > first["candidate"]["jd"]]
        assert {row["candid"] for row in between} <= alerts | {None}
        upper_limits += sum(row["candid"] is None for row in between)
    assert upper_limits > 0
