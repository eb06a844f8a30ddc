"""What ZTF says of one detection: the ``candidate`` record without what catalogues and history add."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from broker_plugin.simulation.measure import aperture_sum, magnitude_error
from broker_plugin.simulation.psf import gaussian_sigma
from broker_plugin.simulation.scene import Scene
from broker_plugin.simulation.subtraction import Stamp
from broker_plugin.simulation.ztf.exposure import MJD_OF_FIRST_NIGHT

JD_MINUS_MJD = 2400000.5
QUADRANT = (3072, 3080)
"""Columns and rows of one detector quadrant."""
STAMP_PIXELS = 63

FILTERS = {"g": 1, "r": 2, "i": 3}
"""``fid`` of each band."""
_SUBTRACTION_ERROR = 0.02
"""Share of a source's flux that subtraction gets wrong: about what the ``scorr`` of real bright stars says."""

_ROUNDING = 0.4
_MOST_ELONGATED = 1.55
_LARGEST_MAGDIFF = 0.5
"""The survey sends nothing more elongated, and nothing whose aperture and PSF magnitudes differ by much more."""

_RIM_SHARE = 0.3
"""How many of the alerts whose stamp would reach beyond the quadrant are sent."""


def epoch_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    jd = round(scene.exposure.mjd + JD_MINUS_MJD, 7)
    night = int(scene.exposure.mjd - MJD_OF_FIRST_NIGHT)
    rcid = int(rng.integers(64))
    field = int(rng.integers(245, 880))
    fid = FILTERS[scene.exposure.band]
    xpos, ypos = _position(QUADRANT[0], rng), _position(QUADRANT[1], rng)
    return {
        "jd": jd,
        "fid": fid,
        "pid": processing_id(scene.exposure.mjd, rcid),
        "diffmaglim": scene.exposure.limit_mag,
        "pdiffimfilename": None,
        "programpi": "simulated",
        "programid": 1,
        "tblid": int(rng.integers(60)),
        "nid": night,
        "rcid": rcid,
        "field": field,
        "xpos": xpos,
        "ypos": ypos,
        "mindtoedge": min(xpos, ypos, QUADRANT[0] - xpos, QUADRANT[1] - ypos),
        "rfid": field * 1_000_000 + 120_000 + fid * 100 + rcid,
        "jdstartref": jd - rng.uniform(200.0, 400.0),
        "jdendref": jd - rng.uniform(60.0, 200.0),
        "nframesref": 15 + int(rng.exponential(3.0)),
        "exptime": scene.exposure.duration_s,
        "tooflag": 0,
    }


def processing_id(mjd: float, rcid: int) -> int:
    """``pid``: the night, the time of day, and the quadrant, as decimal digits side by side."""
    night = int(mjd - MJD_OF_FIRST_NIGHT)
    fraction = mjd - MJD_OF_FIRST_NIGHT - night
    return night * 1_000_000_000 + int(fraction * 1e5) * 10_000 + rcid * 100 + 15


def candidate_id(pid: int, positive: bool, tblid: int) -> int:
    """``candid``: the image, the sign of the subtraction, and the number in its table."""
    return pid * 1_000_000 + (15_000 if positive else 10_000) + tblid


def _position(length: int, rng: np.random.Generator) -> float:
    """Where on an axis of the quadrant it is, pixels from one; fewer than by chance are near the rim."""
    half = STAMP_PIXELS // 2
    while True:
        position = float(rng.uniform(4.0, length - 4.0))
        if half + 1 < position < length - half or rng.random() < _RIM_SHARE:
            return position


def detection_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    photometry = scene.photometry
    sign = 1.0 if photometry.flux > 0.0 else -1.0
    magpsf = scene.exposure.magnitude(abs(photometry.flux))
    snr = _photometric_snr(scene)
    magap, magapbig = (
        magpsf + _aperture_difference(scene, magpsf, radius) + rng.normal(0.0, 0.7 / snr) for radius in (4.0, 9.0)
    )
    return {
        "isdiffpos": "t" if sign > 0.0 else "f",
        "magpsf": magpsf,
        "sigmapsf": magnitude_error(snr),
        "chipsf": photometry.chi2 / max(photometry.pixels - 1, 1),
        "magap": magap,
        "sigmagap": magnitude_error(snr),
        "magapbig": magapbig,
        "sigmagapbig": magnitude_error(0.6 * snr),
        "magdiff": magap - magpsf,
        "scorr": _significance(scene),
        "sky": rng.normal(0.0, 0.3),
    }


def _significance(scene: Scene) -> float:
    """Signal to noise of the detection, with what registration and point-spread function leave of a bright source."""
    photometry = scene.photometry
    return abs(photometry.flux) / math.hypot(photometry.flux_error, _left_over(scene))


def _photometric_snr(scene: Scene) -> float:
    """Signal to noise of the magnitude: the survey's errors are larger than those of pixel noise."""
    flux, template_flux = scene.photometry.flux, scene.template_photometry.flux
    noise = 1.15 * scene.exposure.error_factor * scene.photometry.flux_error
    return abs(flux) / math.hypot(noise, 0.035 * flux, 0.012 * template_flux)


