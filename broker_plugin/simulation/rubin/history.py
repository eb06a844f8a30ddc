"""What Rubin has seen of an object before: earlier ``diaSource`` records, and the ``diaObject`` that sums them up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from broker_plugin.simulation.measure import MIN_SNR
from broker_plugin.simulation.rubin.schema import blank
from broker_plugin.simulation.rubin.source import source_id, visit
from broker_plugin.simulation.targets import Target

Row = dict[str, Any]

_RECURRENCE = {"AGN": 0.9, "SN": 0.6, "VS": 0.9, "bogus": 0.3}
"""How many objects are there in earlier exposures at all."""

_LOG_VISITS = {"AGN": (3.2, 1.2), "SN": (2.2, 0.8), "VS": (3.0, 1.2), "bogus": (0.5, 0.5)}
"""Mean and standard deviation of the logarithm of the number of earlier visits."""

_MOST_VISITS = 200
_LONGEST_DAYS = 80.0


def draw_previous_sources(target: Target, source: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """Earlier detections of the object, oldest first, from its light curve; all in the band of the alert."""
    if rng.random() > _RECURRENCE[target.class_name]:
        return []
    visits = min(1 + int(rng.lognormal(*_LOG_VISITS[target.class_name])), _MOST_VISITS)
    ages = np.sort(rng.uniform(0.01, _LONGEST_DAYS, visits))[::-1]
    fluxes = target.change_njy(-ages, source["band"]) + source["psfFluxErr"] * rng.normal(0.0, 1.0, visits)
    return [
        _previous_source(source, source["midpointMjdTai"] - float(age), float(flux), rng)
        for age, flux in zip(ages, fluxes, strict=True)
        if abs(flux) > MIN_SNR * source["psfFluxErr"]
    ]


def _previous_source(source: Mapping[str, Any], mjd: float, flux: float, rng: np.random.Generator) -> Row:
    change = flux / source["psfFlux"]
    return {
        **source,
        "diaSourceId": source_id(mjd, rng),
        "visit": visit(mjd),
        "detector": int(rng.integers(189)),
        "midpointMjdTai": mjd,
        "timeProcessedMjdTai": mjd + 60.0 / 86400.0,
        "ra": source["ra"] + rng.normal(0.0, source["raErr"]) / math.cos(math.radians(source["dec"])),
        "dec": source["dec"] + rng.normal(0.0, source["decErr"]),
        "psfFlux": flux,
        "apFlux": source["apFlux"] * change,
        "trailFlux": source["trailFlux"] * change,
        "snr": abs(flux) / source["psfFluxErr"],
        "isNegative": flux < 0.0,
        "scienceFlux": source["templateFlux"] + flux,
    }


def dia_object(object_id: int, history: Sequence[Row], source: Row) -> Row:
    """The object's record after its latest detection."""
    detections = [*history, source]
    count = len(detections)
    record = {
        **blank("diaObject"),
        "diaObjectId": object_id,
        "validityStartMjdTai": source["timeProcessedMjdTai"],
        "ra": float(np.mean([detection["ra"] for detection in detections])),
        "raErr": source["raErr"] / math.sqrt(count),
        "dec": float(np.mean([detection["dec"] for detection in detections])),
        "decErr": source["decErr"] / math.sqrt(count),
        "ra_dec_Cov": 0.0,
        "firstDiaSourceMjdTai": detections[0]["midpointMjdTai"],
        "lastDiaSourceMjdTai": source["midpointMjdTai"],
        "nDiaSources": count,
    }
    for band in {detection["band"] for detection in detections}:
        record |= _band_summary(band, [detection for detection in detections if detection["band"] == band])
    return record


def _band_summary(band: str, detections: Sequence[Row]) -> Row:
    fluxes = np.array([detection["psfFlux"] for detection in detections])
    errors = np.array([detection["psfFluxErr"] for detection in detections])
    science = np.array([detection["scienceFlux"] for detection in detections])
    count = len(detections)
    return {
        f"{band}_psfFluxMean": float(fluxes.mean()),
        f"{band}_psfFluxMeanErr": float(errors.mean()) / math.sqrt(count),
        f"{band}_psfFluxSigma": float(fluxes.std(ddof=1)) if count > 1 else None,
        f"{band}_psfFluxNdata": count,
        f"{band}_psfFluxMin": float(fluxes.min()),
        f"{band}_psfFluxMax": float(fluxes.max()),
        f"{band}_psfFluxErrMean": float(errors.mean()),
        f"{band}_scienceFluxMean": float(science.mean()),
        f"{band}_scienceFluxMeanErr": float(errors.mean()) / math.sqrt(count),
    }
