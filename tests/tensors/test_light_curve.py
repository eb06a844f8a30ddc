"""Quantities of the light curve, against values worked out by hand."""

import numpy as np
import pytest

from broker_plugin.alert import Alert, Detection, Identity
from broker_plugin.tensors.light_curve import LIGHT_CURVE, light_curves

NOW = 59000.0


def ztf(*history: tuple[float, str, float, bool], mag: float = 19.0, band: str = "r", positive: bool = True) -> Alert:
    """An alert whose earlier detections are so many days ago, in a band, of a magnitude and a sign."""
    earlier = tuple(
        Detection(NOW - days, b, {"magpsf": m, "isdiffpos": sign}) for days, b, m, sign in sorted(history, reverse=True)
    )
    identity = Identity(survey="ztf", mjd=NOW, band=band)
    return Alert(identity, {"magpsf": mag, "isdiffpos": positive}, history=earlier)


def value(name: str, alert: Alert) -> float:
    return float(LIGHT_CURVE[name](light_curves([alert]))[0])


@pytest.mark.parametrize(
    ("name", "alert", "expected"),
    [
        ("lc_span_days", ztf((3.0, "r", 19.0, True), (10.0, "g", 19.0, True)), 10.0),
        ("lc_negative_share", ztf((1.0, "r", 19.0, False), (2.0, "g", 19.0, True), (3.0, "g", 19.0, False)), 0.5),
        ("lc_sign_changes", ztf((1.0, "r", 19.0, False), (2.0, "r", 19.0, False), (3.0, "r", 19.0, True)), 2 / 3),
        ("lc_scatter_mag", ztf((1.0, "r", 19.4, True), (2.0, "g", 18.0, True)), np.sqrt((0.2**2 + 0.2**2) / 3)),
        ("lc_range_mag", ztf((1.0, "r", 19.4, True), (2.0, "r", 18.8, True)), 0.6),
        ("lc_last_change_mag", ztf((1.0, "r", 19.4, True), (0.5, "g", 18.8, True), (2.0, "r", 18.0, True)), -0.4),
        ("lc_last_change_mag", ztf((1.0, "r", 19.4, False)), np.nan),
        ("lc_slope_mag_per_day", ztf((4.0, "r", 19.4, True), (8.0, "r", 19.8, True)), -0.1),
        ("lc_slope_mag_per_day", ztf((4.0, "g", 19.4, True)), np.nan),
        ("lc_g_minus_r", ztf((4.0, "g", 19.4, True), (3.0, "g", 19.6, True)), 0.5),
        ("lc_g_minus_r", ztf((4.0, "r", 19.4, True)), np.nan),
        ("lc_fast_change", ztf((1.0, "r", 19.0 + 2.5 * np.log10(2), True), (9.0, "r", 17.0, False)), 0.5 * 10**-0.8),
        ("lc_fast_change", ztf((5.0, "r", 17.0, True)), np.nan),
        ("lc_relative_scatter", ztf((1.0, "r", 19.0, False)), 1.0),
        ("lc_von_neumann", ztf((1.0, "r", 19.0, False), (2.0, "r", 19.0, True)), 4.0 / (8 / 9)),
    ],
)
def test_quantity(name: str, alert: Alert, expected: float) -> None:
    assert value(name, alert) == pytest.approx(expected, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", LIGHT_CURVE)
def test_the_first_alert_of_an_object_has_none(name: str) -> None:
    values = LIGHT_CURVE[name](light_curves([ztf(), ztf((1.0, "r", 19.5, True), (2.0, "g", 19.5, True)), ztf()]))
    assert np.isnan(values[[0, 2]]).all()


@pytest.mark.parametrize("name", LIGHT_CURVE)
def test_neighbours_in_the_batch_change_no_bit(name: str) -> None:
    rng = np.random.default_rng(5)
    alerts = [
        ztf(*((float(d), "gri"[d % 3], float(rng.normal(19, 1)), bool(rng.integers(2))) for d in range(1, 1 + 3 * n)))
        for n in range(6)
    ]
    together = LIGHT_CURVE[name](light_curves(alerts))
    alone = np.concatenate([LIGHT_CURVE[name](light_curves([alert])) for alert in alerts])
    np.testing.assert_array_equal(together, alone)


def test_rubin_fluxes_carry_their_sign() -> None:
    history = (Detection(NOW - 1.0, "i", {"psfFlux": -500.0}), Detection(NOW - 0.5, "i", {"psfFlux": None}))
    alert = Alert(Identity(survey="rubin", mjd=NOW, band="i"), {"psfFlux": 1000.0}, history=history)
    assert value("lc_negative_share", alert) == 0.5
    assert value("lc_fast_change", alert) == pytest.approx(1.5)


@pytest.mark.parametrize("mag", [None, "19", np.inf, 1e9, True])
def test_a_detection_without_a_number_is_passed_over(mag: object) -> None:
    alert = ztf((1.0, "r", mag, True), (5.0, "r", 19.5, True))  # type: ignore[arg-type]
    assert value("lc_last_change_mag", alert) == pytest.approx(-0.5)


def test_a_history_with_two_detections_at_a_time_is_not_believed() -> None:
    assert np.isnan(value("lc_span_days", ztf((1.0, "r", 19.5, True), (1.0, "r", 18.5, True), (3.0, "r", 19.5, True))))
    assert value("lc_span_days", ztf((1.0, "r", 19.5, True), (1.0, "g", 18.5, True))) == 1.0


def test_what_came_after_the_alert_is_not_looked_at() -> None:
    assert np.isnan(value("lc_span_days", ztf((-2.0, "r", 19.5, True))))


def test_an_endless_history_is_cut() -> None:
    alert = ztf(*((0.1 * day, "r", 19.0, True) for day in range(1, 1200)))
    assert light_curves([alert]).row.size == 257
