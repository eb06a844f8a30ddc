"""Rubin packets: read by the survey's own schema and astropy, with metadata that follow from the image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from broker_plugin.simulation import simulate_packets

from .conftest import open_fits, rubin_schema


def test_wire_format_names_the_schema():
    payload = next(simulate_packets("rubin", 1, seed=1)).payload
    assert payload[0] == 0 and int.from_bytes(payload[1:5], "big") == 1101 == rubin_schema().get_schema_id()


def test_ids_agree(rubin_alerts):
    for alert in rubin_alerts:
        source = alert.record["diaSource"]
        assert alert.alert_id == alert.record["diaSourceId"] == source["diaSourceId"]
        assert len(str(alert.alert_id)) == 18


def test_stamps_are_square_and_finite(rubin_alerts):
    for alert in rubin_alerts:
        assert len({stamp.shape for stamp in alert.stamps}) == 1
        assert alert.stamps[0].shape[0] == alert.stamps[0].shape[1] >= 30
        assert all(np.isfinite(stamp).all() for stamp in alert.stamps)


def test_cutout_has_the_layout_of_ccddata(rubin_alerts):
    for alert in rubin_alerts:
        image, uncertainty, psf = open_fits(alert.record["cutoutScience"])
        assert image.header["BUNIT"] == "nJy"
        assert (uncertainty.name, uncertainty.header["UTYPE"]) == ("UNCERT", "VarianceUncertainty")
        assert uncertainty.data.shape == image.data.shape and (uncertainty.data > 0).all()
        assert psf.name == "PSFIMAGE" and psf.data.dtype == np.dtype(">f8") and psf.data.shape == (41, 41)
        assert psf.data.sum() == pytest.approx(1.0)


def test_cutout_knows_its_position_scale_and_rotation(rubin_alerts):
    angles = set()
    for alert in rubin_alerts:
        header, source = open_fits(alert.record["cutoutDifference"])[0].header, alert.record["diaSource"]
        assert header["CRVAL1"] == pytest.approx(source["ra"], abs=1e-9)
        assert header["CRVAL2"] == pytest.approx(source["dec"], abs=1e-9)
        matrix = np.array([[header["PC1_1"], header["PC1_2"]], [header["PC2_1"], header["PC2_2"]]])
        # Mirrored, as the sky is seen from inside.
        assert np.linalg.det(matrix) == pytest.approx(-((0.2 / 3600) ** 2))
        angle = math.degrees(math.atan2(header["PC1_2"], header["PC2_2"]))
        assert header["ROTPA"] == pytest.approx(angle)
        angles.add(round(angle))
    assert len(angles) > 30


def test_trail_angle_is_the_bearing_on_the_sky(rubin_alerts):
    deviations = []
    for alert in rubin_alerts:
        source = alert.record["diaSource"]
        if source["trailLength"] < 2.0 or source["snr"] < 10 or alert.class_name != "asteroid":
            continue
        header = open_fits(alert.record["cutoutDifference"])[0].header
        image = alert.stamps[2]
        y, x = np.indices(image.shape)
        x, y = x - header["CRPIX1"] + 1, y - header["CRPIX2"] + 1
        east, north = header["PC1_1"] * x + header["PC1_2"] * y, header["PC2_1"] * x + header["PC2_2"] * y
        weight = np.where(image > image.max() / 4, image, 0.0)
        measured = 0.5 * math.atan2(2 * (weight * east * north).sum(), (weight * (north**2 - east**2)).sum())
        deviations.append(abs(math.remainder(measured - math.radians(source["trailAngle"]), math.pi)))
    # The point-spread function is not round either.
    assert len(deviations) >= 2 and np.median(deviations) < 0.3


def test_fluxes_follow_from_the_stamps(rubin_alerts):
    for alert in rubin_alerts:
        source = alert.record["diaSource"]
        assert source["isNegative"] == (source["psfFlux"] < 0)
        assert source["snr"] == pytest.approx(abs(source["psfFlux"]) / source["psfFluxErr"], rel=1e-4)
        if alert.class_name == "VS" and alert.stamps[1].max() < 5e4:  # a saturated star has no flux
            change = source["scienceFlux"] - source["templateFlux"]
            # The match of both epochs leaves some hundredths of a bright star.
            tolerance = 10 * source["scienceFluxErr"] + 0.05 * abs(source["templateFlux"])
            assert change == pytest.approx(source["psfFlux"], abs=tolerance)


def test_asteroids_have_a_solar_system_object_and_all_others_a_dia_object(rubin_alerts):
    for alert in rubin_alerts:
        record, source = alert.record, alert.record["diaSource"]
        if alert.class_name == "asteroid":
            assert source["diaObjectId"] is None and record["diaObject"] is None
            assert record["ssSource"]["ssObjectId"] == source["ssObjectId"]
        else:
            assert source["ssObjectId"] is None and record["ssSource"] is None
            assert record["diaObject"]["diaObjectId"] == source["diaObjectId"]
            assert record["diaObject"]["nDiaSources"] == 1 + len(record["prvDiaSources"] or [])


def test_history_is_in_order_and_of_the_same_object(rubin_alerts):
    lengths = set()
    for alert in rubin_alerts:
        history = alert.record["prvDiaSources"] or []
        ids = [row["diaSourceId"] for row in (*history, alert.record["diaSource"])]
        assert ids == sorted(ids) and len(set(ids)) == len(ids)
        assert {row["diaObjectId"] for row in history} <= {alert.record["diaSource"]["diaObjectId"]}
        lengths.add(len(history))
    assert 0 in lengths and len(lengths) > 2


def test_reliability_tells_bogus_from_real(rubin_alerts):
    def median(bogus):
        return np.median(
            [a.record["diaSource"]["reliability"] for a in rubin_alerts if (a.class_name == "bogus") == bogus]
        )

    assert median(True) < 0.4 and median(False) > 0.8
