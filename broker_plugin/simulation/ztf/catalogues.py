"""What catalogues have on the place of an alert: ZTF's own template, Pan-STARRS, Gaia, and the Minor Planet Center."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from broker_plugin.simulation.measure import magnitude_error
from broker_plugin.simulation.scene import Scene
from broker_plugin.simulation.sources import Source

_MISSING = -999.0
"""What ZTF writes where a catalogue has no entry."""

_ASTROMETRIC_ERROR_ARCSEC = 0.12
_TEMPLATE_DETECTION_SNR = 4.0
_TEMPLATE_PEAKS_PER_ARCSEC2 = 0.0025

_PS1_DEPTH_MAG = 22.5
_PS1_RADIUS_ARCSEC = 30.0
_GAIA_DEPTH_MAG = 20.5
_GAIA_BRIGHT_MAG = 14.0
_GAIA_RADIUS_ARCSEC = 90.0


def reference_fields(scene: Scene, ra: float, dec: float, rng: np.random.Generator) -> dict[str, Any]:
    """The nearest source in the template; DAOPHOT's chi and sharpness grow with its extension (Stetson 1987)."""
    # At the limit of the template the next source is a peak of the noise, as sharp as one.
    peak_arcsec = math.sqrt(-math.log(rng.uniform(1e-12, 1.0)) / (math.pi * _TEMPLATE_PEAKS_PER_ARCSEC2))
    depth = math.sqrt(scene.exposure.template_exposures)
    nearest = next((s for s in scene.references if _template_snr(s, scene) > _TEMPLATE_DETECTION_SNR), None)
    if nearest is None or nearest.distance_arcsec > peak_arcsec:
        angle = rng.uniform(0.0, 2.0 * math.pi)
        x_arcsec, y_arcsec = peak_arcsec * math.cos(angle), peak_arcsec * math.sin(angle)
        snr = _TEMPLATE_DETECTION_SNR * rng.lognormal(0.2, 0.25)
        magnitude = scene.exposure.magnitude(scene.exposure.five_sigma_flux * snr / 5.0 / depth)
        chi, sharpness = 0.9 * rng.lognormal(-0.1, 0.25), rng.normal(-0.25, 0.15)
    else:
        x_arcsec, y_arcsec = _astrometry(nearest, rng)
        snr = _template_snr(nearest, scene)
        magnitude = nearest.magnitude(scene.exposure.band)
        extension = nearest.extension(scene.exposure.template_psf.sigma_pixels * scene.exposure.pixel_scale_arcsec)
        chi = (0.7 + 6.0 * extension * min(snr / 50.0, 1.0)) * rng.lognormal(-0.05, 0.4)
        sharpness = 0.5 * extension - 0.02 + rng.normal(0.0, 0.02 + 1.0 / snr)
    error = magnitude_error(snr)
    return {
        "distnr": math.hypot(x_arcsec, y_arcsec),
        "magnr": magnitude + rng.normal(0.0, error),
        "sigmagnr": error,
        "chinr": chi,
        "sharpnr": sharpness,
        "ranr": (ra - x_arcsec / 3600.0 / math.cos(math.radians(dec))) % 360.0,
        "decnr": dec + y_arcsec / 3600.0,
    }


def _template_snr(source: Source, scene: Scene) -> float:
    depth = math.sqrt(scene.exposure.template_exposures)
    return 5.0 * depth * scene.exposure.flux(source.magnitude(scene.exposure.band)) / scene.exposure.five_sigma_flux


def _astrometry(source: Source, rng: np.random.Generator) -> tuple[float, float]:
    """Offset of a source from the alert along x and y, arcsec, as well as two catalogues agree on it.

    Stars have moved between the epochs of both, and are blended with others more often.
    """
    disagreement = rng.lognormal(0.75, 0.6) if source.point_fraction == 1.0 else rng.lognormal(0.2, 0.4)
    dx, dy = rng.normal(0.0, _ASTROMETRIC_ERROR_ARCSEC * disagreement, 2)
    return source.x_arcsec + dx, source.y_arcsec + dy


