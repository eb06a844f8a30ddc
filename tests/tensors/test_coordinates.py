"""Rotations of the sky against astropy's."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, Galactic, SkyCoord, angular_separation

from broker_plugin.tensors.coordinates import ecliptic, galactic

RNG = np.random.default_rng(1)
N = 100_000
# All over the sky, its poles, the poles of the frames, and where right ascension wraps.
RA = np.concatenate([RNG.uniform(0, 360, N), [0.0, 123.0, 0.0, 359.999999, 360.0, 192.85948, 12.85948, 270.0, 90.0]])
DEC = np.concatenate(
    [np.degrees(np.arcsin(RNG.uniform(-1, 1, N))), [90.0, -90.0, 0.0, 0.0, 0.0, 27.12825, -27.12825, 66.5607, -66.5607]]
)
SKY = SkyCoord(RA * u.deg, DEC * u.deg)


@pytest.mark.parametrize(
    ("ours", "frame", "longitude", "latitude"),
    [(galactic, Galactic(), "l", "b"), (ecliptic, BarycentricMeanEcliptic(equinox="J2000"), "lon", "lat")],
    ids=["galactic", "ecliptic"],
)
def test_within_a_tenth_of_an_arcsecond_of_astropy(ours, frame, longitude, latitude):
    theirs = SKY.transform_to(frame)
    lon, lat = ours(RA, DEC)
    apart = angular_separation(
        np.radians(lon), np.radians(lat), getattr(theirs, longitude).radian, getattr(theirs, latitude).radian
    )
    assert np.degrees(apart).max() * 3600 < 0.1


@pytest.mark.parametrize("ours", [galactic, ecliptic])
def test_longitude_is_from_0_to_360_and_latitude_within_90(ours):
    lon, lat = ours(RA, DEC)
    assert lon.min() >= 0.0 and lon.max() < 360.0 and np.abs(lat).max() <= 90.0


@pytest.mark.parametrize("ours", [galactic, ecliptic])
def test_missing_position_has_no_coordinates(ours):
    lon, lat = ours(np.array([np.nan, 10.0]), np.array([5.0, np.nan]))
    assert np.isnan(lon).all() and np.isnan(lat).all()


@pytest.mark.parametrize("ours", [galactic, ecliptic])
def test_no_positions_give_no_coordinates(ours):
    assert ours(np.array([]), np.array([]))[0].shape == (0,)


@pytest.mark.parametrize("ours", [galactic, ecliptic])
def test_position_does_not_depend_on_its_neighbours(ours):
    together = ours(RA[:50], DEC[:50])
    for i in range(50):
        alone = ours(RA[i : i + 1], DEC[i : i + 1])
        assert alone[0][0] == together[0][i] and alone[1][0] == together[1][i]
