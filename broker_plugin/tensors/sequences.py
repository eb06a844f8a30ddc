"""The detections of objects: what is kept of each, and the tensors that a temporal model takes of them.

An alert is kept as its own detection, with stamps where they can be used, and as those of the light-curve history that
it brings, which have none.  What a model sees of an object follows from the set of detections that are kept of it,
whatever the order in which they came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Detection, Reason
from broker_plugin.bundles import FeatureSpec, Manifest
from broker_plugin.history import RememberedDetection
from broker_plugin.tensors.light_curve import AB_ZERO_POINT_NJY, flux_njy
from broker_plugin.tensors.metadata import DERIVED, features_of, needed_fields, source_values
from broker_plugin.tensors.stamps import fill_stamps

Column = NDArray[np.float64]
Matrix = NDArray[np.float64]

FIELDS = frozenset({"magpsf", "isdiffpos", "sigmapsf", "psfFlux", "psfFluxErr"})
"""Fields of the surveys that the measurements of every detection are made of."""

ALLWISE = "allwise."
"""What sources of the AllWISE counterpart begin with; the stage puts them beside an alert's own fields."""
LOOKED_UP, FOUND = "allwise.looked_up", "allwise.found"
"""1 or 0: whether the alert's position was looked up, and whether a source is there."""

_MEASURED = ("from_packet", "flux_njy", "flux_error_njy")
"""What is kept of every detection; the first is 1 of an alert's own detection, and 0 of one from a history."""

LEAST_DETECTIONS = 2
"""Fewer say no more than the stamp classifier does."""

_SAME_EXPOSURE_DAYS = 1e-5
_MOST_SIGMA = 6e4  # in units of the noise: what float16 can hold
_MAG_PER_RELATIVE_ERROR = 2.5 / np.log(10.0)


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """Tensors of a batch of objects.

    Attributes
    ----------
    stamps
        Of all detections that have any, float32, (stamps, size, size, channels).
    places
        Which object and which of its detections each belongs to, (stamps, 2).
    detections
        float32, (objects, length, features of a detection), earliest first; zero behind the last.
    present
        float32, (objects, length): 1 where there is a detection.
    features
        Of the latest alert of each object, float32, (objects, features).
    imputed
        For each object, names of the features that were not in its latest alert.
    problems
        Row number to why that object can't be classified.
    detections_used
        Number of detections of each object, (objects,).
    used
        For each object the detections that its tensors were made of, earliest first.
    """

    stamps: NDArray[np.float32]
    places: NDArray[np.int64]
    detections: NDArray[np.float32]
    present: NDArray[np.float32]
    features: NDArray[np.float32]
    imputed: list[tuple[str, ...]]
    problems: dict[int, AlertError]
    detections_used: NDArray[np.int64]
    used: list[list[RememberedDetection]]


