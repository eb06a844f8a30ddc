"""Metadata as the bundle wants it: a matrix of features, and what had to be imputed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Reason
from broker_plugin.bundles import FeatureSpec
from broker_plugin.packets.fields import shown
from broker_plugin.tensors import light_curve
from broker_plugin.tensors.coordinates import ecliptic, galactic
from broker_plugin.tensors.light_curve import LIGHT_CURVE, light_curves

Column = NDArray[np.float64]
_PLAIN_TYPES = frozenset({float, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """The features of a batch.

    Attributes
    ----------
    values
        float32, (alerts, features), as the model takes them; zero in the rows that have a problem.
    imputed
        For each alert, the names of the features that were not in its packet.
    problems
        Row number to what is wrong with that alert.
    detections
        For each alert, how many detections its features were made of, its own included, (alerts,).
    """

    values: NDArray[np.float32]
    imputed: list[tuple[str, ...]]
    problems: dict[int, AlertError]
    detections: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SourceValues:
    """What the features of a batch are made of, before any bundle has a say in it.

    Attributes
    ----------
    values
        float64, (alerts, sources), NaN where missing.
    problems, detections
        As in `FeatureMatrix`.
    """

    values: NDArray[np.float64]
    problems: dict[int, AlertError]
    detections: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Derived:
    """A quantity computed from fields: the fields, and the function of their columns (NaN where missing)."""

    fields: tuple[str, ...]
    compute: Callable[..., Column]


DERIVED: dict[str, Derived] = {
    # Degrees; `coordinates` has the frames.
    "galactic_longitude_deg": Derived(("ra", "dec"), lambda ra, dec: galactic(ra, dec)[0]),
    "galactic_latitude_deg": Derived(("ra", "dec"), lambda ra, dec: galactic(ra, dec)[1]),
    "ecliptic_longitude_deg": Derived(("ra", "dec"), lambda ra, dec: ecliptic(ra, dec)[0]),
    "ecliptic_latitude_deg": Derived(("ra", "dec"), lambda ra, dec: ecliptic(ra, dec)[1]),
    # How often the field was seen without a detection, as the published stamp classifier counts it.
    "ncovhist_minus_ndethist": Derived(("ncovhist", "ndethist"), np.subtract),
    # How far from the ecliptic and from the Galactic plane, on either side.
    "abs_ecliptic_latitude_deg": Derived(("ra", "dec"), lambda ra, dec: np.abs(ecliptic(ra, dec)[1])),
    "abs_galactic_latitude_deg": Derived(("ra", "dec"), lambda ra, dec: np.abs(galactic(ra, dec)[1])),
    # Colours of the nearest Pan-STARRS source, AB magnitudes.
    "ps1_g_r": Derived(("sgmag1", "srmag1"), np.subtract),
    "ps1_r_i": Derived(("srmag1", "simag1"), np.subtract),
    "ps1_i_z": Derived(("simag1", "szmag1"), np.subtract),
    # Star/galaxy score of the nearest Pan-STARRS source; ZTF looks 30 arcsec around, so one further off is none.
    "ps1_score": Derived(("sgscore1", "distpsnr1"), lambda score, arcsec: np.where(arcsec <= 30.0, score, np.nan)),
    # Second moments of the source over those of the PSF: 1 for a point source.
    "size_over_psf": Derived(
        ("ixx", "iyy", "ixxPSF", "iyyPSF"), lambda xx, yy, psf_xx, psf_yy: _ratio(xx + yy, psf_xx + psf_yy)
    ),
    # Brightness of the difference against what was there before: large for what was not there.
    "difference_over_template": Derived(
        ("psfFlux", "templateFlux"), lambda difference, template: _ratio(np.abs(difference), np.abs(template))
    ),
}
# Colours of the AllWISE counterpart, Vega magnitudes, and against the nearest source of ZTF's reference image (AB).
DERIVED |= {
    "allwise_w1_w2": Derived(("allwise.w1_mag", "allwise.w2_mag"), np.subtract),
    "allwise_w2_w3": Derived(("allwise.w2_mag", "allwise.w3_mag"), np.subtract),
    "magnr_w1": Derived(("magnr", "allwise.w1_mag"), np.subtract),
}
NON_DETECTIONS = "non_detections"
"""Source of the number of upper limits in the packet's history."""


def needed_fields(features: Iterable[FeatureSpec]) -> frozenset[str]:
    """The survey's fields that these features are made of."""
    fields: set[str] = set()
    for feature in features:
        if feature.source in LIGHT_CURVE:
            fields.update(light_curve.FIELDS)
        else:
            fields.update(DERIVED[feature.source].fields if feature.source in DERIVED else (feature.source,))
    return frozenset(fields)


def needs_history(features: Iterable[FeatureSpec]) -> bool:
    """Whether any of the features looks at earlier detections."""
    return any(feature.source == NON_DETECTIONS or feature.source in LIGHT_CURVE for feature in features)


def feature_matrix(alerts: Sequence[Alert], features: Sequence[FeatureSpec]) -> FeatureMatrix:
    """The features of alerts of one survey.

    A value that is of the wrong type, infinite, or too large for float32 is a problem of its alert
    (``invalid_field``); one that is missing is imputed as the bundle says.
    """
    sources = source_values(alerts, [feature.source for feature in features])
    matrix = features_of(sources.values, features)
    problems = matrix.problems | sources.problems
    matrix.values[list(problems)] = 0.0
    return FeatureMatrix(matrix.values, matrix.imputed, problems, sources.detections)


