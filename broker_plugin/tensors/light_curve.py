"""What the earlier detections in a packet say: quantities of the light curve of the difference flux.

All of them are shapes (signs, scatter, slopes, colours), never counts: how often an object was detected tells how it
was collected before it tells what it is.  Upper limits are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert

Column = NDArray[np.float64]

FIELDS = frozenset({"magpsf", "isdiffpos", "psfFlux"})
"""Fields of the surveys that the light curve is made of."""

AB_ZERO_POINT_NJY = 31.4  # AB magnitude of 1 nJy
_SHORT_DAYS = (0.02, 2.5)  # between two detections that show a fast change: from half an hour on
_MAX_DETECTIONS = 256  # latest of an object; Rubin packets hold a thousand and more of some


@dataclass(frozen=True, slots=True)
class LightCurves:
    """The detections of a batch, the alerts' own among them, in order of alert, band and time.

    Only alerts with an earlier detection have any.

    Attributes
    ----------
    alerts
        Number of alerts in the batch.
    row
        Which alert a detection is of.
    band
        Number of its passband within the batch.
    days
        Time before the alert, days; zero or negative.
    flux_njy
        PSF flux in the difference image; negative where the source is fainter than in the template.
    names
        Passbands by their numbers.
    """

    alerts: int
    row: NDArray[np.int64]
    band: NDArray[np.int64]
    days: Column
    flux_njy: Column
    names: tuple[str | None, ...]

    @property
    def mag(self) -> Column:
        """AB magnitude of the difference, of either sign."""
        return AB_ZERO_POINT_NJY - 2.5 * np.log10(np.abs(self.flux_njy))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of detections of each alert, its own among them; 0 where there is no earlier one."""
        return np.bincount(self.row, minlength=self.alerts)

    def total(self, values: Column | NDArray[np.bool_], of: NDArray[np.int64] | None = None) -> Column:
        """Sum over the detections (or the pairs ``of`` these rows) of each alert."""
        weights = np.asarray(values, dtype=np.float64)
        return np.bincount(self.row if of is None else of, weights=weights, minlength=self.alerts).astype(np.float64)

    def largest(self, values: Column, of: NDArray[np.int64] | None = None) -> Column:
        """Largest value of each alert, NaN where it has none."""
        highest = np.full(self.alerts, -np.inf)
        np.maximum.at(highest, self.row if of is None else of, values)
        return np.where(np.isinf(highest), np.nan, highest)

    def within_band(self, values: Column) -> Column:
        """What each value differs from the mean of its alert and band."""
        group = self.row * len(self.names) + self.band
        count = np.bincount(group, minlength=self.alerts * len(self.names))
        mean = np.bincount(group, weights=values, minlength=len(count)) / np.maximum(count, 1)
        return np.asarray(values - mean[group])

    def pairs(self) -> NDArray[np.int64]:
        """Index of the later of each two detections that follow each other in one band."""
        same = (self.row[1:] == self.row[:-1]) & (self.band[1:] == self.band[:-1])
        return np.flatnonzero(same) + 1


def light_curves(alerts: Sequence[Alert]) -> LightCurves:
    """Collect the light curves of a batch.  A detection without a flux that is a number is passed over."""
    names: dict[str | None, int] = {}
    points = [point for row, alert in enumerate(alerts) for point in _points(row, alert, names)]
    row, band, days, flux = np.array(points, dtype=np.float64).reshape(-1, 4).T
    order = np.lexsort((days, band, row))
    return LightCurves(
        len(alerts),
        row[order].astype(np.int64),
        band[order].astype(np.int64),
        days[order],
        flux[order],
        tuple(names) or (None,),
    )


def _points(row: int, alert: Alert, names: dict[str | None, int]) -> Iterator[tuple[int, int, float, float]]:
    now, flux_now = alert.identity.mjd, flux_njy(alert.values)
    if now is None or flux_now is None or not alert.history:
        return
    earlier = [
        (row, names.setdefault(detection.band, len(names)), detection.mjd - now, flux)
        for detection in alert.history[-_MAX_DETECTIONS:]
        if detection.mjd < now and (flux := flux_njy(detection.values)) is not None
    ]
    points = [*earlier, (row, names.setdefault(alert.identity.band, len(names)), 0.0, flux_now)]
    # One exposure gives one detection: a history that has two at a time was put together by somebody.
    if earlier and len({(band, days) for _, band, days, _ in points}) == len(points):
        yield from points


