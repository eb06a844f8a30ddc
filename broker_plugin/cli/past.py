"""What there is to say of one object: found in its store, its classifiers asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from broker_plugin.following.updates import KIND_AND_SCALE
from broker_plugin.history import ObjectKey, RememberedDetection
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.tensors.light_curve import AB_ZERO_POINT_NJY
from broker_plugin.tensors.sequences import FOUND, LOOKED_UP, DetectionForm

MEASURED = {
    "W1": "allwise.w1_mag",
    "W2": "allwise.w2_mag",
    "W3": "allwise.w3_mag",
    "W4": "allwise.w4_mag",
    "W1-W2": "allwise_w1_w2",
    "W2-W3": "allwise_w2_w3",
    "separation": "allwise.separation_arcsec",
}
"""What may be kept of an AllWISE counterpart, and the source of the feature that keeps it: Vega magnitudes, arcsec."""

_MAG_PER_RELATIVE_ERROR = 2.5 / math.log(10.0)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One detection that is remembered.

    Attributes
    ----------
    alert_id
        None where it is known from a history that has lost digits of it.
    mjd
        In the survey's time scale.
    flux_njy, flux_error_njy
        Of the difference; None where they are not known.
    from_packet
        Whether its own packet has come; else the history in another's tells of it.
    stamps
        As the classifier sees them, (size, size, channels); None where there are none.
    allwise
        ``found``, ``none there`` or ``not looked up``; None where no packet of its own or no AllWISE is looked at.
    counterpart
        What is kept of the counterpart, by the names of `MEASURED`.
    """

    alert_id: int | None
    mjd: float
    band: str | None
    flux_njy: float | None
    flux_error_njy: float | None
    from_packet: bool
    stamps: NDArray[Any] | None
    allwise: str | None
    counterpart: Mapping[str, float]

    @property
    def is_positive(self) -> bool | None:
        """Whether it is brighter than the template; None where that is not known."""
        return None if self.flux_njy is None else self.flux_njy > 0.0

    @property
    def mag(self) -> float | None:
        """AB magnitude of the difference, of either sign."""
        return AB_ZERO_POINT_NJY - 2.5 * math.log10(abs(self.flux_njy)) if self.flux_njy else None

    @property
    def mag_error(self) -> float | None:
        """One standard deviation, in magnitudes."""
        if not self.flux_njy or self.flux_error_njy is None:
            return None
        return _MAG_PER_RELATIVE_ERROR * self.flux_error_njy / abs(self.flux_njy)


@dataclass(frozen=True, slots=True)
class Past:
    """An object, as a store knows it.

    Attributes
    ----------
    store
        Its address.
    channels
        Names of the stamps, in the order of their channels.
    sightings
        All that are remembered, one of each exposure, earliest first.
    courses
        For each classifier, by its name and version, what it would have said as the object became known: see
        `broker_plugin.following.course`.  None where they were not asked.
    """

    key: ObjectKey
    store: str
    channels: Sequence[str]
    sightings: Sequence[Sighting]
    courses: Mapping[str, Sequence[ClassificationRecord]] | None

    @property
    def mjd_scale(self) -> str:
        """``utc`` or ``tai``."""
        return KIND_AND_SCALE[self.key.survey][1]

    @property
    def in_magnitudes(self) -> bool:
        """Whether the survey gives magnitudes, and not fluxes."""
        return self.key.survey == "ztf"

    @property
    def counterpart(self) -> Mapping[str, float]:
        """What is kept of the AllWISE counterpart that was last found."""
        return next((seen.counterpart for seen in reversed(self.sightings) if seen.counterpart), {})

    def counterpart_text(self) -> str:
        """What is kept of the counterpart, in words; empty where there is none."""
        parts = [f"{name} {value:.2f}" for name, value in self.counterpart.items() if name != "separation"]
        if "separation" in self.counterpart:
            parts.append(f"{self.counterpart['separation']:.2f} arcsec away")
        return f"AllWISE counterpart: {', '.join(parts)}" if parts else ""

    def dates(self) -> list[str]:
        """Of each sighting, ISO 8601 to the minute, UTC."""
        from astropy.time import Time

        times = Time([seen.mjd for seen in self.sightings], format="mjd", scale=self.mjd_scale)
        return [str(date) for date in times.utc.to_value("iso", subfmt="date_hm")]


def sighting(detection: RememberedDetection, form: DetectionForm) -> Sighting:
    """What a remembered detection of this form says, by name."""
    values = {
        name: float(value)
        for name, value in zip(form.sources, detection.values, strict=True)
        if not math.isnan(float(value))
    }
    from_packet = values.get("from_packet") == 1.0
    return Sighting(
        alert_id=detection.alert_id if detection.alert_id >= 0 else None,
        mjd=detection.mjd,
        band=detection.band,
        flux_njy=values.get("flux_njy"),
        flux_error_njy=values.get("flux_error_njy"),
        from_packet=from_packet,
        stamps=detection.stamps,
        allwise=_allwise(values) if from_packet and form.uses_allwise else None,
        counterpart={name: values[source] for name, source in MEASURED.items() if source in values},
    )


def _allwise(values: Mapping[str, float]) -> str:
    if values.get(LOOKED_UP) != 1.0:
        return "not looked up"
    return "found" if values.get(FOUND) == 1.0 else "none there"


def as_json(past: Past) -> dict[str, Any]:
    """All of it as plain types, without the pixels."""
    plain: dict[str, Any] = {
        "survey": past.key.survey,
        "object_id": past.key.object_id,
        "store": past.store,
        "mjd_scale": past.mjd_scale,
        "detections": [
            {
                "alert_id": seen.alert_id,
                "mjd": seen.mjd,
                "date_utc": date,
                "band": seen.band,
                "flux_njy": seen.flux_njy,
                "flux_error_njy": seen.flux_error_njy,
                "mag": seen.mag,
                "mag_error": seen.mag_error,
                "is_positive": seen.is_positive,
                "has_stamps": seen.stamps is not None,
                "from_packet": seen.from_packet,
                "allwise": seen.allwise,
                "counterpart": dict(seen.counterpart),
            }
            for seen, date in zip(past.sightings, past.dates(), strict=True)
        ],
    }
    if past.courses is not None:
        plain["courses"] = {
            label: [record.to_dict() | {"produced_at": record.produced_at.isoformat()} for record in records]
            for label, records in past.courses.items()
        }
    return plain
