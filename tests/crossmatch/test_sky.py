"""The bounds that the search rests on."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

pytest.importorskip("astropy_healpix", reason="needs astropy-healpix, of the extra crossmatch")

import astropy_healpix

from broker_plugin.crossmatch import cds
from broker_plugin.crossmatch.sky import (
    cell_width_arcsec,
    cells,
    centres,
    expand,
    order_for,
    separation_arcsec,
    with_neighbours,
)

from .samples import DELICATE, all_sky, patch


def rims(ra: np.ndarray, dec: np.ndarray, radius_arcsec: float, order: int) -> np.ndarray:
    """Cells of 24 points at that distance from each place; shape (24, n)."""
    angles = np.linspace(0, 360, 24, endpoint=False)[:, np.newaxis] * u.deg
    points = SkyCoord(ra, dec, unit="deg").directional_offset_by(angles, radius_arcsec * u.arcsec)
    return cells(points.ra.deg.ravel(), points.dec.deg.ravel(), order).reshape(24, -1)


@pytest.mark.parametrize("order", [10, 15])
def test_a_cell_and_its_neighbours_hold_every_disc_about_a_point_in_it(order: int) -> None:
    """For the largest radius that a cell of this order is used for."""
    radius_arcsec = cell_width_arcsec(order) / 2.0
    assert order_for(radius_arcsec) == order
    rng = np.random.default_rng(1)
    ra, dec = all_sky(rng, 1000)
    near = [patch(rng, *place, 10 * radius_arcsec, 100) for place in DELICATE]
    ra, dec = np.concatenate([ra, *(r for r, _ in near)]), np.concatenate([dec, *(d for _, d in near)])
    blocks = with_neighbours(cells(ra, dec, order), order)
    around = rims(ra, dec, radius_arcsec, order)
    assert (around[:, np.newaxis] == blocks).any(axis=1).all()


def test_no_point_of_a_cell_is_farther_from_its_middle_than_it_is_asked_for() -> None:
    order = 6
    numbers = np.arange(12 * 4**order)
    ra, dec = centres(numbers, order)
    lon, lat = astropy_healpix.boundaries_lonlat(numbers, 1, 2**order, order="nested")
    reach = separation_arcsec(ra[:, None], dec[:, None], lon.deg, lat.deg).max() / cell_width_arcsec(order)
    assert 0.9 < reach < cds._CELL_REACH


def test_the_radius_decides_the_order() -> None:
    assert [order_for(radius) for radius in (0.1, 3.0, 60.0)] == [20, 15, 10]


def test_expand() -> None:
    which, integers = expand(np.array([5, 0, 10]), np.array([2, 0, 3]))
    assert which.tolist() == [0, 0, 2, 2, 2]
    assert integers.tolist() == [5, 6, 10, 11, 12]
