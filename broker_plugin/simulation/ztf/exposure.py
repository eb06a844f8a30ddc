"""The conditions under which ZTF observes."""

from __future__ import annotations

import math

import numpy as np

from broker_plugin.simulation import sky
from broker_plugin.simulation.cadence import Cadence, Visit
from broker_plugin.simulation.exposure import Exposure, SubtractionErrors
from broker_plugin.simulation.psf import draw_point_spread

DEC_RANGE_DEG = (-30.0, 89.0)
"""Declinations that the survey reaches."""

MJD_OF_FIRST_NIGHT = 57754.0
"""``nid``, the night number, counts days from 2017-01-01."""

_CONDITIONS = {
    # band: (zero point in mag, sky in DN per pixel, seeing in arcsec), round numbers of the size met in public alerts.
    "g": (26.3, 85.0, 2.5),
    "r": (26.3, 130.0, 2.3),
    "i": (25.8, 200.0, 2.2),
}
_GAIN = 3.6
"""Electrons per DN, such that the noise of real stamps follows from their sky.

The detectors have 6.2 (Dekany et al. 2020, PASP 132, 038001); what flat fields and the sky's structure add is in it."""

_READ_NOISE_ELECTRONS = 8.0
_TEMPLATE_NOISE_DN = 1.3

_ERROR_FACTOR = 1.6
"""The limits in real packets (``diffmaglim``) are 0.5 to 0.9 mag brighter than 5 sigma of the noise of their stamps."""

_TEMPLATE_SEEING_ARCSEC = 2.4
_GALAXIES_PER_ARCSEC2 = 0.0013
_COUNTS_SLOPE = {"AGN": 0.2, "SN": 0.25, "VS": 0.12, "asteroid": 0.25, "bogus": 0.17}


CADENCE = Cadence(
    night=(0.1, 0.54),  # Palomar observes from about 02h to 13h UTC
    # The public survey comes back every two or three nights, in g and r (Bellm et al. 2019, PASP 131, 068003).
    gap_shares=(0.35, 0.4, 0.25),
    lost_share=0.3,
    season_days=240.0,
    single_bands={"g": 0.15, "r": 0.2},
    pair_bands={("g", "r"): 0.65},
    pair_gap_days=(0.02, 0.14),
    dense_share=0.1,
    most_times=6,
)
"""How often the survey looks at a place: some eighteen rows of history in thirty days, as real packets have."""

_FIRST_BANDS = {"g": 0.45, "r": 0.45, "i": 0.1}


def draw_exposure(ra_deg: float, dec_deg: float, rng: np.random.Generator, visit: Visit | None = None) -> Exposure:
    """Draw the conditions of one exposure of this place; fluxes are in DN.

    Parameters
    ----------
    visit
        When it is taken (UTC), and its band; None for any.
    """
    mjd, band = _any_visit(rng) if visit is None else visit
    zero_point_mag, typical_sky, typical_seeing = _CONDITIONS[band]
    sky_dn = typical_sky * rng.lognormal(0.22, 0.4)  # from dark nights to the full moon
    gain = _GAIN * rng.lognormal(0.0, 0.35)
    sky_variance = sky_dn / gain + (_READ_NOISE_ELECTRONS / gain) ** 2
    return Exposure(
        mjd=mjd,
        band=band,
        zero_point_mag=zero_point_mag + rng.normal(0.0, 0.08),
        pixel_scale_arcsec=1.0,
        science_psf=draw_point_spread(typical_seeing * rng.lognormal(0.0, 0.17), 0.025, rng),
        template_psf=draw_point_spread(_TEMPLATE_SEEING_ARCSEC * rng.lognormal(0.0, 0.08), 0.02, rng),
        electrons_per_unit=gain,
        sky=sky_dn,
        pedestal=sky_dn,
        read_noise_electrons=_READ_NOISE_ELECTRONS,
        template_exposures=max(sky_variance / (_TEMPLATE_NOISE_DN * rng.lognormal(0.0, 0.18)) ** 2, 4.0),
        error_factor=_ERROR_FACTOR,
        counts_slope=_COUNTS_SLOPE,
        subtlety=1.0,
        # The correlations that the noise of real stamps has: next to none, 0.2 with the next pixel, and any.
        science_kernel=(rng.normal(-0.018, 0.015), rng.normal(0.0, 0.01)),
        template_kernel=(rng.normal(0.1, 0.012), rng.normal(-0.06, 0.015)),
        difference_kernel=(rng.normal(0.022, 0.023), rng.normal(-0.012, 0.02)),
        subtraction=SubtractionErrors(
            scale=0.01,
            shift_pixels=0.07,
            width=0.02,
            shape=0.015,
            background=0.05,
            interpolation=min(0.26 * rng.lognormal(0.0, 0.5), 0.7),
        ),
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


def _any_visit(rng: np.random.Generator) -> Visit:
    night = MJD_OF_FIRST_NIGHT + int(rng.integers(500, 3200))
    band = str(rng.choice(tuple(_FIRST_BANDS), p=tuple(_FIRST_BANDS.values())))
    return Visit(night + float(rng.uniform(*CADENCE.night)), band)