class DetectionForm:
    """What is kept of a detection for one model, and in which order.

    Attributes
    ----------
    manifest, sequence
        Of the model.
    sources
        What the values of a `RememberedDetection` are, in their order.
    uses_allwise
        Whether any of them is of the AllWISE counterpart.
    digest
        Tells stores of one form from those of another: two models whose detections are prepared alike share one.
    """

    def __init__(self, manifest: Manifest) -> None:
        if manifest.sequence is None:
            raise ValueError(f"{manifest.label} is no temporal model")
        self.manifest = manifest
        self.sequence = manifest.sequence
        self._of_each = tuple(f.source for f in manifest.sequence.features if f.source not in SEQUENCE)
        of_alert = dict.fromkeys(feature.source for feature in manifest.features)
        # First, since a store keeps the greatest of two rows of one alert: that which was looked up.
        self._of_alert = tuple(sorted(of_alert, key=lambda source: source != LOOKED_UP))
        self.sources = (*_MEASURED, *self._of_each, *self._of_alert)
        self.uses_allwise = any(map(is_of_allwise, self._of_alert))
        prepared = [manifest.survey, manifest.preprocessing_version, vars(manifest.stamps), self.sources]
        self.digest = hashlib.sha256(json.dumps(prepared).encode()).hexdigest()[:16]

    def of_alerts(self, alerts: Sequence[Alert]) -> tuple[list[tuple[RememberedDetection, ...]], dict[int, AlertError]]:
        """What is to be kept of alerts of one survey: of each, its own detection and the latest of its history.

        Returns
        -------
        detections, problems
            For each alert its detections, none where it has a problem; and row number to what is wrong with it.
            Stamps that can't be used are no problem: the detection is kept without.
        """
        of_alert = source_values(alerts, self._of_alert)
        of_each = source_values(alerts, self._of_each)
        problems = of_each.problems | of_alert.problems
        kept: list[tuple[RememberedDetection, ...]] = []
        for row, alert in enumerate(alerts):
            values = self._values(1.0, alert.values, of_each.values[row], of_alert.values[row])
            if row not in problems and (unfit := _unfit(values, self.sources)) is not None:
                problems[row] = AlertError(Reason.INVALID_FIELD, f"{unfit} is beyond the range of float32")
            if row in problems:
                kept.append(())
                continue
            identity = alert.identity
            own = RememberedDetection(
                int(identity.alert_id or 0), float(identity.mjd or 0.0), identity.band, self._stamps_of(alert), values
            )
            others = [d for d in alert.history if abs(d.mjd - own.mjd) > _SAME_EXPOSURE_DAYS]
            kept.append((*self._of_history(others[-self.sequence.length :]), own))
        return kept, problems

    def _of_history(self, detections: Iterable[Detection]) -> Iterator[RememberedDetection]:
        nothing = np.full(len(self._of_alert), np.nan)
        for detection in detections:
            numbers = [detection.values.get(source) for source in self._of_each]
            of_each = np.array([x if isinstance(x, (int, float)) else np.nan for x in numbers], dtype=np.float64)
            values = self._values(0.0, detection.values, of_each, nothing)
            values[np.isinf(values)] = np.nan
            alert_id = detection.alert_id if detection.alert_id is not None else _id_of_time(detection.mjd)
            yield RememberedDetection(alert_id, detection.mjd, detection.band, None, values)

    def _values(self, from_packet: float, fields: Any, of_each: Column, of_alert: Column) -> NDArray[np.float32]:
        flux = flux_njy(fields)
        measured = (from_packet, np.nan if flux is None else flux, _flux_error_njy(fields, flux))
        with np.errstate(over="ignore"):
            return np.concatenate([measured, of_each, of_alert]).astype(np.float32)

    def _stamps_of(self, alert: Alert) -> NDArray[np.float16] | None:
        spec = self.manifest.stamps
        size, channels = spec.size, len(spec.channels)
        stamps = np.zeros((size, size, channels), dtype=np.float32)
        try:
            fill_stamps(alert, spec, stamps)
        except AlertError:
            return None
        except Exception:  # noqa: BLE001 - as in `batch`: a caller's own alert may hold anything, and costs no other
            return None
        return np.clip(stamps, -_MOST_SIGMA, _MOST_SIGMA).astype(np.float16)


def needed_sequence_fields(manifest: Manifest) -> frozenset[str]:
    """The survey's fields that a temporal model's tensors are made of."""
    of_each = () if manifest.sequence is None else manifest.sequence.features
    others = [feature for feature in (*manifest.features, *of_each) if feature.source not in SEQUENCE]
    return FIELDS | needed_fields(others)


@dataclass(frozen=True, slots=True)
class RawSequences:
    """What the features of a batch of objects are made of, before a bundle's means and deviations.

    Attributes
    ----------
    detections
        float64, (objects, length, sources of a detection), earliest first, NaN where missing and behind the last.
    present
        Where there is a detection, (objects, length).
    latest
        Of the latest alert of each object, float64, (objects, sources), NaN where missing.
    stamps, places
        As in `SequenceBatch`, in float16.
    """

    detections: NDArray[np.float64]
    present: NDArray[np.bool_]
    latest: NDArray[np.float64]
    stamps: NDArray[np.float16]
    places: NDArray[np.int64]


def raw_sequences(objects: Sequence[Sequence[RememberedDetection]], form: DetectionForm) -> RawSequences:
    """The detections of objects as numbers; see `make_sequences`."""
    return _raw([_latest(detections, form.sequence.length) for detections in objects], form)


def _raw(shown: Sequence[Sequence[RememberedDetection]], form: DetectionForm) -> RawSequences:
    measured = _Measurements(shown, form)
    stamped = [
        (row, slot, detection.stamps)
        for row, detections in enumerate(shown)
        for slot, detection in enumerate(detections)
        if detection.stamps is not None
    ]
    spec = form.manifest.stamps
    stamps = np.zeros((len(stamped), spec.size, spec.size, len(spec.channels)), dtype=np.float16)
    for index, (_, _, pixels) in enumerate(stamped):
        stamps[index] = pixels
    return RawSequences(
        detections=measured.sources(),
        present=measured.present,
        latest=np.array([_of_latest_alert(detections, form) for detections in shown]).reshape(
            len(shown), len(form.manifest.features)
        ),
        stamps=stamps,
        places=np.array([(row, slot) for row, slot, _ in stamped], dtype=np.int64).reshape(-1, 2),
    )


