"""Smoothing of images by small kernels.  Beyond its rim an image is taken for zero."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]

_MOST_VARIANCE_PER_PASS = 0.6
"""Pixels squared; beyond it three weights are far from a Gaussian."""


def correlated(noise: Image, kernel: tuple[float, float]) -> Image:
    """White noise as resampling or whitening leaves it, its variance as it was.

    Parameters
    ----------
    kernel
        Weights, along each axis, of the next pixel and the one after that, where the pixel itself has one.
    """
    scale = 1.0 / math.sqrt(1.0 + 2.0 * sum(weight**2 for weight in kernel))
    for axis in (0, 1):
        smoothed = scale * noise
        for step, weight in enumerate(kernel, start=1):
            _add_neighbours(smoothed, (scale * weight) * noise, step, axis)
        noise = smoothed
    return noise


def blurred(image: Image, variance_pixels2: float) -> Image:
    """An image convolved with a round kernel of this variance along each axis; for none or next to none, the same."""
    if variance_pixels2 < 0.05:
        return image
    passes = math.ceil(variance_pixels2 / _MOST_VARIANCE_PER_PASS)
    side = 0.5 * variance_pixels2 / passes
    for _ in range(passes):
        for axis in (0, 1):
            smoothed = (1.0 - 2.0 * side) * image
            _add_neighbours(smoothed, side * image, 1, axis)
            image = smoothed
    return image


def _add_neighbours(image: Image, weighted: Image, step: int, axis: int) -> None:
    """Add to each pixel of an image those ``step`` pixels before and after it along an axis."""
    if axis == 1:
        image, weighted = image.T, weighted.T
    image[step:] += weighted[:-step]
    image[:-step] += weighted[step:]
