"""Constant sources: stars, galaxies, active nuclei, as a catalogue or a template has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

_U_G, _Z_Y = 1.0, 0.1
"""Typical u-g and z-y, magnitudes: the catalogues that packets cite stop at g and z."""


class Colours(NamedTuple):
    """Colours in the AB system, magnitudes."""

    g_r: float
    r_i: float
    i_z: float

    def offset_from_r(self, band: str) -> float:
        """Magnitude in a band minus that in r."""
        return _OFFSETS_FROM_R[band](self)


_OFFSETS_FROM_R: dict[str, Callable[[Colours], float]] = {
    "u": lambda colours: colours.g_r + _U_G,
    "g": lambda colours: colours.g_r,
    "r": lambda colours: 0.0,
    "i": lambda colours: -colours.r_i,
    "z": lambda colours: -colours.r_i - colours.i_z,
    "y": lambda colours: -colours.r_i - colours.i_z - _Z_Y,
}


@dataclass(frozen=True, slots=True)
class Galaxy:
    """The shape of a galaxy.

    Attributes
    ----------
    half_light_radius_arcsec
        Of the ellipse that holds half of the light: the root of the product of its axes.
    index
        Sersic index: 1 is an exponential disc, 4 a de Vaucouleurs spheroid.
    axis_ratio
        Minor over major axis.
    angle_rad
        Direction of the major axis, from x towards y on the sky.
    """

    half_light_radius_arcsec: float
    index: float
    axis_ratio: float
    angle_rad: float


class Source(NamedTuple):
    """A constant source, the same in every exposure.

    Attributes
    ----------
    x_arcsec, y_arcsec
        Offset from the alert on the sky.
    r_mag
        Total AB magnitude in r.
    colours
        Its magnitudes in the other bands.
    point_fraction
        Share of its light that is point-like: 1 a star, 0 a galaxy, between them an active nucleus and its host.
    galaxy
        The shape of the rest; None for a star, and for a galaxy that is hardly resolved.
    """

    x_arcsec: float
    y_arcsec: float
    r_mag: float
    colours: Colours
    point_fraction: float
    galaxy: Galaxy | None = None

    @property
    def distance_arcsec(self) -> float:
        """Distance from the alert, arcsec."""
        return math.hypot(self.x_arcsec, self.y_arcsec)

    def magnitude(self, band: str) -> float:
        """Total AB magnitude in a band."""
        return self.r_mag + self.colours.offset_from_r(band)

    def extension(self, psf_sigma_arcsec: float) -> float:
        """How much wider than a point it looks, 0 to 1: r_e^2 / (r_e^2 + sigma_psf^2) times the extended share."""
        if self.galaxy is None:
            return 0.5 * (1.0 - self.point_fraction)
        radius_squared = self.galaxy.half_light_radius_arcsec**2
        return (1.0 - self.point_fraction) * radius_squared / (radius_squared + psf_sigma_arcsec**2)


def draw_galaxy(r_mag: float, rng: np.random.Generator) -> Galaxy:
    """Draw the shape of a galaxy of this magnitude."""
    return Galaxy(
        half_light_radius_arcsec=half_light_radius_arcsec(r_mag) * rng.lognormal(0.0, 0.25),
        # A few values only: GalSim keeps a table for each.
        index=float(rng.choice((1.0, 1.5, 2.5, 4.0))),
        axis_ratio=rng.uniform(0.35, 1.0),
        angle_rad=rng.uniform(0.0, math.pi),
    )


def half_light_radius_arcsec(magnitude: float) -> float:
    """Typical half-light radius of a galaxy, arcsec: 1.2 at 20.5 mag, 0.4 at 23.5 (rule of thumb)."""
    slope = 0.12 if magnitude < 20.5 else 0.16
    return float(1.2 * 10.0 ** (slope * (20.5 - magnitude)))


def draw_light_offset(galaxy: Galaxy, rng: np.random.Generator) -> tuple[float, float]:
    """Draw a place in a galaxy with the probability of its light; offset from its nucleus on the sky, arcsec."""
    radii, shares = _light_within(galaxy.index)
    radius = float(np.interp(rng.random(), shares, radii)) * galaxy.half_light_radius_arcsec
    azimuth = rng.uniform(0.0, 2.0 * math.pi)
    stretch = math.sqrt(galaxy.axis_ratio)
    major, minor = radius / stretch * math.cos(azimuth), radius * stretch * math.sin(azimuth)
    cosine, sine = math.cos(galaxy.angle_rad), math.sin(galaxy.angle_rad)
    return major * cosine - minor * sine, major * sine + minor * cosine


@cache
def _light_within(index: float) -> tuple[np.ndarray, np.ndarray]:
    """Share of a Sersic profile's light within each radius (half-light radii), out to eight of them."""
    # Asymptotic expansion of b_n by Ciotti & Bertin 1999, A&A 352, 447, eq. 18; 1e-3 or better from n = 1.
    b_n = 2.0 * index - 1.0 / 3.0 + 4.0 / (405.0 * index)
    edges = np.geomspace(1e-3, 8.0, 400)
    middles = 0.5 * (edges[1:] + edges[:-1])
    light = np.exp(-b_n * (middles ** (1.0 / index) - 1.0)) * middles * np.diff(edges)
    return edges, np.concatenate([[0.0], np.cumsum(light) / light.sum()])


