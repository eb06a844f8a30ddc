"""What AllWISE has of the sources around an object: W1 to W4 of stars, galaxies and active nuclei.

Every optical source of the scene gets infrared magnitudes by its kind.  Those above AllWISE's depth make its entries,
as far as its beam tells them apart; the nearest within 3 arcsec is the counterpart that a crossmatch finds.  So the
counterpart of a supernova is the nucleus of its host, or none, and a chance neighbour is one that the stamps show too.
Magnitudes from W1 to W4 are Vega, those in r AB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from broker_plugin.crossmatch.counterpart import RADIUS_ARCSEC, Counterpart, Match, none_within
from broker_plugin.crossmatch.sky import separation_arcsec
from broker_plugin.simulation.packets import AllwiseSource
from broker_plugin.simulation.sources import Source
from broker_plugin.simulation.targets import Target

Magnitudes = NDArray[np.float64]
"""W1 to W4, Vega; shape (4,)."""

_SEARCHED_ARCSEC = 20.0
"""How far from the object sources get an entry."""

_DEPTH_MAG = np.array([17.1, 15.7, 11.5, 7.7])
"""Where AllWISE's signal to noise is 5 (AllWISE Explanatory Supplement, section I.2, rounded)."""

_FLOOR_MAG = np.array([0.022, 0.020, 0.016, 0.025])
"""The smallest errors that AllWISE quotes."""

_DETECTION_SNR = 5.0
_UPPER_LIMIT_SNR = 2.0
"""A band fainter than this has an upper limit and no error (AllWISE Explanatory Supplement, section II.1.a)."""

_MAG_TO_SNR = 2.5 / math.log(10.0)

_BEAM_ARCSEC = 6.1
"""Full width at half maximum in W1 (Wright et al. 2010, AJ 140, 1868); sources closer to each other are one entry."""

_ASTROMETRIC_ERROR_ARCSEC = 0.05


class _Kind(NamedTuple):
    """Mean and standard deviation of r - W1, W1 - W2, W2 - W3 and W3 - W4."""

    mean: tuple[float, float, float, float]
    scatter: tuple[float, float, float, float]


# Colours of quasars, galaxies and stars: Wright et al. 2010, figure 12; W1 - W2 of luminous nuclei: Stern et al. 2012,
# ApJ 753, 30; r - W1 by comparison with public counterparts of alerts, and rounded.
_QUASAR = _Kind((3.6, 1.02, 3.0, 2.45), (0.6, 0.2, 0.35, 0.3))
_SPIRAL = _Kind((2.7, 0.18, 3.5, 2.1), (0.5, 0.09, 0.5, 0.4))
_ELLIPTICAL = _Kind((3.0, 0.04, 1.4, 1.8), (0.4, 0.06, 0.5, 0.5))
_STAR = _Kind((0.0, 0.0, 0.05, 0.1), (0.25, 0.03, 0.08, 0.2))
_CATACLYSMIC = _Kind((1.6, 0.1, 0.3, 0.4), (0.6, 0.1, 0.2, 0.3))
_DUSTY_GIANT = _Kind((0.6, 0.3, 0.8, 0.6), (0.6, 0.15, 0.4, 0.3))

_BLAZAR_SHARE = 0.4
"""How many of the nuclei that outshine their host are blazars: few on the sky, many among alerts with labels."""

_OUTSHINES = 0.7
_SPIRAL_SHARE = 0.6
_CATACLYSMIC_KINDS = ("dwarf nova",)
_DUSTY_KINDS = ("long-period",)
_DUSTY_SHARE = 0.5
_DWARF_KINDS = ("", "flaring")


def draw_allwise(target: Target, ra_deg: float, dec_deg: float, rng: np.random.Generator) -> tuple[AllwiseSource, ...]:
    """Draw what AllWISE has around an object.

    Parameters
    ----------
    target
        The object, and the sources around it.
    ra_deg, dec_deg
        Where it is, ICRS.
    rng
        Where all randomness comes from.

    Returns
    -------
    tuple of AllwiseSource
        Brightest first in W1.
    """
    near = [source for source in target.sources if source.distance_arcsec < _SEARCHED_ARCSEC]
    magnitudes = [_magnitudes(source, target, rng) for source in near]
    entries: list[tuple[Source, AllwiseSource]] = []
    for place in sorted(range(len(near)), key=lambda place: float(magnitudes[place][0])):
        source = near[place]
        blended = any(_distance_arcsec(source, brighter) < _BEAM_ARCSEC for brighter, _ in entries)
        entry = None if blended else _observed(source, magnitudes[place], ra_deg, dec_deg, rng)
        if entry is not None:
            entries.append((source, entry))
    return tuple(entry for _, entry in entries)


def nearest(entries: Sequence[AllwiseSource], ra_deg: float, dec_deg: float) -> Match:
    """What a crossmatch of a position with these entries finds."""
    if entries:
        ra, dec = np.array([(entry.ra_deg, entry.dec_deg) for entry in entries]).T
        separations = separation_arcsec(np.full(len(entries), ra_deg), np.full(len(entries), dec_deg), ra, dec)
        place = int(separations.argmin())
        if separations[place] <= RADIUS_ARCSEC:
            entry = entries[place]
            return Match(Counterpart.of(entry.name, float(separations[place]), entry.photometry, "simulated"))
    return none_within(RADIUS_ARCSEC, "AllWISE")


