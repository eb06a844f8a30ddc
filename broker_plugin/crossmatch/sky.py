"""Positions and cells on the sphere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from broker_plugin.crossmatch.counterpart import Position, number

FINEST_ORDER = 29
"""HEALPix order of the index by which a HATS catalogue is sorted: cells of 0.4 mas, numbered in 63 bits."""

Degrees = NDArray[np.float64]
Cells = NDArray[np.int64]
OneOrMore = TypeVar("OneOrMore", int, Cells)

# The side of a square as large as a cell, at order 0: a twelfth of the sphere.
_CELL_WIDTH_ARCSEC = math.degrees(math.sqrt(math.pi / 3.0)) * 3600.0


def extra(module: str) -> Any:
    """A module of the extra ``crossmatch``, imported when it is used.

    Raises
    ------
    ImportError
        It isn't installed.
    """
    try:
        return import_module(module)
    except ImportError as problem:
        raise ImportError(f"crossmatching needs {module.split('.')[0]}: pip install 'broker-plugin[crossmatch]'") from (
            problem
        )


def arrays(positions: Sequence[Position]) -> tuple[Degrees, Degrees, NDArray[np.float64], NDArray[np.bool_]]:
    """Right ascension and declination in degrees, MJD or NaN, and which positions are on the sky; all of shape (n,)."""
    table = np.array([[number(p.ra_deg), number(p.dec_deg), number(p.mjd)] for p in positions]).reshape(-1, 3)
    ra_deg, dec_deg, mjd = table.T
    return ra_deg, dec_deg, mjd, on_the_sky(ra_deg, dec_deg)


def on_the_sky(ra_deg: Degrees, dec_deg: Degrees) -> NDArray[np.bool_]:
    """Which positions have a right ascension from 0 to 360 and a declination from -90 to 90 degrees."""
    good: NDArray[np.bool_] = (ra_deg >= 0.0) & (ra_deg <= 360.0) & (np.abs(dec_deg) <= 90.0)
    return good


def separation_arcsec(ra1_deg: Degrees, dec1_deg: Degrees, ra2_deg: Degrees, dec2_deg: Degrees) -> NDArray[np.float64]:
    """Great-circle distance by the haversine formula, which keeps its precision at small distances and the poles."""
    ra1, dec1, ra2, dec2 = (np.radians(angle) for angle in (ra1_deg, dec1_deg, ra2_deg, dec2_deg))
    haversine = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    distance: NDArray[np.float64] = np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0)))) * 3600.0
    return distance


def carried(
    ra_deg: Degrees, dec_deg: Degrees, pmra_mas_yr: NDArray[np.float64], pmdec_mas_yr: NDArray[np.float64],
    years: NDArray[np.float64],
) -> tuple[Degrees, Degrees]:  # fmt: skip
    """Positions carried along their proper motions, in the plane that touches the sphere there.

    ``pmra_mas_yr`` is that of Gaia and Hipparcos: with the factor cos(dec).  At the distances of proper motions the
    plane and the sphere are the same, and a pole is no special place for vectors.
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    along_ra, along_dec = (np.radians(pm * years / 3.6e6) for pm in (pmra_mas_yr, pmdec_mas_yr))
    x = np.cos(dec) * np.cos(ra) - np.sin(ra) * along_ra - np.sin(dec) * np.cos(ra) * along_dec
    y = np.cos(dec) * np.sin(ra) + np.cos(ra) * along_ra - np.sin(dec) * np.sin(ra) * along_dec
    z = np.sin(dec) + np.cos(dec) * along_dec
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def order_for(radius_arcsec: float) -> int:
    """The finest HEALPix order at which a cell and its neighbours hold every disc of that radius about a point in it.

    Cells are no squares: the narrowest are 0.7 as wide as a square of their area.  Two radii leave room for that.
    """
    return min(FINEST_ORDER, int(math.log2(_CELL_WIDTH_ARCSEC / (2.0 * radius_arcsec))))


def cell_width_arcsec(order: int) -> float:
    """Side of a square as large as a cell of that order."""
    return _CELL_WIDTH_ARCSEC / 2.0**order


def cells(ra_deg: Degrees, dec_deg: Degrees, order: int) -> Cells:
    """Number of the cell, in the nested scheme, that holds each position; shape (n,)."""
    units = import_module("astropy.units")
    found = extra("astropy_healpix").lonlat_to_healpix(
        ra_deg * units.deg, dec_deg * units.deg, 2**order, order="nested"
    )
    return np.asarray(found, dtype=np.int64)


def first_within(numbers: OneOrMore, order: OneOrMore | int) -> OneOrMore:
    """The first cell at the finest order within each cell; of the number after it, one more than the last."""
    return numbers << (2 * (FINEST_ORDER - order))


def centres(numbers: Cells, order: int) -> tuple[Degrees, Degrees]:
    """Right ascension and declination, degrees, of the middle of cells; shape (n,)."""
    lon, lat = extra("astropy_healpix").healpix_to_lonlat(numbers, 2**order, order="nested")
    return lon.deg, lat.deg


def with_neighbours(numbers: Cells, order: int) -> Cells:
    """Cells and those around them, the cell itself first; shape (9, n), -1 where a corner has one neighbour less."""
    with np.errstate(invalid="ignore"):  # of the corners that have one neighbour less
        around = extra("astropy_healpix").neighbours(numbers, 2**order, order="nested")
    return np.concatenate([numbers[np.newaxis], np.asarray(around, dtype=np.int64)])


def expand(starts: Cells, counts: Cells) -> tuple[NDArray[np.intp], Cells]:
    """Write out ranges of integers.

    Returns
    -------
    tuple
        Which range each integer is of, and the integers: all of the first range, then of the second, ...
    """
    which = np.repeat(np.arange(len(starts)), counts)
    before = np.cumsum(counts) - counts
    return which, np.arange(len(which)) - before[which] + starts[which]
