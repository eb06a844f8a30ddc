"""The conditions under which ZTF observes."""

from __future__ import annotations

import math

import numpy as np

from broker_plugin.simulation import sky
from broker_plugin.simulation.exposure import Exposure, SubtractionErrors
from broker_plugin.simulation.psf import draw_point_spread

DEC_RANGE_DEG = (-30.0, 89.0)
"""Declinations that the survey reaches."""

MJD_OF_FIRST_NIGHT = 57754.0
"""``nid``, the night number, counts days from 2017-01-01."""

_CONDITIONS = {
    # band: (zero point in mag, sky in DN per pixel, seeing in arcsec), round numbers of the size met in public alerts.
    "g": (26.3, 85.0, 2.3),
    "r": (26.3, 130.0, 2.1),
    "i": (25.8, 200.0, 2.0),
}
_GAIN = 4.4
"""Electrons per DN, such that the noise of real stamps follows from their sky.

The detectors have 6.2 (Dekany et al. 2020, PASP 132, 038001); what flat fields and the sky's structure add is in it."""

_TEMPLATE_SEEING_ARCSEC = 2.0
_RESAMPLING_KERNEL = (-0.04, 0.09, 1.0, 0.09, -0.04)
"""Correlates a template's noise by 0.17 with the next pixel and -0.07 with the one after, as in real templates."""

_SUBTRACTION = SubtractionErrors(scale=0.01, shift_pixels=0.05, width=0.02, interpolation=0.2)
_GALAXIES_PER_ARCSEC2 = 0.0013


def draw_exposure(ra_deg: float, dec_deg: float, rng: np.random.Generator, mjd: float | None = None) -> Exposure:
    """Draw the conditions of one exposure of this place; fluxes are in DN.

    Parameters
    ----------
    mjd
        The night that it is taken in (UTC, days); None for any.
    """
    band = str(rng.choice(("g", "r", "i"), p=(0.45, 0.45, 0.1)))
    zero_point_mag, typical_sky, typical_seeing = _CONDITIONS[band]
    sky_dn = typical_sky * rng.lognormal(0.15, 0.45)  # from dark nights to the full moon
    night = MJD_OF_FIRST_NIGHT + int(rng.integers(500, 3200)) if mjd is None else math.floor(mjd)
    return Exposure(
        mjd=night + float(rng.uniform(0.1, 0.54)),  # Palomar observes from about 02h to 13h UTC
        band=band,
        zero_point_mag=zero_point_mag + rng.normal(0.0, 0.08),
        pixel_scale_arcsec=1.0,
        science_psf=draw_point_spread(typical_seeing * rng.lognormal(0.0, 0.17), 0.025, rng),
        template_psf=draw_point_spread(_TEMPLATE_SEEING_ARCSEC * rng.lognormal(0.0, 0.08), 0.02, rng),
        electrons_per_unit=_GAIN,
        sky=sky_dn,
        pedestal=sky_dn,
        read_noise_electrons=8.0,
        template_exposures=int(rng.integers(12, 31)),
        resampling_kernel=_RESAMPLING_KERNEL,
        subtraction=_SUBTRACTION,
        saturation=25_000.0,
        saturated_value=math.nan,
        saturated_margin_pixels=int(rng.integers(3, 8)),
        masked_value=math.nan,
        duration_s=30.0,
        stamp_pixels=(63, 63),
        neighbour_radius_arcsec=40.0,
        stars_per_arcsec2=sky.stars_per_arcsec2(sky.to_galactic(ra_deg, dec_deg)[1]),
        galaxies_per_arcsec2=_GALAXIES_PER_ARCSEC2,
        rotation_rad=0.0,
    )
