"""The drawn images: photometry recovers what was put in, and each class looks as it should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from broker_plugin.simulation import CLASSES, rubin, ztf
from broker_plugin.simulation.artefacts import BOGUS_KINDS
from broker_plugin.simulation.measure import fit_psf
from broker_plugin.simulation.scene import draw_scene
from broker_plugin.simulation.targets import draw_target

SURVEYS = pytest.mark.parametrize("survey", [ztf, rubin])


def scenes(survey, class_name, count):
    """Detections of as many objects."""
    seed = 0
    while count:
        rng = np.random.default_rng((5, seed))
        exposure = survey.draw_exposure(180.0, 0.0, rng)
        scene = draw_scene(draw_target(class_name, exposure, False, rng), exposure, 0.0, rng)
        if scene.is_detected:
            yield scene
            count -= 1
        seed += 1


def test_fit_recovers_flux_without_the_nan_pixels():
    psf = ztf.draw_exposure(180.0, 0.0, np.random.default_rng(1)).science_psf.stamp(41)
    image = 500.0 * psf
    image[18:21, 18:21] = np.nan
    fit = fit_psf(image, np.ones_like(psf), psf)
    assert fit.flux == pytest.approx(500.0)
    assert fit.chi2 == pytest.approx(0.0, abs=1e-12)
    assert fit.pixels == 41 * 41 - 9


@SURVEYS
@pytest.mark.parametrize("class_name", CLASSES)
def test_source_stands_in_the_middle_of_stamps_of_one_shape(survey, class_name):
    for scene in scenes(survey, class_name, 20):
        assert scene.difference.dtype == np.float32
        assert scene.science.shape == scene.template.shape == scene.difference.shape
        middle = (scene.science.shape[0] - 1) / 2
        assert abs(scene.x_pixels - middle) <= 0.5 and abs(scene.y_pixels - middle) <= 0.5


@SURVEYS
def test_seeing_of_both_epochs_differs(survey):
    ratios = [
        s.exposure.science_psf.fwhm_pixels / s.exposure.template_psf.fwhm_pixels for s in scenes(survey, "VS", 30)
    ]
    assert np.std(ratios) > 0.1


@SURVEYS
def test_constant_light_is_gone_from_the_difference(survey):
    for scene in scenes(survey, "asteroid", 20):
        far = np.hypot(*np.indices(scene.science.shape) - scene.science.shape[0] / 2) > 3.0 * scene.exposure.fwhm_pixels
        science = (scene.science - np.median(scene.science))[far]
        bright = science > 20.0 * math.sqrt(scene.exposure.sky_variance)
        trailed = scene.trail_arcsec > scene.exposure.seeing_arcsec  # what is bright far from the middle may be it
        if bright.any() and not trailed:
            left_over = np.abs(scene.difference[far][bright]) / science[bright]
            assert np.nanmedian(left_over) < 0.15


@SURVEYS
def test_noise_is_what_the_variance_says(survey):
    pulls = [
        (scene.difference / np.sqrt(scene.science_variance + scene.template_variance))[:, :5].ravel()
        for scene in scenes(survey, "asteroid", 20)
    ]
    pulls = np.concatenate(pulls)
    assert 1.4826 * np.nanmedian(np.abs(pulls)) == pytest.approx(1.0, abs=0.05)


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
    hosts = [next(source for source in scene.references if source.galaxy is not None) for scene in scenes_]
    assert np.median([host.distance_arcsec for host in hosts]) > 0.2
    assert {host.point_fraction for host in hosts} == {0.0}


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
            pixels = np.clip(pixels - np.nanmedian(pixels), *np.nanpercentile(pixels - np.nanmedian(pixels), [1, 99]))
            good = np.isfinite(pixels[1:] + pixels[:-1])
            values.append(np.corrcoef(pixels[1:][good], pixels[:-1][good])[0, 1])
    assert np.median(correlation["science"]) < 0.1 < np.median(correlation["template"])


def test_bogus_comes_in_every_kind_and_ztf_masks_saturation():
    by_kind = {}
    for scene in scenes(ztf, "bogus", 120):
        by_kind.setdefault(scene.kind, []).append(scene)
    assert set(by_kind) == set(BOGUS_KINDS)
    for scene in (*by_kind["saturated_star"], *by_kind["edge"]):
        assert all(np.isnan(stamp).any() for stamp in (scene.science, scene.template, scene.difference))
    assert all(scene.dipole is not None for scene in by_kind["dipole"])


def test_rubin_stamps_grow_with_their_sources():
    sides = {scene.science.shape[0] for name in CLASSES for scene in scenes(rubin, name, 20)}
    assert min(sides) == 30 and 30 < max(sides) <= 93