def make_sequences(objects: Sequence[Sequence[RememberedDetection]], form: DetectionForm) -> SequenceBatch:
    """The tensors of objects of which these detections are kept, in any order.  Every number in them is finite."""
    shown = [_latest(detections, form.sequence.length) for detections in objects]
    raw = _raw(shown, form)
    of_alert = features_of(raw.latest, form.manifest.features)
    used = raw.present.sum(axis=1)
    problems = dict(of_alert.problems)
    for row in np.flatnonzero(used < LEAST_DETECTIONS).tolist():
        known = "one detection" if used[row] else "no detection"
        problems[row] = AlertError(Reason.TOO_FEW_DETECTIONS, f"{known} of the object is known, and two are needed")
    return SequenceBatch(
        stamps=raw.stamps.astype(np.float32),
        places=raw.places,
        detections=detection_features(raw, form.sequence.features),
        present=raw.present.astype(np.float32),
        features=of_alert.values,
        imputed=of_alert.imputed,
        problems=problems,
        detections_used=used,
        used=shown,
    )


def has_counterpart(detections: Sequence[RememberedDetection], form: DetectionForm) -> bool | None:
    """Whether AllWISE has a source at an object, by that alert whose look-up the object's features are made of.

    Parameters
    ----------
    detections
        As `SequenceBatch.used` has them.

    Returns
    -------
    bool or None
        None where no alert of the object was looked up.
    """
    values = _looked_up(_of_alerts(detections), form)
    return None if values is None else bool(values[form.sources.index(FOUND)] == 1.0)


def detection_features(raw: RawSequences, features: Sequence[FeatureSpec]) -> NDArray[np.float32]:
    """The features of each detection, (objects, length, features); zero where there is none."""
    values = features_of(raw.detections.reshape(-1, raw.detections.shape[-1]), features).values
    values = np.where(np.isfinite(values), values, np.float32(0.0)).reshape(raw.detections.shape)
    return np.asarray(values * raw.present[..., None], dtype=np.float32)


class _Measurements:
    """The detections of a batch of objects as matrices, (objects, length), NaN behind the last of each."""

    def __init__(self, objects: Sequence[Sequence[RememberedDetection]], form: DetectionForm) -> None:
        spec = form.sequence
        shape = (len(objects), spec.length)
        self._spec = spec
        self.present = np.zeros(shape, dtype=bool)
        self.mjd = np.full(shape, np.nan)
        self.stamped = np.zeros(shape)
        self.bands = np.full(shape, "", dtype=object)
        kept = [f.source for f in spec.features if f.source not in SEQUENCE]
        self._columns = {name: form.sources.index(name) for name in (*_MEASURED, *kept)}
        self._values = np.full((*shape, len(form.sources)), np.nan, dtype=np.float32)
        for row, detections in enumerate(objects):
            count = len(detections)
            self.present[row, :count] = True
            self.mjd[row, :count] = [d.mjd for d in detections]
            self.stamped[row, :count] = [d.stamps is not None for d in detections]
            self.bands[row, :count] = [d.band or "" for d in detections]
            for slot, detection in enumerate(detections):
                self._values[row, slot] = detection.values

    def sources(self) -> Matrix:
        """What the features of each detection are made of, (objects, length, sources)."""
        columns = [self._source(feature.source) for feature in self._spec.features]
        return np.stack(columns, axis=-1) if columns else np.zeros((*self.present.shape, 0))

    def _source(self, name: str) -> Matrix:
        return SEQUENCE[name](self) if name in SEQUENCE else self.kept(name)

    def kept(self, name: str) -> Matrix:
        """A value that is kept of each detection."""
        return self._values[..., self._columns[name]].astype(np.float64)

    @cached_property
    def flux(self) -> Matrix:
        """Difference flux, nJy."""
        return self.kept("flux_njy")

    @cached_property
    def largest(self) -> Matrix:
        """Of each object, the largest flux of either sign, nJy, (objects, 1)."""
        return np.asarray(np.max(np.abs(self.flux), axis=1, keepdims=True, where=~np.isnan(self.flux), initial=0.0))


def _since_first(seen: _Measurements) -> Matrix:
    return np.asarray(seen.mjd - seen.mjd[:, :1])


def _since_previous(seen: _Measurements) -> Matrix:
    return np.diff(seen.mjd, axis=1, prepend=np.nan)


def _before_last(seen: _Measurements) -> Matrix:
    last = np.max(seen.mjd, axis=1, keepdims=True, where=seen.present, initial=-np.inf)
    return np.asarray(last - seen.mjd)


def _magnitude(seen: _Measurements) -> Matrix:
    with np.errstate(divide="ignore"):
        return _known(AB_ZERO_POINT_NJY - 2.5 * np.log10(np.abs(seen.flux)))


