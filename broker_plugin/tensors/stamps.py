"""Stamps as the bundle wants them: cropped, scaled, without NaN."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Reason
from broker_plugin.bundles import StampSpec
from broker_plugin.packets import read_stamp

Pixels = NDArray[np.float32]
_ENOUGH_PIXELS = 1000
_MOST_SIGMA = np.float32(1e6)


def check_cutouts(alert: Alert, spec: StampSpec) -> None:
    """Tell an alert without any of the cutouts from one that lost some.

    Raises
    ------
    AlertError
        ``no_cutouts`` where none is there.
    """
    if all(alert.cutouts.get(name) is None for name in spec.channels):
        raise AlertError(Reason.NO_CUTOUTS, "the packet has no cutouts")


def fill_stamps(alert: Alert, spec: StampSpec, out: Pixels) -> None:
    """Put an alert's stamps into its row of a batch.

    Parameters
    ----------
    out
        Where they go, float32, (size, size, channels).

    Raises
    ------
    AlertError
        What `packets.read_stamp` raises; ``blank_cutout`` where the pixels used are all NaN or all the
        same, so that there is nothing to scale them by.
    """
    check_cutouts(alert, spec)
    for channel, name in enumerate(spec.channels):
        image = read_stamp(alert, name)
        pixels, centre, steps = image.pixels, image.centre, spec.steps
        if steps[0] == "crop":  # before the look at each pixel, which costs more than all else here
            pixels, steps = crop(pixels, centre, spec.size), steps[1:]
        pixels = np.where(np.isfinite(pixels), pixels, np.float32(np.nan))
        outside = np.nan
        try:
            for step in steps:
                if step == "crop":
                    pixels = crop(pixels, centre, spec.size, outside)
                elif step == "scale_min_max":
                    pixels = scale_min_max(pixels)
                elif step == "scale_noise":
                    pixels = scale_noise(pixels)
                elif step == "scale_disc_noise":
                    pixels = scale_disc_noise(pixels)
                else:
                    pixels, outside = nan_to_zero(pixels), 0.0
            if not pixels.any():
                raise AlertError(Reason.BLANK_CUTOUT, "nothing in the part that the classifier looks at")
        except AlertError as problem:
            raise AlertError(problem.reason, f"cutout{name.capitalize()}: {problem.detail}") from problem
        out[..., channel] = pixels


def crop(pixels: Pixels, centre: tuple[int, int], size: int, outside: float = np.nan) -> Pixels:
    """The ``size`` x ``size`` pixels around ``centre`` (row, column); ``outside`` where the stamp does not reach.

    For an even size the centre is the upper right of the four middle pixels.
    """
    row, column = centre[0] - size // 2, centre[1] - size // 2
    if row >= 0 and column >= 0 and row + size <= pixels.shape[0] and column + size <= pixels.shape[1]:
        return pixels[row : row + size, column : column + size]
    out = np.full((size, size), outside, dtype=np.float32)
    rows = slice(max(row, 0), min(row + size, pixels.shape[0]))
    columns = slice(max(column, 0), min(column + size, pixels.shape[1]))
    out[rows.start - row : rows.stop - row, columns.start - column : columns.stop - column] = pixels[rows, columns]
    return out


def scale_min_max(pixels: Pixels) -> Pixels:
    """Pixels from 0 (the lowest) to 1 (the highest), NaN left as it is: Carrasco-Davis et al. 2021, section 3.1.

    Raises
    ------
    AlertError
        ``blank_cutout``.
    """
    low = np.fmin.reduce(pixels, axis=None)  # fmin and fmax pass over NaN, and don't warn where all are
    if np.isnan(low):
        raise AlertError(Reason.BLANK_CUTOUT, "no finite pixel in the part that the classifier looks at")
    with np.errstate(over="ignore"):
        shifted = pixels - low
    high = np.fmax.reduce(shifted, axis=None)
    if high == 0.0 or not np.isfinite(high):
        what = "all pixels are the same" if high == 0.0 else "pixel values exceed the range of float32"
        raise AlertError(Reason.BLANK_CUTOUT, f"{what} in the part that the classifier looks at")
    scaled: Pixels = shifted / high
    return scaled


def scale_noise(pixels: Pixels) -> Pixels:
    """Pixels in units of the noise above the sky, NaN left as it is: (x - median) / (1.4826 MAD).

    1.4826 makes the median absolute deviation the standard deviation of Gaussian noise (Rousseeuw & Croux 1993,
    JASA 88, 1273).  Median and MAD are those of about a thousand pixels, evenly spread; the result is kept within a
    million sigma.

    Raises
    ------
    AlertError
        ``blank_cutout``.
    """
    sample = pixels.ravel()[:: max(1, pixels.size // _ENOUGH_PIXELS)]
    for candidates in (sample, pixels.ravel()):  # all of them where nearly all are NaN, or the same
        finite = candidates[np.isfinite(candidates)]
        if not finite.size:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            sky = _median(finite)
            noise = np.float32(1.4826) * _median(np.abs(finite - sky)) or finite.std()
            if noise > 0.0 and np.isfinite(noise):
                scaled: Pixels = np.clip((pixels - sky) / noise, -_MOST_SIGMA, _MOST_SIGMA)
                return scaled
    raise _unscalable(finite)


def scale_disc_noise(pixels: Pixels) -> Pixels:
    """Pixels in units of the noise above the sky, as `scale_noise`, that depend little on how the stamp is turned.

    Median and MAD are those of means over 3 x 3 pixels within the largest circle around the middle.  A turned stamp has
    the same pixels there, but not in its corners; and interpolating it takes a third of the noise from single pixels,
    but hardly any from the means.  The noise is three times that of the means: that of a pixel, where it is white.

    Raises
    ------
    AlertError
        ``blank_cutout``.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        means = _means_of_3x3(pixels)
        sample = means[_disc(means.shape)]
        sample = sample[~np.isnan(sample)]
        if not sample.size:
            raise _unscalable(sample)
        sky = _median(sample)
        noise = np.float32(3.0) * (np.float32(1.4826) * _median(np.abs(sample - sky)) or sample.std())
        if not (noise > 0.0 and np.isfinite(noise)):
            raise _unscalable(sample)
        scaled: Pixels = np.clip((pixels - sky) / noise, -_MOST_SIGMA, _MOST_SIGMA)
    return scaled


