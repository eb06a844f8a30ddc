"""Stamps: cropped, scaled, without NaN, in the order that the bundle declares."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from broker_plugin.alert import STAMP_NAMES, Alert, AlertError, Identity, Reason
from broker_plugin.bundles import StampSpec
from broker_plugin.bundles.manifest import STAMP_STEPS
from broker_plugin.tensors.stamps import crop, fill_stamps, nan_to_zero, scale_disc_noise, scale_min_max, scale_noise

from . import samples

RAMP = np.arange(63 * 63, dtype=np.float32).reshape(63, 63)


def filled(pixels: np.ndarray, spec: StampSpec, **cards) -> np.ndarray:
    raw = samples.fits_file(pixels, **cards)
    out = np.full((spec.size, spec.size, len(spec.channels)), 7.0, np.float32)
    fill_stamps(Alert(Identity(survey="rubin"), {}, dict.fromkeys(STAMP_NAMES, raw)), spec, out)
    return out


def spec(size: int = 21, steps: tuple[str, ...] = STAMP_STEPS, channels=("science",)) -> StampSpec:
    return StampSpec(channels=channels, size=size, steps=steps)


def test_odd_crop_has_the_centre_in_its_middle():
    part = crop(RAMP, (31, 31), 21)
    assert part.shape == (21, 21) and part[10, 10] == RAMP[31, 31]


def test_even_crop_has_the_centre_at_the_upper_right_of_the_middle():
    part = crop(RAMP, (31, 31), 20)
    assert part.shape == (20, 20) and part[10, 10] == RAMP[31, 31]


@pytest.mark.parametrize("centre", [(0, 0), (0, 62), (62, 0), (62, 62), (5, 31), (31, 60)])
@pytest.mark.parametrize("size", [20, 21, 63, 64, 101])
def test_crop_beyond_the_stamp_is_nan_outside_and_true_inside(centre, size):
    wide = np.pad(RAMP, 200, constant_values=np.nan)
    row, column = centre[0] + 200 - size // 2, centre[1] + 200 - size // 2
    np.testing.assert_array_equal(crop(RAMP, centre, size), wide[row : row + size, column : column + size])


def test_source_off_the_middle_is_cropped_around_itself():
    pixels = np.zeros((30, 30), np.float32)
    pixels[9, 20] = 1.0
    out = filled(pixels, spec(11), CRPIX1=21.0, CRPIX2=10.0)
    assert out[5, 5, 0] == 1.0 and out.sum() == 1.0


def test_scale_runs_from_zero_to_one_and_leaves_nan():
    scaled = scale_min_max(np.array([[-3.0, np.nan], [1.0, 5.0]], np.float32))
    np.testing.assert_array_equal(scaled, np.array([[0.0, np.nan], [0.5, 1.0]], np.float32))


def test_channels_stand_in_the_order_of_the_bundle():
    cutouts = {name: samples.fits_file(np.roll(RAMP, i, 1)) for i, name in enumerate(STAMP_NAMES)}
    alert = Alert(Identity(survey="ztf"), {}, cutouts)
    out = np.zeros((21, 21, 2), np.float32)
    fill_stamps(alert, spec(channels=("difference", "science")), out)
    for channel, name in enumerate(("difference", "science")):
        alone = np.zeros((21, 21, 1), np.float32)
        fill_stamps(alert, spec(channels=(name,)), alone)
        np.testing.assert_array_equal(out[..., channel], alone[..., 0])


def test_order_of_nan_and_scale_matters():
    """A sky of about 100: NaN taken for zero first presses all that is real against one."""
    pixels = np.full((63, 63), 100.0, np.float32)
    pixels[31, 31], pixels[30, 30] = 150.0, np.nan
    published = filled(pixels, spec())
    swapped = filled(pixels, spec(steps=("crop", "nan_to_zero", "scale_min_max")))
    assert published[9, 9, 0] == swapped[9, 9, 0] == 0.0  # the NaN
    assert published[0, 0, 0] == 0.0 and swapped[0, 0, 0] == pytest.approx(2 / 3)


def test_order_of_crop_and_scale_matters():
    pixels = RAMP.copy()
    pixels[0, 0] = 1e6
    assert filled(pixels, spec()).max() == 1.0
    assert filled(pixels, spec(steps=("scale_min_max", "crop", "nan_to_zero"))).max() < 0.01


@pytest.mark.parametrize("steps", list(itertools.permutations(STAMP_STEPS)))
@pytest.mark.parametrize("size", [9, 64])
def test_every_order_gives_finite_numbers_beyond_the_stamp_too(steps, size):
    pixels = RAMP.copy()
    pixels[10:20] = np.nan
    pixels[40, 40] = np.inf
    out = filled(pixels, spec(size, steps), CRPIX1=3.0, CRPIX2=60.0)
    assert np.isfinite(out).all() and out.min() >= 0.0 and out.max() <= 1.0


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_pixel_that_is_not_finite_becomes_zero_and_spoils_no_other(odd):
    pixels = RAMP.copy()
    pixels[31, 31] = odd
    with_odd, without = filled(pixels, spec()), filled(RAMP, spec())
    assert with_odd[10, 10, 0] == 0.0
    with_odd[10, 10] = without[10, 10] = 0.0
    np.testing.assert_array_equal(with_odd, without)


NOISE_STEPS = ("scale_noise", "crop", "nan_to_zero")


def test_noise_scale_takes_sky_and_noise_from_the_whole_stamp():
    rng = np.random.default_rng(1)
    pixels = rng.normal(150.0, 8.0, (63, 63)).astype(np.float32)
    pixels[25:38, 25:38] += 1e4  # as bright as it may be, a source does not change what noise is
    pixels[3, 5:40] = np.nan
    scaled = scale_noise(pixels)
    away = np.concatenate([scaled[:20].ravel(), scaled[45:].ravel()])
    assert np.nanmedian(away) == pytest.approx(0.0, abs=0.15) and np.nanstd(away) == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(pixels))
    np.testing.assert_array_equal(filled(pixels, spec(21, NOISE_STEPS))[..., 0], scaled[21:42, 21:42])


def test_noise_scale_of_a_stamp_that_is_mostly_one_value_uses_the_others():
    pixels = np.zeros((63, 63), np.float32)
    pixels[31, 31], pixels[30, 31] = 1.0, 2.0
    scaled = scale_noise(pixels)
    assert np.isfinite(scaled).all() and scaled[31, 31] > 10.0
    assert scaled[30, 31] == pytest.approx(2 * scaled[31, 31], rel=1e-3)


@pytest.mark.parametrize("pixels", range(5))
def test_stamp_without_noise_is_blank_and_named(pixels):
    stamp = [blank(0), blank(5), blank(np.nan), blank(np.inf), overflowing()][pixels]
    if pixels == 4:
        stamp[::2] = 3e38
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AlertError) as caught:
            filled(stamp, spec(channels=("template",), steps=NOISE_STEPS))
    assert caught.value.reason is Reason.BLANK_CUTOUT and caught.value.detail.startswith("cutoutTemplate: ")


def test_stamp_that_is_nan_where_the_classifier_looks_is_blank():
    pixels = RAMP.copy()
    pixels[15:48, 15:48] = np.nan
    with pytest.raises(AlertError) as caught:
        filled(pixels, spec(steps=NOISE_STEPS))
    assert caught.value.reason is Reason.BLANK_CUTOUT


def test_noise_scale_is_bounded():
    pixels = np.random.default_rng(1).normal(size=(63, 63)).astype(np.float32)
    pixels[31, 31] = 3e38
    assert filled(pixels, spec(steps=NOISE_STEPS)).max() == 1e6


def blank(value: float) -> np.ndarray:
    return np.full((63, 63), value, np.float32)


def overflowing() -> np.ndarray:
    pixels = blank(-3e38)
    pixels[31, 31] = 3e38
    return pixels


@pytest.mark.parametrize("pixels", [blank(0), blank(5), blank(np.nan), blank(np.inf), overflowing()], ids=range(5))
def test_stamp_that_can_not_be_scaled_is_blank_and_named(pixels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AlertError) as caught:
            filled(pixels, spec(channels=("template",)))
    assert caught.value.reason is Reason.BLANK_CUTOUT and caught.value.detail.startswith("cutoutTemplate: ")


def test_stamp_blank_outside_of_the_crop_is_good():
    pixels = blank(np.nan)
    pixels[31, 31:33] = 1.0, 2.0
    assert filled(pixels, spec()).sum() == 1.0


def test_smallest_differences_are_scaled_too():
    pixels = blank(0.0)
    pixels[31, 31] = np.float32(1e-45)
    assert filled(pixels, spec())[10, 10, 0] == 1.0


def test_nan_to_zero_leaves_the_rest():
    np.testing.assert_array_equal(nan_to_zero(np.array([[np.nan, -1.0]], np.float32)), [[0.0, -1.0]])


def test_alert_without_any_cutout_has_no_cutouts():
    with pytest.raises(AlertError) as caught:
        fill_stamps(Alert(Identity(survey="ztf")), spec(channels=STAMP_NAMES), np.zeros((21, 21, 3), np.float32))
    assert caught.value.reason is Reason.NO_CUTOUTS


def test_alert_that_lost_one_cutout_misses_it():
    alert = samples.alert()
    alert = Alert(alert.identity, {}, {**alert.cutouts, "template": None})
    with pytest.raises(AlertError) as caught:
        fill_stamps(alert, spec(channels=STAMP_NAMES), np.zeros((21, 21, 3), np.float32))
    assert (caught.value.reason, caught.value.detail) == (Reason.MISSING_CUTOUT, "cutoutTemplate is missing")


@pytest.mark.parametrize("steps", list(itertools.permutations(STAMP_STEPS)))
@pytest.mark.parametrize("size", [5, 21, 70])
def test_infinite_pixels_are_as_nan_in_every_order(steps, size):
    pixels = np.random.default_rng(1).normal(size=(63, 63)).astype(np.float32)
    infinite, missing = pixels.copy(), pixels.copy()
    infinite[30:33, 31], infinite[::9, ::7] = np.inf, -np.inf
    missing[~np.isfinite(infinite)] = np.nan
    assert filled(infinite, spec(size, steps)).tobytes() == filled(missing, spec(size, steps)).tobytes()


def test_disc_noise_is_that_of_a_pixel_where_it_is_white():
    pixels = np.random.default_rng(1).normal(50.0, 4.0, (93, 93)).astype(np.float32)
    scaled = scale_disc_noise(pixels)
    assert scaled.std() == pytest.approx(1.0, rel=0.05) and abs(np.median(scaled)) < 0.05


def test_disc_noise_hardly_depends_on_interpolation():
    pixels = np.random.default_rng(1).normal(size=(63, 63)).astype(np.float32)
    between = (pixels[:-1, :-1] + pixels[1:, :-1] + pixels[:-1, 1:] + pixels[1:, 1:]) / 4  # half the noise of a pixel
    between -= np.median(between) - np.median(pixels)
    by_pixel, by_disc = (np.ptp(scale(pixels)) / np.ptp(scale(between)) for scale in (scale_noise, scale_disc_noise))
    # How much brighter a thing of the same flux would be: twice, and a fifth.
    assert by_pixel * np.ptp(between) / np.ptp(pixels) == pytest.approx(0.5, rel=0.1)
    assert by_disc * np.ptp(between) / np.ptp(pixels) > 0.8


def test_disc_noise_does_not_depend_on_the_corners():
    pixels = np.random.default_rng(1).normal(size=(31, 31)).astype(np.float32)
    corner = np.hypot(*(np.indices((31, 31)) - 15)) > 17.5
    changed = scale_disc_noise(np.where(corner, np.float32(100.0), pixels))
    np.testing.assert_array_equal(changed[~corner], scale_disc_noise(pixels)[~corner])


@pytest.mark.parametrize("value", [np.nan, 3.0, 3e38])
@pytest.mark.parametrize("shape", [(30, 30), (2, 5)])
def test_disc_noise_of_a_blank_stamp(value, shape):
    pixels = np.full(shape, value, np.float32)
    if value == 3e38:
        pixels[::2] = -3e38
    with pytest.raises(AlertError) as problem:
        scale_disc_noise(pixels)
    assert problem.value.reason is Reason.BLANK_CUTOUT


def test_disc_noise_passes_over_nan():
    pixels = np.random.default_rng(1).normal(size=(30, 30)).astype(np.float32)
    holed = pixels.copy()
    holed[3:6, 10:20] = np.nan
    scaled = scale_disc_noise(holed)
    assert np.isnan(scaled[3:6, 10:20]).all() and np.isfinite(scaled).sum() == 900 - 30
    np.testing.assert_allclose(np.nanstd(scaled), np.std(scale_disc_noise(pixels)), rtol=0.1)