_GALAXY_COLOURS = ((0.65, 0.37, 0.3), (0.35, 0.18, 0.15))
_NUCLEUS_COLOURS = ((0.45, 0.28, 0.22), (0.25, 0.15, 0.18))
"""Mean and standard deviation of g-r, r-i and i-z, through what surrounds real ZTF alerts."""


_COLOUR_SCATTER = 0.12
"""The bands of a survey were not taken at the same time: what varies has colours that scatter."""


def galaxy_colours(count: int, rng: np.random.Generator) -> list[Colours]:
    """Draw colours of galaxies."""
    return _listed(rng.normal(*_GALAXY_COLOURS, (count, 3)))


def nucleus_colours(rng: np.random.Generator) -> Colours:
    """Draw colours of an active nucleus: its power law is redder in i-z than a star of the same g-r."""
    return _listed(rng.normal(*_NUCLEUS_COLOURS, (1, 3)))[0]


def star_colours(count: int, rng: np.random.Generator) -> list[Colours]:
    """Draw colours of stars, on the stellar locus (its bends as in High et al. 2009, AJ 138, 110, figure 1)."""
    g_i = rng.gamma(2.5, 0.45, count) - 0.2
    is_blue = g_i < 1.9
    g_r = np.where(is_blue, 0.72 * g_i, 1.37 + 0.05 * (g_i - 1.9))
    r_i = np.where(is_blue, 0.28 * g_i, 0.53 + 0.95 * (g_i - 1.9))
    return _listed(np.stack([g_r, r_i, 0.5 * r_i], axis=1) + rng.normal(0.0, _COLOUR_SCATTER, (count, 3)))


def variable_star_colours(rng: np.random.Generator) -> Colours:
    """Draw colours of a variable star: among those that are met in alerts, many are cool giants and reddened."""
    g_i = rng.gamma(1.8, 1.0) - 0.2
    g_r, r_i = (0.72 * g_i, 0.28 * g_i) if g_i < 1.9 else (1.37 + 0.05 * (g_i - 1.9), 0.53 + 0.95 * (g_i - 1.9))
    return _listed(np.array([[g_r, r_i, 0.7 * r_i]]) + rng.normal(0.0, 1.5 * _COLOUR_SCATTER, (1, 3)))[0]


def _listed(colours: np.ndarray) -> list[Colours]:
    return [Colours(*row) for row in colours.tolist()]


def star(x_arcsec: float, y_arcsec: float, magnitude: float, band: str, rng: np.random.Generator) -> Source:
    """A star of this magnitude in a band."""
    (colours,) = star_colours(1, rng)
    return Source(x_arcsec, y_arcsec, magnitude - colours.offset_from_r(band), colours, 1.0)


def draw_field(
    radius_arcsec: float,
    faintest_mag: float,
    densities_per_arcsec2: Mapping[str, float],
    rng: np.random.Generator,
) -> list[Source]:
    """Stars and small galaxies around a place, wherever chance puts them.

    Parameters
    ----------
    radius_arcsec
        How far around.
    faintest_mag
        Magnitude in r of the faintest; up to it N(<m) grows as 10^(0.25 m) for stars, 10^(0.35 m) for galaxies.
    densities_per_arcsec2
        Of ``stars`` and ``galaxies``.
    """
    sources = []
    for kind, draw_colours, slope in (("stars", star_colours, 0.25), ("galaxies", galaxy_colours, 0.35)):
        count = int(rng.poisson(densities_per_arcsec2[kind] * math.pi * radius_arcsec**2))
        distance = radius_arcsec * np.sqrt(rng.random(count))
        angle = rng.uniform(0.0, 2.0 * math.pi, count)
        r_mag = np.maximum(faintest_mag + np.log10(rng.uniform(1e-12, 1.0, count)) / slope, faintest_mag - 10.0)
        columns = ((distance * np.cos(angle)).tolist(), (distance * np.sin(angle)).tolist(), r_mag.tolist())
        point_fraction = float(kind == "stars")
        sources += [
            Source(x, y, magnitude, colours, point_fraction)
            for x, y, magnitude, colours in zip(*columns, draw_colours(count, rng), strict=True)
        ]
    return sources