def flux_njy(values: Mapping[str, Any]) -> float | None:
    """Difference flux of a detection of either survey; None where there is none."""
    flux, mag, positive = values.get("psfFlux"), values.get("magpsf"), values.get("isdiffpos")
    if isinstance(mag, float) and isinstance(positive, (bool, int)) and -10.0 < mag < 40.0:
        flux = 10.0 ** (0.4 * (AB_ZERO_POINT_NJY - mag)) * (1.0 if positive else -1.0)
    return flux if isinstance(flux, float) and 1e-3 < abs(flux) < 1e15 else None


def _span(curves: LightCurves) -> Column:
    return curves.largest(-curves.days)


def _negative_share(curves: LightCurves) -> Column:
    return _mean(curves.total(curves.flux_njy < 0), curves.total(np.ones(len(curves.row))))


def _sign_changes(curves: LightCurves) -> Column:
    later = curves.pairs()
    of = curves.row[later]
    changed = (curves.flux_njy[later] < 0) != (curves.flux_njy[later - 1] < 0)
    return _mean(curves.total(changed, of), curves.total(np.ones(len(later)), of))


def _scatter(curves: LightCurves) -> Column:
    return np.sqrt(_mean(curves.total(curves.within_band(curves.mag) ** 2), curves.total(np.ones(len(curves.row)))))


def _range(curves: LightCurves) -> Column:
    residual = curves.within_band(curves.mag)
    return curves.largest(residual) + curves.largest(-residual)


def _last_change(curves: LightCurves) -> Column:
    last = curves.pairs()
    last = last[curves.days[last] == 0.0]
    last = last[(curves.flux_njy[last] < 0) == (curves.flux_njy[last - 1] < 0)]
    change = np.full(curves.alerts, np.nan)
    change[curves.row[last]] = curves.mag[last] - curves.mag[last - 1]
    return change


def _slope(curves: LightCurves) -> Column:
    days = curves.within_band(curves.days)
    moment = curves.total(days**2)
    return _mean(curves.total(days * curves.mag), np.where(moment > 0.1, moment, 0.0))


def _g_minus_r(curves: LightCurves) -> Column:
    mag = {}
    for name in ("g", "r"):
        here = (curves.band == curves.names.index(name)) if name in curves.names else np.zeros(len(curves.row), bool)
        mag[name] = _mean(curves.total(np.where(here, curves.mag, 0.0)), curves.total(here))
    return mag["g"] - mag["r"]


def _fast_change(curves: LightCurves) -> Column:
    later = curves.pairs()
    gap = curves.days[later] - curves.days[later - 1]
    later = later[(gap >= _SHORT_DAYS[0]) & (gap <= _SHORT_DAYS[1])]
    change = np.abs(curves.flux_njy[later] - curves.flux_njy[later - 1])
    return curves.largest(change, curves.row[later]) / curves.largest(np.abs(curves.flux_njy))


def _relative_scatter(curves: LightCurves) -> Column:
    variance = _mean(curves.total(curves.within_band(curves.flux_njy) ** 2), curves.total(np.ones(len(curves.row))))
    return np.sqrt(variance) / curves.largest(np.abs(curves.flux_njy))


def _von_neumann(curves: LightCurves) -> Column:
    later = curves.pairs()
    of = curves.row[later]
    step = _mean(
        curves.total((curves.flux_njy[later] - curves.flux_njy[later - 1]) ** 2, of),
        curves.total(np.ones(len(later)), of),
    )
    return _mean(
        step, _mean(curves.total(curves.within_band(curves.flux_njy) ** 2), curves.total(np.ones(len(curves.row))))
    )


def _mean(total: Column, count: Column) -> Column:
    """``total / count``, NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(count > 0, total / count, np.nan)


LIGHT_CURVE: dict[str, Callable[[LightCurves], Column]] = {
    "lc_span_days": _span,
    "lc_negative_share": _negative_share,
    "lc_sign_changes": _sign_changes,
    "lc_scatter_mag": _scatter,
    "lc_range_mag": _range,
    "lc_last_change_mag": _last_change,
    "lc_slope_mag_per_day": _slope,
    "lc_g_minus_r": _g_minus_r,
    "lc_fast_change": _fast_change,
    "lc_relative_scatter": _relative_scatter,
    "lc_von_neumann": _von_neumann,
}
"""Sources of features by name."""