def _left_over(scene: Scene) -> float:
    return _SUBTRACTION_ERROR * math.hypot(scene.photometry.flux, scene.template_photometry.flux)


def _aperture_difference(scene: Scene, magpsf: float, radius_pixels: float) -> float:
    """Magnitude within a radius minus that of the fitted point source; kept within what the survey sends."""
    total, _ = aperture_sum(scene.difference, scene.x_pixels, scene.y_pixels, radius_pixels)
    flux = math.copysign(total, total * scene.photometry.flux)
    if flux <= 0.0:
        return _LARGEST_MAGDIFF
    difference = scene.exposure.magnitude(flux) - magpsf - 0.03
    return _LARGEST_MAGDIFF * math.tanh(difference / _LARGEST_MAGDIFF)


def shape_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    major_true, minor_true = scene.shape.axes_arcsec
    scale = scene.exposure.pixel_scale_arcsec
    # Moments of a faint source are known to about 1 / snr.
    scatter = 0.07 + 0.5 / abs(scene.photometry.snr)  # the optics add to it: no star is quite round
    if scene.class_name == "bogus":
        scatter += 0.06
    lengths = np.array([major_true, minor_true]) / scale * rng.lognormal(0.0, scatter, 2)
    minor, major = np.sort(lengths).tolist()
    # What is measured is the core above the threshold, rounder than an artefact as a whole.
    if scene.class_name == "bogus":
        major = minor * (major / minor) ** _ROUNDING
    major = min(major, _MOST_ELONGATED * minor)
    fwhm = math.sqrt(major * minor) / gaussian_sigma(1.0)
    psf_sigma = scene.exposure.psf_sigma_arcsec / scale
    # The neural network of SExtractor gives point sources of any brightness about 0.98.
    mismatch = abs(math.log(math.sqrt(major * minor) / psf_sigma)) + 0.5 * math.log(major / minor)
    return {
        "fwhm": fwhm,
        "aimage": major,
        "bimage": minor,
        "aimagerat": major / fwhm,
        "bimagerat": minor / fwhm,
        "elong": major / minor,
        "classtar": min(max(rng.normal(0.989, 0.007) - 0.05 * mismatch**2 - _classtar_loss(scene, rng), 0.0), 1.0),
        "seeratio": rng.lognormal(0.0, 0.1),
    }


def _classtar_loss(scene: Scene, rng: np.random.Generator) -> float:
    """How much less than a star a point source looks: mostly little, now and then a lot, the more the fainter."""
    return float(rng.gamma(0.25, 0.1 * (1.0 + 5.0 / abs(scene.photometry.snr))))


def stamp_fields(scene: Scene) -> dict[str, Any]:
    row, column = round(scene.y_pixels), round(scene.x_pixels)
    core = scene.difference[row - 2 : row + 3, column - 2 : column + 3] * np.sign(scene.photometry.flux)
    # The survey calls it the ratio in 5 x 5 pixels; that of real packets is the ratio in the circle within.
    circle = core[_CIRCLE & np.isfinite(core)]
    absolute = float(np.abs(circle).sum())
    return {
        "nneg": int(np.count_nonzero(core < 0.0)),
        "nbad": int(np.count_nonzero(~np.isfinite(core))),
        "sumrat": float(circle.sum()) / absolute if absolute else None,
    }


_CIRCLE = np.hypot(*np.indices((5, 5)) - 2) <= 2.0


def score_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """The survey's own scores of real against bogus; one alert in fifty gets the wrong one."""
    looks_real = (scene.class_name != "bogus") != (rng.random() < 0.02)
    return {
        "rb": rng.beta(10.0, 2.5) if looks_real else rng.beta(6.0, 6.0),
        "rbversion": "simulated",
        "drb": 1.0 - rng.beta(0.5, 30.0) if looks_real else rng.beta(0.4, 12.0),
        "drbversion": "simulated",
    }


def calibration_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    zero_point = scene.exposure.zero_point_mag
    science_spread, difference_spread = _spread(scene.science), _spread(scene.difference)
    return {
        "ssnrms": science_spread,
        "dsnrms": difference_spread,
        "dsdiff": difference_spread - science_spread,
        "magzpsci": zero_point,
        "magzpsciunc": rng.uniform(1e-5, 1e-4),
        "magzpscirms": rng.uniform(0.02, 0.06),
        "nmatches": int(rng.integers(300, 3000)),
        "clrcoeff": rng.normal(0.0, 0.05),
        "clrcounc": rng.uniform(1e-5, 1e-4),
        "zpclrcov": -rng.uniform(1e-5, 1e-4),
        "zpmed": zero_point + rng.normal(0.0, 0.03),
        "clrmed": rng.uniform(0.5, 0.8),
        "clrrms": rng.uniform(0.15, 0.3),
    }


def _spread(stamp: Stamp) -> float:
    """Standard deviation of the finite pixels."""
    return float(stamp[np.isfinite(stamp)].std())
