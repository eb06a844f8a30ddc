"""The drawn images: photometry recovers what was put in, and each class looks as it should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from broker_plugin.simulation import rubin, ztf
from broker_plugin.simulation.measure import fit_psf
from broker_plugin.simulation.profiles import psf_image, psf_stamp, sersic_image, trail_image
from broker_plugin.simulation.scene import BOGUS_KINDS, CLASSES, draw_scene

SURVEYS = pytest.mark.parametrize("survey", [ztf, rubin])


def scenes(survey, class_name, count):
    for seed in range(count):
        rng = np.random.default_rng((5, seed))
        yield draw_scene(class_name, survey.draw_exposure(180.0, 0.0, rng), rng)


@pytest.mark.parametrize("beta", [3.5, math.inf])
def test_point_source_holds_its_flux_and_its_width(beta):
    psf = psf_stamp(201, 4.0, beta)
    assert psf.sum() == pytest.approx(1.0, abs=2e-3)
    half = psf_image(np.array([[2.0]]), np.array([[0.0]]), 4.0, beta) / psf[100, 100]
    assert half[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(("index", "missing"), [(1.0, 0.02), (4.0, 0.12)])
def test_sersic_galaxy_holds_its_flux(index, missing):
    y, x = np.mgrid[-100:101, -100:101].astype(float)
    galaxy = sersic_image(
        x, y, half_light_radius=8.0, index=index, axis_ratio=0.6, angle_rad=0.4, fwhm=2.5, moffat_beta=3.5
    )
    assert 1.0 - missing < galaxy.sum() < 1.01


def test_half_of_a_round_disc_lies_within_its_half_light_radius():
    y, x = np.mgrid[-60:61, -60:61].astype(float)
    disc = sersic_image(
        x, y, half_light_radius=10.0, index=1.0, axis_ratio=1.0, angle_rad=0.0, fwhm=2.0, moffat_beta=math.inf
    )
    assert disc[np.hypot(x, y) <= 10.0].sum() == pytest.approx(0.5, abs=0.02)


def test_trail_lies_along_its_angle():
    y, x = np.mgrid[-40:41, -40:41].astype(float)
    trail = trail_image(x, y, length=20.0, angle_rad=math.pi / 2, fwhm=4.0, moffat_beta=math.inf)
    assert trail.sum() == pytest.approx(1.0, abs=1e-6)
    assert (trail * y**2).sum() - (trail * x**2).sum() == pytest.approx(20.0**2 / 12, rel=0.02)


def test_fit_recovers_flux_without_the_nan_pixels():
    psf = psf_stamp(41, 4.0, 3.5)
    image = 500.0 * psf
    image[18:21, 18:21] = np.nan
    fit = fit_psf(image, np.ones_like(psf), psf)
    assert fit.flux == pytest.approx(500.0)
    assert fit.chi2 == pytest.approx(0.0, abs=1e-12)
    assert fit.pixels == 41 * 41 - 9


@SURVEYS
@pytest.mark.parametrize("class_name", CLASSES)
def test_difference_is_science_minus_template_and_detected(survey, class_name):
    for scene in scenes(survey, class_name, 20):
        assert scene.difference.dtype == np.float32
        np.testing.assert_array_equal(scene.difference, scene.science - scene.template)
        assert abs(scene.photometry.snr) >= 5.0
        middle = (scene.science.shape[0] - 1) / 2
        assert abs(scene.x_pixels - middle) <= 0.5 and abs(scene.y_pixels - middle) <= 0.5


@SURVEYS
def test_noise_is_what_the_variance_says(survey):
    pulls = [
        (scene.difference / np.sqrt(scene.science_variance + scene.template_variance))[:, :5]
        for scene in scenes(survey, "asteroid", 20)
    ]
    assert np.concatenate([pull.ravel() for pull in pulls]).std() == pytest.approx(1.0, abs=0.05)


@SURVEYS
def test_asteroid_is_absent_from_the_template(survey):
    scenes_ = list(scenes(survey, "asteroid", 40))
    assert all(scene.photometry.flux > 0.0 for scene in scenes_)
    # A field source may reach in with its wings: most templates are empty at the place, and none is bright.
    assert np.median([abs(scene.template_photometry.snr) for scene in scenes_]) < 3.0
    assert any(scene.trail_arcsec > 1.0 for scene in scenes_)


@SURVEYS
def test_supernova_brightens_away_from_its_host(survey):
    scenes_ = list(scenes(survey, "SN", 40))
    assert all(scene.photometry.flux > 0.0 for scene in scenes_)
    hosts = [scene.references[0] for scene in scenes_]
    assert np.median([host.distance_arcsec for host in hosts]) > 0.2
    assert np.median([host.point_fraction for host in hosts]) == 0.0


@SURVEYS
@pytest.mark.parametrize("class_name", ["AGN", "VS"])
def test_variables_are_in_the_template_and_go_either_way(survey, class_name):
    scenes_ = list(scenes(survey, class_name, 40))
    assert {scene.photometry.flux > 0.0 for scene in scenes_} == {True, False}
    # What was below the template's limit before its outburst is rare.
    assert np.mean([scene.template_photometry.snr > 5.0 for scene in scenes_]) > 0.9
    assert all(scene.references[0].distance_arcsec == 0.0 for scene in scenes_)


@SURVEYS
def test_nuclei_have_hosts_and_stars_have_none(survey):
    assert all(0.0 < scene.references[0].point_fraction < 1.0 for scene in scenes(survey, "AGN", 20))
    assert all(scene.references[0].point_fraction == 1.0 for scene in scenes(survey, "VS", 20))


@SURVEYS
def test_noise_of_the_template_is_correlated_and_that_of_the_science_image_is_not(survey):
    correlation = {"science": [], "template": []}
    for scene in scenes(survey, "asteroid", 30):
        for name, values in correlation.items():
            pixels = getattr(scene, name).astype(float)[:, :8]
            pixels = np.clip(pixels - np.median(pixels), *np.percentile(pixels - np.median(pixels), [1, 99]))
            values.append(np.corrcoef(pixels[1:].ravel(), pixels[:-1].ravel())[0, 1])
    assert np.median(correlation["science"]) < 0.15 < np.median(correlation["template"])


def test_bogus_comes_in_every_kind_and_ztf_masks_saturation():
    by_kind = {}
    for scene in scenes(ztf, "bogus", 60):
        by_kind.setdefault(scene.kind, []).append(scene)
    assert set(by_kind) == set(BOGUS_KINDS)
    for scene in by_kind["saturated_star"]:
        assert np.isnan(scene.science).any() and np.isnan(scene.difference).any()
    assert all(scene.dipole is not None for scene in by_kind["dipole"])


def test_rubin_stamps_grow_with_their_sources():
    sides = {scene.science.shape[0] for name in CLASSES for scene in scenes(rubin, name, 20)}
    assert min(sides) == 30 and 30 < max(sides) <= 93
