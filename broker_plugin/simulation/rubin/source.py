"""What Rubin says of one detection: the ``diaSource`` record."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np

from broker_plugin.simulation.measure import aperture_sum, position_error_arcsec
from broker_plugin.simulation.rubin.exposure import MJD_OF_FIRST_ALERT
from broker_plugin.simulation.rubin.schema import blank
from broker_plugin.simulation.scene import Scene

_DETECTOR = (4096.0, 4004.0)
_APERTURE_PIXELS = 12.0
_MJD_EPOCH = date(1858, 11, 17)


def dia_source(scene: Scene, ra_deg: float, dec_deg: float, rng: np.random.Generator) -> dict[str, Any]:
    """The record of a detection at this measured position.

    What the image determines is measured on it or follows from its truth; the rest is drawn at random.
    """
    return {
        **blank("diaSource"),
        **_visit_fields(scene, ra_deg, dec_deg, rng),
        **_flux_fields(scene),
        **_shape_fields(scene, rng),
        **_trail_fields(scene, ra_deg, dec_deg, rng),
        **_dipole_fields(scene),
        **_pixel_flags(scene),
        "reliability": rng.beta(1.5, 5.0) if scene.class_name == "bogus" else rng.beta(8.0, 1.0),
        "reliabilityVersion": "simulated",
    }


def _visit_fields(scene: Scene, ra: float, dec: float, rng: np.random.Generator) -> dict[str, Any]:
    mjd = scene.exposure.mjd
    x, y = rng.uniform(60.0, _DETECTOR[0] - 60.0), rng.uniform(60.0, _DETECTOR[1] - 60.0)
    error_arcsec = position_error_arcsec(scene.exposure.psf_sigma_arcsec, scene.photometry.snr)
    error_deg, error_pixels = error_arcsec / 3600.0, error_arcsec / scene.exposure.pixel_scale_arcsec
    return {
        "diaSourceId": source_id(mjd, rng),
        "visit": visit(mjd),
        "detector": int(rng.integers(189)),
        "midpointMjdTai": mjd,
        "timeProcessedMjdTai": mjd + 60.0 / 86400.0,
        "exposureTime": scene.exposure.duration_s,
        "band": scene.exposure.band,
        "ra": ra,
        "raErr": error_deg,
        "dec": dec,
        "decErr": error_deg,
        "ra_dec_Cov": 0.0,
        "x": x,
        "xErr": error_pixels,
        "y": y,
        "yErr": error_pixels,
        "bboxSize": scene.footprint_pixels,
    }


def source_id(mjd: float, rng: np.random.Generator) -> int:
    """Eighteen digits that grow with time, as the survey's do."""
    return 169_191_000_000_000_000 + int((mjd - MJD_OF_FIRST_ALERT) * 1e7) * 440_000 + int(rng.integers(440_000))


def visit(mjd: float) -> int:
    """Day of the observation and number of the exposure in that night, as decimal digits side by side."""
    night = _MJD_EPOCH + timedelta(days=math.floor(mjd - 0.5))
    sequence = math.floor((mjd - 0.5) % 1.0 * 86400.0 / 40.0)
    return int(f"{night:%Y%m%d}{sequence:05d}")


def _flux_fields(scene: Scene) -> dict[str, Any]:
    photometry = scene.photometry
    aperture, pixels = aperture_sum(scene.difference, scene.x_pixels, scene.y_pixels, _APERTURE_PIXELS)
    return {
        "psfFlux": photometry.flux,
        "psfFluxErr": photometry.flux_error,
        "psfChi2": photometry.chi2,
        "psfNdata": photometry.pixels,
        "snr": abs(photometry.snr),
        "isNegative": photometry.flux < 0.0,
        "apFlux": aperture,
        "apFluxErr": math.sqrt(pixels * scene.exposure.sky_variance),
        "scienceFlux": scene.science_photometry.flux,
        "scienceFluxErr": scene.science_photometry.flux_error,
        "templateFlux": scene.template_photometry.flux,
        "templateFluxErr": scene.template_photometry.flux_error,
    }


def _shape_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    psf_variance = scene.exposure.psf_sigma_arcsec**2
    # Moments of a faint source are known to about 1 / snr, and what a bright one in the template left disturbs them.
    over_template = abs(scene.template_photometry.flux / scene.photometry.flux)
    scatter = min(math.hypot(1.0 / scene.photometry.snr, 0.04 * over_template), 0.7)
    ixx, iyy = np.array([scene.shape.ixx, scene.shape.iyy]) * rng.lognormal(0.0, scatter, 2)
    # Nearly zero for what stands alone, about a quarter on a bright star, one for what is broader than a point.
    widening = (ixx + iyy) / (2.0 * psf_variance)
    logit = -5.2 + 8.0 * math.log(widening) + 4.5 * math.tanh(0.2 * over_template) + rng.normal(0.0, 1.2)
    return {
        "ixx": float(ixx),
        "iyy": float(iyy),
        "ixy": scene.shape.ixy + rng.normal(0.0, 0.3 * scatter) * psf_variance,
        "ixxPSF": psf_variance,
        "iyyPSF": psf_variance,
        "ixyPSF": 0.0,
        "extendedness": 1.0 / (1.0 + math.exp(-logit)),
    }


def _trail_fields(scene: Scene, ra: float, dec: float, rng: np.random.Generator) -> dict[str, Any]:
    # The fit gives everything a trail; that of a point source is about as long as the seeing is wide.
    pointlike_arcsec = 1.1 * scene.exposure.seeing_arcsec * rng.lognormal(0.0, 0.25)
    return {
        "trailFlux": scene.photometry.flux * rng.lognormal(0.05, 0.03),
        "trailFluxErr": scene.photometry.flux_error,
        "trailRa": ra,
        "trailDec": dec,
        "trailLength": math.hypot(scene.trail_arcsec, pointlike_arcsec),
        "trailAngle": math.degrees(bearing_rad(scene.trail_angle_rad, scene.exposure.rotation_rad)),
        "trailAlgorithm": 1,
    }


def _dipole_fields(scene: Scene) -> dict[str, Any]:
    dipole = scene.dipole
    if dipole is None:
        return {}
    return {
        "isDipole": True,
        "dipoleFitAttempted": True,
        "dipoleMeanFlux": dipole.mean_flux,
        "dipoleMeanFluxErr": scene.photometry.flux_error,
        "dipoleFluxDiff": 0.0,
        "dipoleFluxDiffErr": 2.0 * scene.photometry.flux_error,
        "dipoleLength": dipole.length_arcsec,
        "dipoleAngle": math.degrees(bearing_rad(dipole.angle_rad, scene.exposure.rotation_rad)),
        "dipoleChi2": scene.photometry.chi2,
        "dipoleNdata": scene.photometry.pixels,
    }


def _pixel_flags(scene: Scene) -> dict[str, Any]:
    saturated = scene.kind == "saturated_star"
    cosmic_ray = scene.kind == "cosmic_ray"
    bad = scene.kind == "bad_pixel"
    return {
        "pixelFlags": saturated or cosmic_ray or bad,
        "pixelFlags_saturated": saturated,
        "pixelFlags_cr": cosmic_ray,
        "pixelFlags_bad": bad,
    }


def bearing_rad(angle_rad: float, rotation_rad: float) -> float:
    """Angle on the sky, from north through east, of a direction in the stamp (from x towards y)."""
    # The stamp's y axis points along `rotation_rad`, its x axis (seen from inside the sphere) a quarter turn before it.
    return math.remainder(rotation_rad - math.pi / 2.0 + angle_rad, 2.0 * math.pi)