def _magnitudes(source: Source, target: Target, rng: np.random.Generator) -> Magnitudes:
    """True magnitudes of a source, by its kind."""
    if source.point_fraction == 1.0:
        return _star(source, target.kind if source.distance_arcsec == 0.0 else "", rng)
    host = _drawn(_SPIRAL if rng.random() < _SPIRAL_SHARE else _ELLIPTICAL, source.r_mag, rng)
    if source.point_fraction == 0.0:
        return host
    nucleus = _nucleus(source, rng)
    share = source.point_fraction
    return np.asarray(-2.5 * np.log10(share * 10.0 ** (-0.4 * nucleus) + (1.0 - share) * 10.0 ** (-0.4 * host)))


def _nucleus(source: Source, rng: np.random.Generator) -> Magnitudes:
    """As if it gave all the light in r; the host dilutes its colour afterwards."""
    if source.point_fraction < _OUTSHINES or rng.random() > _BLAZAR_SHARE:
        return _drawn(_QUASAR, source.r_mag, rng)
    # Blazars lie along a strip from BL Lacertae objects to flat-spectrum quasars (Massaro et al. 2011, ApJ 740, L48).
    place = rng.random()
    along = _Kind((4.2, 0.6 + 0.5 * place, 1.8 + 1.3 * place, 1.9 + 0.5 * place), (0.6, 0.1, 0.15, 0.2))
    return _drawn(along, source.r_mag, rng)


def _star(source: Source, kind: str, rng: np.random.Generator) -> Magnitudes:
    """Of a variable star's kind, or of none."""
    if kind in _CATACLYSMIC_KINDS:
        return _drawn(_CATACLYSMIC, source.r_mag, rng)
    # A line near the stellar locus of Covey et al. 2007, AJ 134, 2398, table 3, where K and W1 are alike.
    r_w1 = 1.1 + 2.8 * max(source.colours.r_i, 0.0)
    # Molecules make the coolest dwarfs redder (Kirkpatrick et al. 2011, ApJS 197, 19, figure 1); other variables as red
    # as that are giants, or reddened.
    w1_w2 = 0.0 if kind not in _DWARF_KINDS else 0.12 * min(max(source.colours.r_i - 0.6, 0.0), 2.0)
    locus = np.array([r_w1, r_w1 + w1_w2, r_w1 + w1_w2, r_w1 + w1_w2])
    is_dusty = kind in _DUSTY_KINDS and rng.random() < _DUSTY_SHARE
    return np.asarray(_drawn(_DUSTY_GIANT if is_dusty else _STAR, source.r_mag, rng) - locus)


def _drawn(kind: _Kind, r_mag: float, rng: np.random.Generator) -> Magnitudes:
    return np.asarray(r_mag - np.cumsum(rng.normal(kind.mean, kind.scatter)))


def _observed(
    source: Source, magnitudes: Magnitudes, ra_deg: float, dec_deg: float, rng: np.random.Generator
) -> AllwiseSource | None:
    """The catalogue's entry of a source; None where it is too faint in W1 and in W2."""
    snr = _DETECTION_SNR * 10.0 ** (0.4 * (_DEPTH_MAG - magnitudes))
    if snr[:2].max() < _DETECTION_SNR:
        return None
    errors = np.hypot(_FLOOR_MAG, _MAG_TO_SNR / snr)
    measured = (magnitudes + errors * rng.normal(0.0, 1.0, 4)).round(3).tolist()
    seen = (snr > _UPPER_LIMIT_SNR).tolist()
    error_arcsec = math.hypot(_ASTROMETRIC_ERROR_ARCSEC, 0.5 * _BEAM_ARCSEC / 2.355 / float(snr.max()))
    dx, dy = rng.normal(0.0, error_arcsec, 2).tolist()
    ra = (ra_deg - (source.x_arcsec + dx) / 3600.0 / math.cos(math.radians(dec_deg))) % 360.0
    dec = dec_deg + (source.y_arcsec + dy) / 3600.0
    values = (*measured, *errors.round(3).tolist())
    photometry = tuple(value if known else None for value, known in zip(values, seen * 2, strict=True))
    return AllwiseSource(_designation(ra, dec), round(ra, 7), round(dec, 7), photometry)


def _designation(ra_deg: float, dec_deg: float) -> str:
    """``JHHMMSS.ss+DDMMSS.s``, cut off and not rounded, as catalogues are named after positions."""
    hundredths, tenths = int(ra_deg / 15.0 * 360_000.0), int(abs(dec_deg) * 36_000.0)
    hours, minutes, seconds = hundredths // 360_000, hundredths // 6_000 % 60, hundredths % 6_000 / 100.0
    degrees, arcmin, arcsec = tenths // 36_000, tenths // 600 % 60, tenths % 600 / 10.0
    sign = "-" if dec_deg < 0.0 else "+"
    return f"J{hours:02d}{minutes:02d}{seconds:05.2f}{sign}{degrees:02d}{arcmin:02d}{arcsec:04.1f}"


def _distance_arcsec(one: Source, other: Source) -> float:
    return math.hypot(one.x_arcsec - other.x_arcsec, one.y_arcsec - other.y_arcsec)
