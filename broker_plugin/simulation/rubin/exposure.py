"""The conditions under which Rubin observes."""

from __future__ import annotations

import math

import numpy as np

from broker_plugin.simulation import sky
from broker_plugin.simulation.cadence import Cadence, Visit
from broker_plugin.simulation.exposure import Exposure, SubtractionErrors
from broker_plugin.simulation.psf import draw_point_spread

DEC_RANGE_DEG = (-80.0, 15.0)
"""Declinations that the survey reaches."""

MJD_OF_FIRST_ALERT = 60900.0

_PIXEL_SCALE_ARCSEC = 0.2
_ZERO_POINT_MAG = 31.4
"""AB magnitude of 1 nJy."""

_CONDITIONS = {
    # band: (electrons per nJy in 30 s, sky in nJy per pixel, seeing in arcsec).  Round numbers that give the noise
    # of the UNCERT planes of LSSTCam alerts (about 20 nJy a pixel in g, 40 in i); seeing as Ivezic et al. 2019,
    # ApJ 873, 111, table 2.
    "u": (0.33, 300.0, 0.81),
    "g": (1.85, 500.0, 0.77),
    "r": (1.5, 800.0, 0.73),
    "i": (1.1, 1500.0, 0.71),
    "z": (0.8, 2500.0, 0.69),
    "y": (0.39, 4500.0, 0.68),
}
_FULL_WELL_ELECTRONS = 1e5
_GALAXIES_PER_ARCSEC2 = 0.004
_COUNTS_SLOPE = {"AGN": 0.13, "SN": 0.17, "VS": 0.16, "asteroid": 0.1, "bogus": 0.12}

_DEEP_SHARE = 0.15
_DEEP_FACTOR = 40.0
"""Now and then a visit is as deep as those of the precursor data, with so many times the electrons."""
_BAND_SHARES = (0.05, 0.25, 0.2, 0.25, 0.17, 0.08)

_TEMPLATE_SEEING = 0.9
"""Seeing of a template over the typical one of its band: the best exposures go into it."""


CADENCE = Cadence(
    night=(0.02, 0.4),  # night falls on Cerro Pachon at about 0h TAI and ends at about 10h
    # Two visits within the hour, mostly in neighbouring bands, every three nights or so (PSTN-056).
    gap_shares=(0.2, 0.2, 0.25, 0.2, 0.15),
    lost_share=0.3,
    season_days=200.0,
    single_bands={"y": 0.15},
    pair_bands={("u", "g"): 0.1, ("g", "r"): 0.2, ("r", "i"): 0.25, ("i", "z"): 0.2, ("z", "y"): 0.1},
    pair_gap_days=(0.01, 0.04),
    dense_share=0.05,  # the deep drilling fields
    most_times=6,
)
"""How often the survey looks at a place."""


def draw_exposure(ra_deg: float, dec_deg: float, rng: np.random.Generator, visit: Visit | None = None) -> Exposure:
    """Draw the conditions of one visit to this place; fluxes are in nJy.

    Parameters
    ----------
    visit
        When it is taken (TAI), and its band; None for any.
    """
    mjd, band = _any_visit(rng) if visit is None else visit
    electrons_per_njy, typical_sky, typical_seeing = _CONDITIONS[band]
    saturation = _FULL_WELL_ELECTRONS / electrons_per_njy
    if rng.random() < _DEEP_SHARE:
        electrons_per_njy *= _DEEP_FACTOR
    seeing_arcsec = typical_seeing * rng.lognormal(0.42, 0.28)  # commissioning was above what the site will give
    template_seeing_arcsec = typical_seeing * _TEMPLATE_SEEING * rng.lognormal(0.42, 0.2)
    return Exposure(
        mjd=mjd,
        band=band,
        zero_point_mag=_ZERO_POINT_MAG,
        pixel_scale_arcsec=_PIXEL_SCALE_ARCSEC,
        science_psf=draw_point_spread(seeing_arcsec / _PIXEL_SCALE_ARCSEC, 0.045, rng),
        template_psf=draw_point_spread(template_seeing_arcsec / _PIXEL_SCALE_ARCSEC, 0.02, rng),
        electrons_per_unit=electrons_per_njy,
        sky=typical_sky * rng.lognormal(0.0, 0.3),
        pedestal=0.0,
        read_noise_electrons=9.0,
        template_exposures=float(rng.integers(10, 60)),
        error_factor=1.2,
        counts_slope=_COUNTS_SLOPE,
        subtlety=0.35,
        # The correlations that the noise of real stamps has; the template's is 0.24 with the next pixel.
        science_kernel=(rng.normal(0.0, 0.01), rng.normal(0.0, 0.01)),
        template_kernel=(rng.normal(0.13, 0.012), rng.normal(-0.03, 0.015)),
        difference_kernel=(rng.normal(-0.01, 0.02), rng.normal(0.0, 0.015)),
        subtraction=SubtractionErrors(
            scale=0.006,
            shift_pixels=0.15,
            width=0.03,
            shape=0.03,
            background=0.05,
            interpolation=min(0.12 * rng.lognormal(0.0, 0.4), 0.6),
        ),
        saturation=saturation,
        saturated_value=saturation,
        saturated_margin_pixels=0,
        masked_value=0.0,
        duration_s=30.0,
        stamp_pixels=(30, 93),
        neighbour_radius_arcsec=10.0,
        stars_per_arcsec2=sky.stars_per_arcsec2(sky.to_galactic(ra_deg, dec_deg)[1]),
        galaxies_per_arcsec2=_GALAXIES_PER_ARCSEC2,
        rotation_rad=rng.uniform(-math.pi, math.pi),
    )


def _any_visit(rng: np.random.Generator) -> Visit:
    night = MJD_OF_FIRST_ALERT + int(rng.integers(80, 600))
    return Visit(night + rng.uniform(*CADENCE.night), str(rng.choice(tuple(_CONDITIONS), p=_BAND_SHARES)))
