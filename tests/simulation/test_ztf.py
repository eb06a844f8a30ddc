"""ZTF packets: read by plain fastavro and astropy, with metadata that follow from the image."""

from __future__ import annotations

import gzip
import io
import re

import fastavro
import numpy as np
import pytest

from broker_plugin.packets import PacketReader, read_stamp
from broker_plugin.simulation import simulate_packets

from .conftest import open_fits


def test_container_is_as_the_survey_writes_it():
    payload = next(simulate_packets("ztf", 1, seed=1)).payload
    reader = fastavro.reader(io.BytesIO(payload))
    assert reader.codec == "null"
    assert (reader.writer_schema["name"], reader.writer_schema["version"]) == ("ztf.alert", "4.02")
    assert len(list(reader)) == 1


def test_ids_agree(ztf_alerts):
    for alert in ztf_alerts:
        candidate = alert.record["candidate"]
        assert alert.alert_id == alert.record["candid"] == candidate["candid"]
        assert 18 <= len(str(alert.alert_id)) <= 19
        assert re.fullmatch(r"ZTF\d\d[a-z]{7}", alert.record["objectId"])
        assert candidate["candid"] // 1_000_000 == candidate["pid"]
        assert candidate["nid"] == int(candidate["jd"] - 2457754.5)


def test_stamps_are_63_pixels_unless_the_quadrant_ends(ztf_alerts):
    for alert in ztf_alerts:
        candidate = alert.record["candidate"]
        for pixels, position, length in zip(
            alert.stamps[0].shape, (candidate["ypos"], candidate["xpos"]), (3080, 3072), strict=True
        ):
            is_whole = 32 <= round(position) <= length - 31
            assert (pixels == 63) if is_whole else (35 <= pixels < 63)
        assert {stamp.shape for stamp in alert.stamps} == {alert.stamps[0].shape}
        assert alert.stamps[2].dtype == np.dtype(">f4")


def test_some_stamps_are_cut_off_and_can_still_be_read():
    reader = PacketReader()
    alerts = (reader.read(packet.payload) for packet in simulate_packets("ztf", 400, seed=12))
    cut = next(alert for alert in alerts if min(alert.values["xpos"], alert.values["ypos"]) < 30)
    assert np.isnan(read_stamp(cut, "science").pixels).any()


def test_cutout_is_a_gzipped_fits_without_a_date(ztf_alerts):
    content = ztf_alerts[0].record["cutoutScience"]["stampData"]
    assert content[4:8] == b"\0\0\0\0"
    header = open_fits(gzip.decompress(content))[0].header
    assert (header["BITPIX"], header["BUNIT"]) == (-32, "DN")


def test_the_detection_is_bright_and_the_magnitude_follows(ztf_alerts):
    for alert in ztf_alerts:
        candidate = alert.record["candidate"]
        if alert.class_name == "bogus":
            continue
        core = np.nansum(alert.stamps[2][27:36, 27:36])
        if candidate["sigmapsf"] > 0.05 or alert.stamps[2].shape != (63, 63):
            continue
        assert core > 0  # whether it rose (isdiffpos t) or faded (f)
        assert candidate["magzpsci"] - 2.5 * np.log10(core) == pytest.approx(candidate["magpsf"], abs=0.3)


def test_asteroids_and_only_they_have_a_solar_system_match(ztf_alerts):
    for alert in ztf_alerts:
        candidate = alert.record["candidate"]
        assert (candidate["ssdistnr"] >= 0.0) == (alert.class_name == "asteroid")
        assert (candidate["ssnamenr"] != "null") == (alert.class_name == "asteroid")


def test_history_is_in_order_and_upper_limits_have_no_candid(ztf_alerts):
    rows = 0
    for alert in ztf_alerts:
        history = alert.record["prv_candidates"] or []
        jds = [row["jd"] for row in history]
        assert jds == sorted(jds) and all(jd < alert.record["candidate"]["jd"] for jd in jds)
        assert sum(row["candid"] is not None for row in history) < alert.record["candidate"]["ndethist"]
        assert all((row["candid"] is None) == (row["magpsf"] is None) for row in history)
        rows += len(history)
    assert rows


def test_catalogue_fields_tell_the_classes_apart(ztf_alerts):
    def median(field, class_name):
        return np.median([a.record["candidate"][field] for a in ztf_alerts if a.class_name == class_name])

    assert median("sgscore1", "VS") > 0.8 and median("sgscore1", "SN") < 0.3
    assert median("sharpnr", "SN") > median("sharpnr", "VS") + 0.1
    assert median("chinr", "SN") > median("chinr", "VS")
    assert median("drb", "bogus") < 0.1 and median("drb", "SN") > 0.9
    assert median("distnr", "asteroid") > 2.0 > median("distnr", "AGN")
