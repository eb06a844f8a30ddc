"""Measures stamps as a survey's pipeline would, so that the metadata of a packet follow from its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_SNR = 5.0
"""Both surveys alert on what stands 5 sigma above the noise of the difference image."""

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class PsfPhotometry:
    """A fit of one point source at a known position.

    Attributes
    ----------
    flux, flux_error
        Flux units of the stamp.
    chi2
        Sum of squared residuals over variance.
    pixels
        Number of pixels in the fit.
    """

    flux: float
    flux_error: float
    chi2: float
    pixels: int

    @property
    def snr(self) -> float:
        """Signed ratio of flux to its error."""
        return self.flux / self.flux_error


def fit_psf(image: Array, variance: Array, psf: Array) -> PsfPhotometry:
    """Fit the flux of a point source by least squares, each pixel weighted by the inverse of its variance.

    Pixels that are not finite are left out.  The weights are those of optimal extraction (Horne 1986, PASP 98, 609).

    Parameters
    ----------
    image, variance
        Stamp without background and its variance, shape ``(rows, columns)``.
    psf
        The point source of unit flux on the same grid.
    """
    good = np.isfinite(image)
    weight = np.where(good, psf / variance, 0.0)
    information = float(np.sum(weight * psf))
    flux = float(np.sum(weight * np.where(good, image, 0.0))) / information
    residual = np.where(good, image - flux * psf, 0.0)
    return PsfPhotometry(
        flux=flux,
        flux_error=1.0 / math.sqrt(information),
        chi2=float(np.sum(residual**2 / variance)),
        pixels=int(np.count_nonzero(good)),
    )


def aperture_sum(image: Array, x: float, y: float, radius: float) -> tuple[float, int]:
    """Sum of the finite pixels within ``radius`` pixels of ``x, y`` (zero-based), and how many they are."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    inside &= np.isfinite(image)
    return float(np.sum(image[inside], dtype=float)), int(np.count_nonzero(inside))


def magnitude_error(snr: float) -> float:
    """Error of a magnitude whose flux has this ratio of signal to noise."""
    return 2.5 / math.log(10.0) / snr


def position_error_arcsec(psf_sigma_arcsec: float, snr: float) -> float:
    """Error of a position along each axis: that of a Gaussian's centroid, and 0.05 arcsec of the survey's frame."""
    return math.hypot(psf_sigma_arcsec / abs(snr), 0.05)