def _unscalable(finite: Pixels) -> AlertError:
    """What is wrong with a stamp whose finite pixels have no noise."""
    if not finite.size:
        return AlertError(Reason.BLANK_CUTOUT, "no finite pixel")
    what = "all pixels are the same" if finite.min() == finite.max() else "pixel values exceed the range of float32"
    return AlertError(Reason.BLANK_CUTOUT, what)


@lru_cache(maxsize=64)
def _disc(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels lie within the largest circle around the middle."""
    rows, columns = (np.arange(length) - (length - 1) / 2 for length in shape)
    inside: NDArray[np.bool_] = np.hypot(rows[:, None], columns[None, :]) <= min(shape) / 2
    return inside


def _means_of_3x3(pixels: Pixels) -> Pixels:
    """The mean over each pixel and its neighbours, of those that have all eight; over those that are not NaN."""
    finite = np.isfinite(pixels)
    if finite.all():
        return _sums_of_3x3(pixels) / np.float32(9.0)
    sums, counts = _sums_of_3x3(np.where(finite, pixels, np.float32(0.0))), _sums_of_3x3(finite.astype(np.float32))
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=finite[1:-1, 1:-1])


def _sums_of_3x3(pixels: Pixels) -> Pixels:
    by_row = pixels[:-2] + pixels[1:-1] + pixels[2:]
    sums: Pixels = by_row[:, :-2] + by_row[:, 1:-1] + by_row[:, 2:]
    return sums


def _median(values: NDArray[np.float32]) -> np.float32:
    """The upper median; numpy's own takes four times as long for what is as good."""
    middle = values.size // 2
    median: np.float32 = np.partition(values, middle)[middle]
    return median


def nan_to_zero(pixels: Pixels) -> Pixels:
    """Zero in the place of NaN."""
    return np.where(np.isnan(pixels), np.float32(0.0), pixels)
