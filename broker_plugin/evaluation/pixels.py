"""Statistics of an alert's pixels: what tells one camera's images, or a simulator's, from another's."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import STAMP_NAMES, Alert
from broker_plugin.packets import read_stamp

Pixels = NDArray[np.float64]

_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_CLIP_SIGMA = 3.0
"""Pixels further from the sky than this are left out of the correlation of the noise."""

STATISTICS = {
    "sky": "median, flux units",
    "noise": "1.4826 MAD, log10 of flux units",
    "peak": "brightest pixel above the sky, asinh of sigma",
    "trough": "darkest pixel below the sky, asinh of sigma",
    "bright_share": "share of pixels 5 sigma above the sky, log10",
    "correlation_1": "correlation of the noise with the next pixel",
    "correlation_2": "correlation of the noise with the pixel after that",
    "asymmetry": "mean difference from the stamp turned by 180 degrees, over the mean light, inner pixels",
    "centre_width": "root-mean-square radius of the light around the alert, pixels",
    "nan_share": "share of pixels that are NaN",
}
"""What is measured of each stamp, and in which units."""

MISMATCH = "mismatch"
"""Noise of difference minus (science minus template), over that of the difference."""

_INNER_PIXELS = 15


def pixel_statistics(alert: Alert) -> dict[str, float]:
    """Statistics of each stamp, named ``science_sky`` and so on, and `MISMATCH`; NaN where there is no value.

    Raises
    ------
    AlertError
        A cutout is missing or can't be read.
    """
    images = {name: read_stamp(alert, name) for name in STAMP_NAMES}
    values = {
        f"{name}_{key}": value
        for name, image in images.items()
        for key, value in _of_stamp(image.pixels.astype(np.float64), image.centre).items()
    }
    science, template, difference = (images[name].pixels.astype(np.float64) for name in STAMP_NAMES)
    values[MISMATCH] = np.nan
    if science.shape == template.shape == difference.shape:
        values[MISMATCH] = _mismatch(science, template, difference)
    return values


def _of_stamp(pixels: Pixels, centre: tuple[int, int]) -> dict[str, float]:
    finite = pixels[np.isfinite(pixels)]
    if finite.size < 50 or finite.min() == finite.max():
        return dict.fromkeys(STATISTICS, np.nan) | {"nan_share": float(np.isnan(pixels).mean())}
    sky = float(np.median(finite))
    noise = _spread(finite)
    inner = _inner(pixels - sky, centre)
    return {
        "sky": sky,
        "noise": float(np.log10(noise)),
        "peak": float(np.arcsinh((finite.max() - sky) / noise)),
        "trough": float(np.arcsinh((sky - finite.min()) / noise)),
        "bright_share": float(np.log10(np.mean(finite > sky + 5.0 * noise) + 1e-4)),
        "correlation_1": _correlation((pixels - sky) / noise, 1),
        "correlation_2": _correlation((pixels - sky) / noise, 2),
        "asymmetry": _asymmetry(inner),
        "centre_width": _width(inner, noise),
        "nan_share": float(np.isnan(pixels).mean()),
    }


def _spread(values: Pixels) -> float:
    """Robust standard deviation; the plain one where most values are the same."""
    return _MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values)))) or float(values.std())


def _correlation(deviation: Pixels, lag: int) -> float:
    """Mean of the correlations along rows and columns, of pixels within the noise alone."""
    quiet = np.where(np.abs(deviation) < _CLIP_SIGMA, deviation, np.nan)
    found = []
    for first, second in ((quiet[lag:], quiet[:-lag]), (quiet[:, lag:], quiet[:, :-lag])):
        both = np.isfinite(first) & np.isfinite(second)
        if np.count_nonzero(both) > 20:
            found.append(np.corrcoef(first[both], second[both])[0, 1])
    return float(np.mean(found)) if found else np.nan


def _inner(pixels: Pixels, centre: tuple[int, int]) -> Pixels:
    half = _INNER_PIXELS // 2
    rows, columns = (slice(max(middle - half, 0), middle + half + 1) for middle in centre)
    return pixels[rows, columns]


def _asymmetry(inner: Pixels) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a mean of nothing
        return float(np.nanmean(np.abs(inner - inner[::-1, ::-1])) / np.nanmean(np.abs(inner)))


def _width(inner: Pixels, noise: float) -> float:
    """Of the light that is of the sign of the stamp's middle and stands out of the noise."""
    light = np.abs(np.where(np.abs(inner) > 2.0 * noise, inner, 0.0))
    light = np.nan_to_num(light)
    if not light.any():
        return np.nan
    rows, columns = np.indices(inner.shape)
    squared = (rows - inner.shape[0] // 2) ** 2 + (columns - inner.shape[1] // 2) ** 2
    return float(np.sqrt(np.sum(light * squared) / np.sum(light)))


def _mismatch(science: Pixels, template: Pixels, difference: Pixels) -> float:
    """The smaller of both signs: ZTF turns the difference of what faded."""
    expected = science - template
    good = np.isfinite(expected) & np.isfinite(difference)
    if np.count_nonzero(good) < 50:
        return np.nan
    noise = _spread(difference[good])
    return min(_spread((sign * difference - expected)[good]) for sign in (1.0, -1.0)) / noise
