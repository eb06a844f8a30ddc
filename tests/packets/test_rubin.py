"""Fields of Rubin alerts: identity, versions, history."""

from __future__ import annotations

import math

import numpy as np
import pytest

from broker_plugin.alert import Alert, Reason, Rejected
from broker_plugin.packets import PacketReader

from . import samples

READER = PacketReader()
ID = 170_094_456_248_729_605  # 18 digits; a double would round it


def read(**changes) -> Alert:
    alert = READER.read(samples.rubin_record(**changes))
    assert isinstance(alert, Alert), alert
    return alert


def refused(**changes) -> Rejected:
    result = READER.read(samples.rubin_record(**changes))
    assert isinstance(result, Rejected)
    return result


def test_ids_keep_every_digit():
    identity = read(diaSourceId=ID, diaSource_diaObjectId=ID + 2).identity
    assert (identity.alert_id, identity.object_id) == (ID, str(ID + 2))
    assert identity.object_id_kind == "dia_object_id"


@pytest.mark.parametrize("value", [float(ID), str(ID), True, 2**63, [ID]])
@pytest.mark.parametrize("field", ["diaSourceId", "diaSource_diaObjectId", "diaSource_ssObjectId"])
def test_id_that_is_no_64_bit_integer_is_refused(field, value):
    result = refused(**{field: value})
    assert result.reason is Reason.INVALID_FIELD and field.removeprefix("diaSource_") in result.detail


@pytest.mark.parametrize("none", [0, None])
def test_solar_system_source_has_the_id_of_its_object(none):
    identity = read(diaSource_diaObjectId=none, diaSource_ssObjectId=ID).identity
    assert (identity.object_id, identity.object_id_kind) == (str(ID), "ss_object_id")


def test_source_without_an_object_has_none():
    identity = read(diaSource_diaObjectId=0, diaSource_ssObjectId=0).identity
    assert identity.object_id is None and identity.object_id_kind is None


def test_id_of_the_source_stands_in_where_the_packet_has_an_alert_id_only():
    record = samples.rubin_record(alertId=5, diaSource_diaSourceId=ID)
    del record["diaSourceId"]
    assert READER.read(record).identity.alert_id == ID


def test_missing_id_is_named():
    record = samples.rubin_record(diaSource_diaSourceId=None, diaSourceId=None)
    assert READER.read(record).detail == "diaSourceId is missing"


def test_time_of_old_and_new_schemas_is_mjd_tai():
    record = samples.rubin_record(diaSource_midPointTai=60000.5, diaSource_filterName="y", diaSource_band=None)
    del record["diaSource"]["midpointMjdTai"]
    identity = READER.read(record).identity
    assert (identity.mjd, identity.mjd_scale, identity.band) == (60000.5, "tai", "y")
    assert read(diaSource_midpointMjdTai=60001.5).identity.mjd == 60001.5


@pytest.mark.parametrize("field", ["ra", "dec", "midpointMjdTai"])
@pytest.mark.parametrize("value", [math.nan, math.inf, "1", True, 1e400])
def test_time_and_place_must_be_finite_numbers(field, value):
    result = refused(**{f"diaSource_{field}": value})
    assert result.reason is Reason.INVALID_FIELD and f"diaSource.{field}" in result.detail
    assert result.identity.alert_id is not None


@pytest.mark.parametrize("dia_source", [None, "text", 7, []])
def test_packet_without_a_source_is_rejected(dia_source):
    result = refused(diaSource=dia_source)
    assert result.reason in (Reason.MISSING_FIELD, Reason.INVALID_FIELD) and "diaSource" in result.detail
    assert result.identity.alert_id is not None


def test_missing_numbers_are_none():
    values = read(diaSource_snr=math.nan, diaSource_psfFlux=np.float32("nan"), diaSource_extendedness=None).values
    assert values["snr"] is None and values["psfFlux"] is None and values["extendedness"] is None


def test_fields_of_the_object_carry_its_name():
    record = samples.rubin_record()
    record["diaObject"]["nDiaSources"] = 17
    assert READER.read(record).values["diaObject.nDiaSources"] == 17


def test_wanted_field_of_the_object_is_read_alone():
    alert = PacketReader(["diaObject.nDiaSources", "snr"]).read(samples.payloads("rubin")[0])
    assert "diaObject.nDiaSources" in alert.values and "snr" in alert.values
    assert "diaObject.ra" not in alert.values and "psfFlux" not in alert.values


def test_history_is_in_order_of_time():
    rows = [{"midpointMjdTai": float(t), "band": "r", "diaSourceId": t} for t in (3, 1, 2)]
    alert = read(prvDiaSources=rows)
    assert [row.mjd for row in alert.history] == [1.0, 2.0, 3.0] and alert.non_detections == 0


@pytest.mark.parametrize("rows", ["text", [7], [None], {"midpointMjdTai": None}, [{"midpointMjdTai": math.nan}]])
def test_broken_history_is_named_and_costs_nothing_else(rows):
    alert = read(prvDiaSources=rows)
    assert "prvDiaSources" in alert.history_problem
    assert (alert.history, alert.non_detections) == ((), None)


@pytest.mark.parametrize("version", [(7, 1), (7, 4), (8, 0), (9, 0), (10, 0), (11, 0), (11, 1)])
def test_sample_packet_of_every_version_is_read(shared_alerts, version):
    data = (shared_alerts / "odd" / f"rubin-v{version[0]}_{version[1]}-sample.avro").read_bytes()
    for result in READER.read_all(data, "sample"):
        if isinstance(result, Alert):
            assert set(result.cutouts.values()) == {None}
        else:
            assert result.reason is Reason.UNKNOWN_SCHEMA  # its id is not of the survey's