def panstarrs_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """The three nearest PS1 sources and their star/galaxy score (Tachibana & Miller 2018, PASP 130, 128001)."""
    matches = [
        source
        for source in scene.references
        if source.r_mag < _PS1_DEPTH_MAG and source.distance_arcsec < _PS1_RADIUS_ARCSEC
    ]
    fields: dict[str, Any] = {"nmtchps": len(matches)}
    for rank in (1, 2, 3):
        match = matches[rank - 1] if len(matches) >= rank else None
        fields |= {f"{name}{rank}": value for name, value in _panstarrs_match(match, rng).items()}
    return fields


def _panstarrs_match(match: Source | None, rng: np.random.Generator) -> dict[str, Any]:
    names = ("sgmag", "srmag", "simag", "szmag", "sgscore", "distpsnr")
    if match is None:
        return {**dict.fromkeys(names, _MISSING), "objectidps": None}
    return {
        **_seen_bands({f"s{band}mag": match.magnitude(band) for band in "griz"}, rng),
        "sgscore": _star_galaxy_score(match, rng),
        "distpsnr": math.hypot(*_astrometry(match, rng)),
        "objectidps": int(rng.integers(10**16, 2 * 10**17)),
    }


def _star_galaxy_score(source: Source, rng: np.random.Generator) -> float:
    """0 a galaxy, 1 a star; the fainter the source, the less it says, and exactly one half where it says nothing."""
    certainty = min(max((22.5 - source.r_mag) / 3.0, 0.1), 1.0)
    if rng.random() < 0.05 + 0.3 * (1.0 - certainty):
        return 0.5
    mean = 0.5 + (0.02 + 0.96 * source.point_fraction**0.2 - 0.5) * (0.5 + 0.5 * certainty)
    concentration = 0.6 + (20.0 if source.point_fraction > 0.0 else 6.0) * certainty**2
    return float(rng.beta(mean * concentration, (1.0 - mean) * concentration))


def _seen_bands(magnitudes: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """The magnitudes that the catalogue has: a band is missing the more often, the fainter the source is in it."""
    return {
        name: magnitude if rng.random() > 0.5 * (1.0 + math.tanh(magnitude - 22.5)) else _MISSING
        for name, magnitude in magnitudes.items()
    }


def gaia_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """The nearest Gaia source, and the nearest bright one."""
    near_arcsec, near_mag = _nearest_gaia(scene, _GAIA_DEPTH_MAG, rng)
    bright_arcsec, bright_mag = _nearest_gaia(scene, _GAIA_BRIGHT_MAG, rng)
    return {
        "neargaia": near_arcsec,
        "maggaia": near_mag,
        "neargaiabright": bright_arcsec,
        "maggaiabright": bright_mag,
    }


def _nearest_gaia(scene: Scene, depth_mag: float, rng: np.random.Generator) -> tuple[float, float]:
    """Distance and magnitude of the nearest star above a depth; beyond the field that was drawn, by its density."""
    exposure = scene.exposure
    near = next((s for s in scene.references if s.point_fraction > 0.5 and s.r_mag < depth_mag), None)
    if near is not None:
        return math.hypot(*_astrometry(near, rng)), near.r_mag
    density = exposure.stars_per_arcsec2 * 10.0 ** (0.3 * (depth_mag - _PS1_DEPTH_MAG))
    squared = exposure.neighbour_radius_arcsec**2 - math.log(rng.uniform(1e-12, 1.0)) / (math.pi * density)
    if squared > _GAIA_RADIUS_ARCSEC**2:
        return _MISSING, _MISSING
    return math.sqrt(squared), depth_mag + math.log10(rng.uniform(1e-3, 1.0)) / 0.3


def solar_system_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    if scene.class_name != "asteroid":
        return {"ssdistnr": _MISSING, "ssmagnr": _MISSING, "ssnamenr": "null"}
    # Ephemerides are listed to whole arcseconds, and predict V from a poorly known absolute magnitude.
    predicted = scene.exposure.magnitude(abs(scene.photometry.flux)) + rng.normal(-0.3, 0.3)
    return {
        "ssdistnr": float(rng.integers(0, 2)),
        "ssmagnr": round(predicted, 1),
        "ssnamenr": str(int(rng.integers(1, 620_000))),
    }
