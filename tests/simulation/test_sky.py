"""Coordinates agree with astropy's, and positions are where their class lives."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord

from broker_plugin.simulation import sky


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (120.5, -33.0), (266.4, -29.0), (351.0, 62.0)])
def test_coordinates_agree_with_astropy(ra, dec):
    position = SkyCoord(ra * u.deg, dec * u.deg)
    galactic = SkyCoord(*sky.to_galactic(ra, dec), unit="deg", frame="galactic")
    assert position.separation(galactic).arcsec < 0.1
    ecliptic = SkyCoord(*sky.to_ecliptic(ra, dec), unit="deg", frame=BarycentricMeanEcliptic(equinox="J2000"))
    assert position.separation(ecliptic).arcsec < 0.2


def test_stars_crowd_towards_the_plane_of_the_milky_way():
    densities = [sky.stars_per_arcsec2(latitude) for latitude in (-80.0, 60.0, -12.0, 0.0)]
    assert densities == sorted(densities) and densities[-1] > 10 * densities[1]
    assert sky.stars_per_arcsec2(-30.0) == sky.stars_per_arcsec2(30.0)


def test_galaxies_behind_the_milky_way_are_hidden():
    rng = np.random.default_rng(3)
    for class_name in ("AGN", "SN"):
        positions = [sky.draw_position(class_name, (-30.0, 89.0), rng) for _ in range(400)]
        near = np.mean([abs(sky.to_galactic(*position)[1]) < 5.0 for position in positions])
        assert near < 0.03  # a sky without dust has 9% there


def test_positions_are_within_reach_and_follow_their_class():
    rng = np.random.default_rng(2)
    asteroids = [sky.draw_position("asteroid", (-30.0, 89.0), rng) for _ in range(300)]
    stars = [sky.draw_position("VS", (-30.0, 89.0), rng) for _ in range(300)]
    assert all(-30.0 <= dec <= 89.0 for _, dec in asteroids + stars)
    assert np.std([sky.to_ecliptic(*position)[1] for position in asteroids]) == pytest.approx(8.0, abs=1.0)
    assert np.median(np.abs([sky.to_galactic(*position)[1] for position in stars])) < 18.0
