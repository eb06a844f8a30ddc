"""Light profiles on a grid of pixels.  All lengths are in pixels; all images hold a total flux of one.

``x`` and ``y`` are the offsets of each pixel's middle from the source, arrays of shape ``(rows, columns)``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]

_SIGMAS_PER_FWHM = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))
_OVERSAMPLING = 3
"""Points per pixel and axis at which a galaxy is evaluated; its cusp needs more than one."""


def gaussian_sigma(fwhm: float) -> float:
    """Standard deviation of the Gaussian of this full width at half maximum."""
    return fwhm * _SIGMAS_PER_FWHM


def psf_image(x: Image, y: Image, fwhm: float, moffat_beta: float) -> Image:
    """A point source: a Moffat profile (Moffat 1969, A&A 3, 455), or a Gaussian where ``moffat_beta`` is infinite.

    The normalisation is that of the infinite plane, so a stamp holds a little less than one.
    """
    radius_squared = x * x + y * y
    if math.isinf(moffat_beta):
        variance = gaussian_sigma(fwhm) ** 2
        gaussian: Image = np.exp(radius_squared * (-0.5 / variance)) / (2.0 * math.pi * variance)
        return gaussian
    # Width and normalisation as in Trujillo et al. 2001, MNRAS 328, 977.
    alpha_squared = fwhm**2 / (4.0 * (2.0 ** (1.0 / moffat_beta) - 1.0))
    peak = (moffat_beta - 1.0) / (math.pi * alpha_squared)
    moffat: Image = peak * np.exp(-moffat_beta * np.log1p(radius_squared / alpha_squared))
    return moffat


def psf_stamp(side: int, fwhm: float, moffat_beta: float) -> Image:
    """A point source in the middle of a square of ``side`` pixels."""
    offsets = np.arange(side, dtype=np.float64) - (side - 1) / 2
    return psf_image(offsets[None, :], offsets[:, None], fwhm, moffat_beta)


def trail_image(x: Image, y: Image, *, length: float, angle_rad: float, fwhm: float, moffat_beta: float) -> Image:
    """A point source that moved ``length`` pixels along ``angle_rad`` at constant speed, centred on its middle."""
    # A quarter of the width between points leaves no visible beads.
    count = max(1, math.ceil(4.0 * length / fwhm))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    image = np.zeros_like(x)
    for step in along:
        image += psf_image(x - step * cosine, y - step * sine, fwhm, moffat_beta)
    return image / count


def sersic_image(
    x: Image,
    y: Image,
    *,
    half_light_radius: float,
    index: float,
    axis_ratio: float,
    angle_rad: float,
    fwhm: float,
    moffat_beta: float,
) -> Image:
    """A galaxy with a Sersic profile, seen through the point-spread function.

    Parameters
    ----------
    x, y
        Offsets from its centre, pixels; a regular grid of step one.
    half_light_radius
        Along the major axis, pixels.
    index
        1 is an exponential disc, 4 a de Vaucouleurs spheroid.
    axis_ratio
        Minor over major axis.
    angle_rad
        Direction of the major axis from x towards y.
    fwhm, moffat_beta
        The point-spread function, as for `psf_image`.
    """
    # Asymptotic expansion of b_n by Ciotti & Bertin 1999, A&A 352, 447, eq. 18; 1e-3 or better from n = 1.
    b_n = 2.0 * index - 1.0 / 3.0 + 4.0 / (405.0 * index)
    # Total flux for unit intensity at the half-light radius: Graham & Driver 2005, PASA 22, 118.
    total = 2.0 * math.pi * index * math.exp(b_n) * b_n ** (-2.0 * index) * math.gamma(2.0 * index)
    total *= axis_ratio * half_light_radius**2

    fine_x, fine_y = _oversampled(x[0]), _oversampled(y[:, 0])[:, None]
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    major = fine_x * cosine + fine_y * sine
    minor = (fine_y * cosine - fine_x * sine) / axis_ratio
    # Half a cell of softening: the cusp of a large index is not a number at its very middle.
    radius_squared = major * major + minor * minor + (0.5 / _OVERSAMPLING) ** 2
    scaled = np.exp(np.log(radius_squared / half_light_radius**2) * (0.5 / index))
    intensity = np.exp(-b_n * (scaled - 1.0)) / total
    rows, columns = x.shape
    binned = intensity.reshape(rows, _OVERSAMPLING, columns, _OVERSAMPLING).mean(axis=(1, 3))
    return _convolved(binned, fwhm, moffat_beta)


def _oversampled(centres: Image) -> Image:
    steps = (np.arange(_OVERSAMPLING) + 0.5) / _OVERSAMPLING - 0.5
    return (centres[:, None] + steps).ravel()


def _convolved(image: Image, fwhm: float, moffat_beta: float) -> Image:
    """Convolve with the point-spread function, without light that comes round from the other side."""
    half = math.ceil(4.0 * fwhm)
    kernel = psf_stamp(2 * half + 1, fwhm, moffat_beta)
    rows, columns = image.shape
    shape = (rows + 2 * half, columns + 2 * half)
    product = np.fft.rfft2(image, shape) * np.fft.rfft2(kernel, shape)
    return np.fft.irfft2(product, shape)[half : half + rows, half : half + columns]