def _relative_flux(seen: _Measurements) -> Matrix:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _known(seen.flux / seen.largest)


def _snr(seen: _Measurements) -> Matrix:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _known(np.abs(seen.flux) / seen.kept("flux_error_njy"))


def _is_positive(seen: _Measurements) -> Matrix:
    return np.where(np.isnan(seen.flux), np.nan, (seen.flux > 0.0).astype(np.float64))


def _has_stamps(seen: _Measurements) -> Matrix:
    return seen.stamped


def _in_band(name: str) -> Callable[[_Measurements], Matrix]:
    return lambda seen: (seen.bands == name).astype(np.float64)


def _known(values: Matrix) -> Matrix:
    return np.where(np.isfinite(values), values, np.nan)


SEQUENCE: dict[str, Callable[[_Measurements], Matrix]] = {
    "days_since_first": _since_first,
    "days_since_previous": _since_previous,
    "days_before_last": _before_last,
    "difference_mag": _magnitude,
    "relative_flux": _relative_flux,
    "flux_snr": _snr,
    "flux_is_positive": _is_positive,
    "has_stamps": _has_stamps,
    **{f"band_is_{name}": _in_band(name) for name in "ugrizy"},
}
"""Sources of the features of a detection, besides fields of the survey.  Times are in days; NaN where not known."""


def one_of_each_exposure(detections: Iterable[RememberedDetection]) -> list[RememberedDetection]:
    """The detections by time, one of each exposure: that with stamps, or else the alert's own.

    Twice in a store is what came as an alert, and in the history of a packet that has lost digits of the alert's id.
    """
    chosen: list[RememberedDetection] = []
    for detection in sorted(detections, key=lambda d: (d.mjd, d.alert_id)):
        if chosen and detection.mjd - chosen[-1].mjd <= _SAME_EXPOSURE_DAYS:
            chosen[-1] = max(chosen[-1], detection, key=_knows_more)
        else:
            chosen.append(detection)
    return chosen


def _latest(detections: Sequence[RememberedDetection], length: int) -> list[RememberedDetection]:
    return one_of_each_exposure(detections)[-length:]


def _knows_more(detection: RememberedDetection) -> tuple[bool, bool]:
    return detection.stamps is not None, is_from_packet(detection)


def is_from_packet(detection: RememberedDetection) -> bool:
    """Whether a detection is an alert's own, and not one of another's history."""
    return bool(detection.values[0] == 1.0)


def _of_latest_alert(detections: Sequence[RememberedDetection], form: DetectionForm) -> Column:
    """The sources of the model's features as the latest alert has them; of AllWISE, the latest that was looked up."""
    own = _of_alerts(detections)
    latest = own[-1] if own else np.full(len(form.sources), np.nan, dtype=np.float32)
    looked_up = _looked_up(own, form)
    looked_up = latest if looked_up is None else looked_up
    sources = [(form.sources.index(f.source), is_of_allwise(f.source)) for f in form.manifest.features]
    return np.array([(looked_up if of_allwise else latest)[column] for column, of_allwise in sources], dtype=np.float64)


def _of_alerts(detections: Sequence[RememberedDetection]) -> list[NDArray[np.float32]]:
    """The values of an object's alerts, earliest first."""
    return [detection.values for detection in detections if is_from_packet(detection)]


def _looked_up(own: Sequence[NDArray[np.float32]], form: DetectionForm) -> NDArray[np.float32] | None:
    """The values of the latest alert that was looked up in AllWISE."""
    if LOOKED_UP not in form.sources:
        return None
    column = form.sources.index(LOOKED_UP)
    return next((values for values in reversed(own) if values[column] == 1.0), None)


def is_of_allwise(source: str) -> bool:
    """Whether a source of features is of the AllWISE counterpart."""
    fields = DERIVED[source].fields if source in DERIVED else (source,)
    return any(field.startswith(ALLWISE) for field in fields)


def _flux_error_njy(fields: Any, flux: float | None) -> float:
    error, error_mag = fields.get("psfFluxErr"), fields.get("sigmapsf")
    if isinstance(error_mag, float) and flux is not None:
        error = abs(flux) * error_mag / _MAG_PER_RELATIVE_ERROR
    return error if isinstance(error, float) and 0.0 < error < 1e15 else np.nan


def _unfit(values: NDArray[np.float32], sources: Sequence[str]) -> str | None:
    infinite = np.flatnonzero(np.isinf(values))
    return sources[int(infinite[0])] if infinite.size else None


def _id_of_time(mjd: float) -> int:
    """Stands for an id that is not known: below zero, where no survey's are; the millisecond of the exposure."""
    return -round(mjd * 86_400_000)