def source_values(alerts: Sequence[Alert], sources: Sequence[str]) -> SourceValues:
    """The fields and derived quantities ``sources`` of alerts of one survey."""
    problems: dict[int, AlertError] = {}
    columns: dict[str, Column] = {}
    values = np.empty((len(alerts), len(sources)))
    curves = light_curves(alerts) if not LIGHT_CURVE.keys().isdisjoint(sources) else None
    for index, source in enumerate(sources):
        if curves is not None and source in LIGHT_CURVE:
            values[:, index] = LIGHT_CURVE[source](curves)
        elif (derived := DERIVED.get(source)) is not None:
            inputs = [_field_column(alerts, name, columns, problems) for name in derived.fields]
            with np.errstate(over="ignore", invalid="ignore"):
                values[:, index] = derived.compute(*inputs)
        else:
            values[:, index] = _field_column(alerts, source, columns, problems)
    alone = np.ones(len(alerts), dtype=np.int64)
    return SourceValues(values, problems, alone if curves is None else np.maximum(curves.counts, alone))


def features_of(raw: NDArray[np.float64], features: Sequence[FeatureSpec]) -> FeatureMatrix:
    """Features from the values of their sources, (alerts, features), NaN where missing; of one detection each."""
    how = _columns(tuple(features))
    missing = np.isnan(raw)
    column = np.where(how.is_boolean & ~missing, np.where(raw != 0.0, how.true, how.false), raw)
    doubtful = (column < how.lowest_valid) | (column > how.highest_valid)
    with np.errstate(over="ignore", invalid="ignore"):
        values = how.standardised(np.where(missing, how.fill, column)).astype(np.float32)
    values[doubtful] = 0.0  # the mean of the training set
    problems: dict[int, AlertError] = {}
    for row, index in zip(*np.nonzero(~np.isfinite(values)), strict=True):
        detail = f"{features[index].source} is {column[row, index]:g}: beyond the range of float32"
        problems.setdefault(int(row), AlertError(Reason.INVALID_FIELD, detail))
    missing |= doubtful
    imputed = [()] * len(raw)  # type: list[tuple[str, ...]]
    for row in np.flatnonzero(missing.any(axis=1)):
        imputed[row] = tuple(features[index].name for index in np.flatnonzero(missing[row]).tolist())
    return FeatureMatrix(values, imputed, problems, np.ones(len(raw), dtype=np.int64))


class _Columns:
    """Features side by side, so that a batch is standardised at once: one by one they cost more than the network."""

    def __init__(self, features: Sequence[FeatureSpec]) -> None:
        def of(value: Callable[[FeatureSpec], float | None], else_: float = 0.0) -> Column:
            given = [value(feature) for feature in features]
            return np.array([else_ if number is None else number for number in given], dtype=np.float64)

        self.true, self.false = of(lambda f: f.true_value), of(lambda f: f.false_value)
        self.is_boolean = (self.true != 1.0) | (self.false != 0.0)
        self.lowest_valid, self.highest_valid = of(lambda f: f.valid[0], -np.inf), of(lambda f: f.valid[1], np.inf)
        self.fill = of(lambda f: f.fill)
        self._low, self._high = of(lambda f: f.clip[0], -np.inf), of(lambda f: f.clip[1], np.inf)
        self._scale, self._mean, self._std = of(lambda f: f.scale), of(lambda f: f.mean), of(lambda f: f.std)
        self._log10, self._asinh = (
            np.flatnonzero([feature.transform == name for feature in features]) for name in ("log10", "asinh")
        )

    def standardised(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(transform(clip(raw)) - mean) / std``, (alerts, features)."""
        values = np.clip(raw, self._low, self._high)
        values[:, self._log10] = np.log10(values[:, self._log10])
        values[:, self._asinh] = np.arcsinh(values[:, self._asinh] / self._scale[self._asinh])
        return np.asarray((values - self._mean) / self._std)


@lru_cache(maxsize=64)
def _columns(features: tuple[FeatureSpec, ...]) -> _Columns:
    return _Columns(features)


def missing_features(features: Sequence[FeatureSpec]) -> NDArray[np.float32]:
    """The features of a packet that has none of them, (features,)."""
    missing: NDArray[np.float32] = features_of(np.full((1, len(features)), np.nan), features).values[0]
    return missing


def _field_column(
    alerts: Sequence[Alert], name: str, columns: dict[str, Column], problems: dict[int, AlertError]
) -> Column:
    column = columns.get(name)
    if column is None:
        raw: list[object]
        if name == NON_DETECTIONS:
            raw = [alert.non_detections for alert in alerts]
        else:
            raw = [alert.values.get(name) for alert in alerts]
        column = columns[name] = _as_column(raw, name, problems)
    return column


def _as_column(raw: list[object], name: str, problems: dict[int, AlertError]) -> Column:
    """Values as float64, None as NaN.  numpy would read the string "1.5" as a number, so types are looked at first."""
    if _PLAIN_TYPES.issuperset(map(type, raw)):
        try:
            column = np.array(raw, dtype=np.float64)
        except OverflowError:  # an integer beyond float64; found below
            pass
        else:
            if not np.isinf(column).any():
                return column
    column = np.full(len(raw), np.nan)
    for row, value in enumerate(raw):
        number = _as_number(value)
        if number is None:
            detail = f"{name} is not a finite number: {shown(value)}"
            problems.setdefault(row, AlertError(Reason.INVALID_FIELD, detail))
        else:
            column[row] = number
    return column


def _as_number(value: object) -> float | None:
    """A value as a float, NaN where it is missing; None where it is no number, or infinite."""
    if value is None:
        return np.nan
    if not isinstance(value, (float, int)):  # numpy's doubles are floats, its other scalars are not in an `Alert`
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if np.isinf(number) else number


def _ratio(over: Column, under: Column) -> Column:
    """``over / under``, NaN where that has no value."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = over / under
    return np.where(np.isfinite(ratio), ratio, np.nan)
