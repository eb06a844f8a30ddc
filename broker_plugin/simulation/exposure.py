"""One science exposure and its template: what decides how the same sky looks in an alert."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from broker_plugin.simulation.psf import PointSpread

_Numbers = TypeVar("_Numbers", float, NDArray[np.float64])

_NJY_ZERO_POINT_MAG = 31.4
"""AB magnitude of 1 nJy."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One science exposure, and the template that is subtracted from it.

    Attributes
    ----------
    mjd
        When it was taken, days, in the survey's own time scale.
    band
        Name of the passband.
    zero_point_mag
        AB magnitude of a source of one flux unit.
    pixel_scale_arcsec
        Side of a pixel.
    science_psf, template_psf
        The point-spread functions of both epochs, drawn apart from each other.
    electrons_per_unit
        Photo-electrons in one flux unit.
    sky
        Sky brightness, flux units per pixel; it makes noise even where it was subtracted.
    pedestal
        The part of the sky that is left in the science and template stamps, flux units per pixel.
    read_noise_electrons
        Read noise per pixel, electrons.
    template_exposures
        How many exposures as deep as this one the template is worth.
    error_factor
        The survey's error of a flux over that of pixel noise alone; its limit is as much higher.
    counts_slope
        By class, steepness of log10 N against the magnitude of the difference; 0.6 would be a uniform Euclidean space.
        Less steep than the sky is: what gets a label, by a spectrum above all, is bright.
    subtlety
        Typical relative change of what the survey sends, in units of that of a shallow survey: a deeper one sees less.
    science_kernel, template_kernel, difference_kernel
        What resampling, and the whitening of the difference, did to the noise of each: the weights, along each axis, of
        the next pixel and the one after that.
    subtraction
        How well the survey matches template and science image.
    saturation
        Level above which a pixel is useless, flux units above the pedestal.
    saturated_value
        What the survey writes into such a pixel, NaN or a plateau.
    saturated_margin_pixels
        How far around such pixels the survey writes it too.
    masked_value
        What it writes where there is no detector, or a bad part of it.
    duration_s
        Exposure time, seconds.
    stamp_pixels
        Smallest and largest side of a stamp; a stamp grows with the footprint of its source.
    neighbour_radius_arcsec
        How far from the alert field sources are drawn.
    stars_per_arcsec2, galaxies_per_arcsec2
        Density of field sources, down to the depth of the catalogues.
    rotation_rad
        Direction of the sky's y axis (north, near enough) in the stamp, counted from the stamp's.
    """

    mjd: float
    band: str
    zero_point_mag: float
    pixel_scale_arcsec: float
    science_psf: PointSpread
    template_psf: PointSpread
    electrons_per_unit: float
    sky: float
    pedestal: float
    read_noise_electrons: float
    template_exposures: float
    error_factor: float
    counts_slope: Mapping[str, float]
    subtlety: float
    science_kernel: tuple[float, float]
    template_kernel: tuple[float, float]
    difference_kernel: tuple[float, float]
    subtraction: SubtractionErrors
    saturation: float
    saturated_value: float
    saturated_margin_pixels: int
    masked_value: float
    duration_s: float
    stamp_pixels: tuple[int, int]
    neighbour_radius_arcsec: float
    stars_per_arcsec2: float
    galaxies_per_arcsec2: float
    rotation_rad: float

    @property
    def fwhm_pixels(self) -> float:
        """Full width at half maximum of the science image's point-spread function, pixels."""
        return self.science_psf.fwhm_pixels

    @property
    def seeing_arcsec(self) -> float:
        """Full width at half maximum of the science image's point-spread function, arcsec."""
        return self.fwhm_pixels * self.pixel_scale_arcsec

    @property
    def psf_sigma_arcsec(self) -> float:
        """Standard deviation of the Gaussian of the same full width at half maximum, arcsec."""
        return self.science_psf.sigma_pixels * self.pixel_scale_arcsec

    @property
    def matching_variance_pixels2(self) -> float:
        """Variance of the kernel that makes the template's point-spread function that of the science image.

        Negative where the template is the broader one.
        """
        return self.science_psf.sigma_pixels**2 - self.template_psf.sigma_pixels**2

    @property
    def sky_variance(self) -> float:
        """Variance of one science pixel without a source, flux units squared."""
        return self.sky / self.electrons_per_unit + (self.read_noise_electrons / self.electrons_per_unit) ** 2

    @property
    def five_sigma_flux(self) -> float:
        """Flux of a point source that stands 5 sigma above the sky of the difference image, flux units.

        The effective area of 2.266 (FWHM / pixel)^2 pixels is that of SMTN-002 (https://smtn-002.lsst.io).
        """
        effective_pixels = 2.266 * self.fwhm_pixels**2
        variance = self.sky_variance * (1.0 + 1.0 / self.template_exposures)
        return 5.0 * math.sqrt(effective_pixels * variance)

    @property
    def limit_flux(self) -> float:
        """Flux of the faintest point source that the survey sends, 5 sigma by its own errors, flux units."""
        return self.five_sigma_flux * self.error_factor

    @property
    def limit_mag(self) -> float:
        """AB magnitude of `limit_flux`."""
        return self.magnitude(self.limit_flux)

    def magnitude(self, flux: float) -> float:
        """AB magnitude of a positive flux."""
        return self.zero_point_mag - 2.5 * math.log10(flux)

    def flux(self, magnitude: _Numbers) -> _Numbers:
        """Flux of an AB magnitude, flux units."""
        flux: _Numbers = 10.0 ** (0.4 * (self.zero_point_mag - magnitude))
        return flux

    def to_njy(self, flux: float) -> float:
        """A flux of either sign in nJy."""
        return float(flux * 10.0 ** (0.4 * (_NJY_ZERO_POINT_MAG - self.zero_point_mag)))

    def from_njy(self, flux_njy: float) -> float:
        """A flux of either sign in flux units."""
        return float(flux_njy * 10.0 ** (0.4 * (self.zero_point_mag - _NJY_ZERO_POINT_MAG)))

    def to_stamp(self, x_arcsec: _Numbers, y_arcsec: _Numbers) -> tuple[_Numbers, _Numbers]:
        """An offset on the sky as an offset in the stamp, pixels."""
        cosine = math.cos(self.rotation_rad) / self.pixel_scale_arcsec
        sine = math.sin(self.rotation_rad) / self.pixel_scale_arcsec
        return x_arcsec * cosine - y_arcsec * sine, x_arcsec * sine + y_arcsec * cosine

    def to_sky(self, dx_pixels: float, dy_pixels: float) -> tuple[float, float]:
        """An offset in the stamp as an offset on the sky, arcsec."""
        cosine = math.cos(self.rotation_rad) * self.pixel_scale_arcsec
        sine = math.sin(self.rotation_rad) * self.pixel_scale_arcsec
        return dx_pixels * cosine + dy_pixels * sine, dy_pixels * cosine - dx_pixels * sine


@dataclass(frozen=True, slots=True)
class SubtractionErrors:
    """How badly the two epochs are matched: standard deviations, drawn anew for each exposure.

    Attributes
    ----------
    scale
        Relative error of the photometric scale.
    shift_pixels
        Misregistration along each axis.
    width
        Relative error of the width of the matched point-spread function.
    shape
        Difference of the ellipticities, after the match.
    background
        Level left of the sky, in units of a pixel's noise.
    interpolation
        Share of the noise in the difference that is not the science image's own: it was resampled for the match.
    """

    scale: float
    shift_pixels: float
    width: float
    shape: float
    background: float
    interpolation: float
