"""Point-spread functions and galaxies hold the light and the width that they should."""

from __future__ import annotations

import math

import galsim
import numpy as np
import pytest

from broker_plugin.simulation.psf import PointSpread, draw_point_spread


@pytest.fixture(params=range(12))
def psf(request: pytest.FixtureRequest) -> PointSpread:
    return draw_point_spread(3.0, 0.03, np.random.default_rng(request.param))


def moments(image: np.ndarray) -> tuple[float, float, float, float]:
    """Mean and variance along x and y."""
    y, x = np.indices(image.shape)
    share = image / image.sum()
    mean_x, mean_y = (share * x).sum(), (share * y).sum()
    return mean_x, mean_y, (share * (x - mean_x) ** 2).sum(), (share * (y - mean_y) ** 2).sum()


def test_point_source_holds_its_flux(psf):
    image = np.zeros((201, 201))
    psf.add_point(image, 100.0, 100.0, 50.0)
    assert image.sum() == pytest.approx(50.0, rel=0.02)


def test_width_is_what_it_says(psf):
    fine = np.zeros((401, 401))
    psf.profile.drawImage(galsim.ImageD(fine, scale=0.05), method="sb")
    above_half = np.count_nonzero(fine > fine.max() / 2) * 0.05**2
    assert 2.0 * math.sqrt(above_half / math.pi) == pytest.approx(psf.fwhm_pixels, rel=0.12)


@pytest.mark.parametrize("place", [(30.3, 33.8), (31.5, 30.5), (30.51, 29.49), (1.2, 60.7), (-3.0, 70.0)])
def test_faint_point_is_the_same_but_for_its_wings(psf, place):
    exact, fast = np.zeros((63, 63)), np.zeros((63, 63))
    psf.add_point(exact, *place, 1.0)
    psf.add_faint_points(fast, *np.array([*place, 1.0])[:, None])
    assert np.abs(exact - fast).max() < 0.15 * psf.peak
    assert fast.sum() == pytest.approx(exact.sum(), abs=0.06)


def test_what_lies_far_outside_adds_nothing(psf):
    image = np.zeros((31, 31))
    psf.add_faint_points(image, np.array([-40.0, 15.0, 75.0]), np.array([15.0, 90.0, 15.0]), np.ones(3))
    assert not image.any()


def galaxy(index: float, radius: float, axis_ratio: float = 1.0, angle_rad: float = 0.0) -> np.ndarray:
    image = np.zeros((201, 201))
    psf = PointSpread(galsim.Moffat(beta=3.5, fwhm=2.0), galsim.Kolmogorov(fwhm=2.0), 2.0)
    shape = {"half_light_radius": radius, "index": index, "axis_ratio": axis_ratio, "angle_rad": angle_rad}
    psf.add_galaxy(image, 100.0, 100.0, 1.0, **shape)
    return image


@pytest.mark.parametrize("index", [1.0, 1.5, 2.5, 4.0])
def test_galaxy_holds_its_flux(index):
    assert 0.9 < galaxy(index, 6.0).sum() < 1.02


def test_half_of_a_round_disc_lies_within_its_half_light_radius():
    y, x = np.indices((201, 201)) - 100
    assert galaxy(1.0, 10.0)[np.hypot(x, y) <= 10.0].sum() == pytest.approx(0.5, abs=0.03)


def test_galaxy_lies_along_its_angle():
    _, _, along_x, along_y = moments(galaxy(1.0, 8.0, axis_ratio=0.5, angle_rad=math.pi / 2))
    assert along_y > 2.5 * along_x
