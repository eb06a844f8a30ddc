"""Where on the sky, and the two other coordinate systems that packets and classes are described in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_OBLIQUITY_RAD = math.radians(84381.406 / 3600.0)
"""Mean obliquity at J2000.0, IAU 2006."""

_ECLIPTIC = np.array(
    [
        [1.0, 0.0, 0.0],
        [0.0, math.cos(_OBLIQUITY_RAD), math.sin(_OBLIQUITY_RAD)],
        [0.0, -math.sin(_OBLIQUITY_RAD), math.cos(_OBLIQUITY_RAD)],
    ]
)

_GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [+0.4941094279, -0.4448296300, +0.7469822445],
        [-0.8676661490, -0.1980763734, +0.4559837762],
    ]
)
"""ICRS to Galactic: The Hipparcos Catalogue (ESA SP-1200), vol. 1, eq. 1.5.11, transposed."""

_EXTRAGALACTIC = frozenset({"AGN", "SN"})


def to_ecliptic(ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Ecliptic longitude and latitude (J2000) of an ICRS position, degrees."""
    return _angles(_ECLIPTIC @ _vector(ra_deg, dec_deg))


def to_galactic(ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Galactic longitude and latitude of an ICRS position, degrees."""
    return _angles(_GALACTIC @ _vector(ra_deg, dec_deg))


def draw_position(class_name: str, dec_range_deg: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """Draw where an alert of this class is: asteroids along the ecliptic, variable stars towards the Galactic plane.

    Parameters
    ----------
    class_name
        One of the simulated classes; AGN and SN keep away from the Galactic plane, bogus is anywhere.
    dec_range_deg
        Lowest and highest declination that the survey reaches.
    rng
        Where all randomness comes from.

    Returns
    -------
    tuple of float
        ICRS right ascension and declination, degrees.
    """
    while True:
        longitude = rng.uniform(0.0, 360.0)
        if class_name == "asteroid":
            vector = _vector(longitude, float(np.clip(rng.normal(0.0, 8.0), -60.0, 60.0))) @ _ECLIPTIC
        elif class_name == "VS":
            vector = _vector(longitude, float(np.clip(rng.laplace(0.0, 18.0), -89.0, 89.0))) @ _GALACTIC
        else:
            vector = _vector(longitude, math.degrees(math.asin(rng.uniform(-1.0, 1.0))))
            if class_name in _EXTRAGALACTIC and rng.random() < _hidden_by_dust(vector):
                continue
        ra, dec = _angles(vector)
        if dec_range_deg[0] <= dec <= dec_range_deg[1]:
            return ra, dec


def _hidden_by_dust(vector: NDArray[np.float64]) -> float:
    """Share of the extragalactic sources that the dust of the Milky Way hides: most within 10 degrees of its plane."""
    latitude_deg = math.degrees(math.asin(float((_GALACTIC @ vector)[2])))
    return math.exp(-((latitude_deg / 12.0) ** 2))


def stars_per_arcsec2(galactic_latitude_deg: float) -> float:
    """Density of stars down to about 22 mag.

    An exponential through what surrounds real ZTF alerts: the nearest Pan-STARRS star is typically 5 arcsec away at
    12 degrees from the Galactic plane, 20 arcsec at 60.
    """
    return 0.0006 * math.exp((60.0 - abs(galactic_latitude_deg)) / 17.0)


def _vector(longitude_deg: float, latitude_deg: float) -> NDArray[np.float64]:
    longitude, latitude = math.radians(longitude_deg), math.radians(latitude_deg)
    return np.array(
        [
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        ]
    )


def _angles(vector: NDArray[np.float64]) -> tuple[float, float]:
    x, y, z = vector.tolist()
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))
