"""The expected images of one exposure, while sources and events put their light into them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.psf import PointSpread
from broker_plugin.simulation.smoothing import blurred
from broker_plugin.simulation.sources import Galaxy, Source

Image = NDArray[np.float64]
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FAINT_IN_SIGMA = 0.2
"""A source is faint if its light, where the table of `PointSpread` ends, is below this share of a pixel's noise."""

_INVISIBLE_IN_SIGMA = 0.1
"""A source is left out if its brightest pixel is below this share of a pixel's noise."""

_SHAPELESS_IN_SIGMA = 2.0
"""A galaxy is drawn as hardly resolved if all its light is below this many times its noise in the difference."""

_CROWDED_PER_ARCSEC2 = 0.005
_UNRESOLVED_FLUX = 0.25
"""In a field more crowded than this, the fluctuations of stars of this share of the 5-sigma flux are seen."""

_RING = 1.17 * np.array([(math.cos(angle), math.sin(angle)) for angle in (0.3, 0.3 + math.tau / 3, 0.3 - math.tau / 3)])
"""Three points that together look 1.3 times as wide as one, in standard deviations of the point-spread function."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Second moments of the source in the difference image, arcsec squared, axes along the stamp's x and y."""

    ixx: float
    iyy: float
    ixy: float

    @classmethod
    def round(cls, sigma_arcsec: float) -> Shape:
        """A circular Gaussian."""
        return cls(sigma_arcsec**2, sigma_arcsec**2, 0.0)

    def stretched(self, variance_arcsec2: float, angle_rad: float) -> Shape:
        """The same shape smeared along one direction by this variance."""
        cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
        return Shape(
            self.ixx + variance_arcsec2 * cosine**2,
            self.iyy + variance_arcsec2 * sine**2,
            self.ixy + variance_arcsec2 * cosine * sine,
        )

    @property
    def axes_arcsec(self) -> tuple[float, float]:
        """Root-mean-square lengths of the major and minor axis, arcsec."""
        mean = 0.5 * (self.ixx + self.iyy)
        spread = math.hypot(0.5 * (self.ixx - self.iyy), self.ixy)
        return math.sqrt(mean + spread), math.sqrt(max(mean - spread, 0.01 * mean))


@dataclass(frozen=True, slots=True)
class Dipole:
    """The truth of a misregistered subtraction: a source that moved between template and science image.

    Attributes
    ----------
    mean_flux
        Flux of the source, flux units.
    length_arcsec, angle_rad
        The shift, and its direction from the stamp's x towards its y.
    """

    mean_flux: float
    length_arcsec: float
    angle_rad: float


class Canvas:
    """Expected images above the pedestal, flux units, shape ``(side, side)``.

    Attributes
    ----------
    constant
        What is there at all times, as the science image's point-spread function shows it.
    reference
        The same as the template shows it, and what is in the template alone.
    change
        What is in the science image alone; what only the template has is negative.
    unusable
        Pixels that the survey masks.
    x0, y0
        Zero-based position of the alert, pixels.
    shape
        Second moments of the alert in the difference image.
    dipole
        The misregistration, where there is one.
    """

    def __init__(self, exposure: Exposure, side: int, x0: float, y0: float) -> None:
        self.exposure = exposure
        self.side = side
        self.x0, self.y0 = x0, y0
        self.constant = np.zeros((side, side))
        self.reference = np.zeros((side, side))
        self.change = np.zeros((side, side))
        self.unusable = np.zeros((side, side), dtype=bool)
        self.shape = Shape.round(exposure.psf_sigma_arcsec)
        self.dipole: Dipole | None = None

    def offsets(self) -> tuple[Image, Image]:
        """Offset of each pixel's middle from the alert along x and y, pixels; shapes ``(1, side)``, ``(side, 1)``."""
        steps = np.arange(self.side, dtype=float)
        return (steps - self.x0)[None, :], (steps - self.y0)[:, None]

    def add_constant(self, sources: Sequence[Source]) -> None:
        """Put sources into both epochs."""
        band = self.exposure.band
        x_arcsec, y_arcsec, magnitude, point_fraction = np.array(
            [(source.x_arcsec, source.y_arcsec, source.magnitude(band), source.point_fraction) for source in sources]
        ).T.reshape(4, len(sources))
        dx, dy = self.exposure.to_stamp(x_arcsec, y_arcsec)
        flux = self.exposure.flux(magnitude)
        extended = flux * (1.0 - point_fraction)
        has_shape = np.array([source.galaxy is not None for source in sources], dtype=bool)
        has_shape &= extended > _SHAPELESS_IN_SIGMA / 5.0 * self.exposure.five_sigma_flux
        x, y = self.x0 + dx, self.y0 + dy
        hardly_resolved = np.where(has_shape, 0.0, extended)[extended > 0.0]
        ring_x, ring_y = (self.exposure.science_psf.sigma_pixels * _RING).T[:, :, None]
        self._add_points(
            np.concatenate([x, (x[extended > 0.0] + ring_x).ravel()]),
            np.concatenate([y, (y[extended > 0.0] + ring_y).ravel()]),
            np.concatenate([flux * point_fraction, np.tile(hardly_resolved / len(_RING), len(_RING))]),
        )
        for index in np.flatnonzero(has_shape).tolist():
            galaxy = sources[index].galaxy
            if galaxy is not None:
                self._add_galaxy(float(x[index]), float(y[index]), float(extended[index]), galaxy)

    def _point(self, psf: PointSpread) -> Image:
        image = np.zeros((self.side, self.side))
        psf.add_point(image, self.x0, self.y0, 1.0)
        return image

    def _add_points(self, x: Values, y: Values, flux: Values) -> None:
        """Put points into both epochs; those that the noise hides are left out."""
        exposure = self.exposure
        sky_noise = math.sqrt(exposure.sky_variance)
        for image, psf, noise in (
            (self.constant, exposure.science_psf, sky_noise),
            (self.reference, exposure.template_psf, sky_noise / math.sqrt(exposure.template_exposures)),
        ):
            visible = flux * psf.peak > _INVISIBLE_IN_SIGMA * noise
            if not visible.any():
                continue
            bright = flux * psf.rim > _FAINT_IN_SIGMA * noise
            faint = visible & ~bright
            psf.add_faint_points(image, x[faint], y[faint], flux[faint])
            for index in np.flatnonzero(bright).tolist():
                psf.add_point(image, float(x[index]), float(y[index]), float(flux[index]))

    @cached_property
    def psf(self) -> Image:
        """A point source of flux one at the alert, as the science image shows it."""
        return self._point(self.exposure.science_psf)

    @cached_property
    def template_psf(self) -> Image:
        """The same as the template shows it."""
        return self._point(self.exposure.template_psf)

    def add_unresolved(self, rng: np.random.Generator) -> None:
        """Put the stars into both epochs that are too faint and too many to be drawn one by one: in crowded fields."""
        exposure = self.exposure
        if exposure.stars_per_arcsec2 < _CROWDED_PER_ARCSEC2:
            return
        flux = _UNRESOLVED_FLUX * exposure.five_sigma_flux
        per_pixel = exposure.stars_per_arcsec2 * exposure.pixel_scale_arcsec**2
        stars = flux * math.sqrt(per_pixel) * rng.standard_normal((self.side, self.side))
        self.constant += blurred(stars, exposure.science_psf.sigma_pixels**2)
        self.reference += blurred(stars, exposure.template_psf.sigma_pixels**2)

    def add_change(self, flux: float, dx: float = 0.0, dy: float = 0.0) -> None:
        """Put a point source ``dx, dy`` pixels from the alert into the science image alone."""
        self.exposure.science_psf.add_point(self.change, self.x0 + dx, self.y0 + dy, flux)

    def _add_galaxy(self, x: float, y: float, flux: float, galaxy: Galaxy) -> None:
        """Put a galaxy into both epochs: drawn once, with the sharper point-spread function, and blurred to the other.

        The two drawn apart would look the same, at twice the cost.
        """
        exposure = self.exposure
        variance = exposure.matching_variance_pixels2
        sharper = exposure.template_psf if variance > 0.0 else exposure.science_psf
        light = np.zeros_like(self.constant)
        sharper.add_galaxy(
            light,
            x,
            y,
            flux,
            half_light_radius=galaxy.half_light_radius_arcsec / exposure.pixel_scale_arcsec,
            index=galaxy.index,
            axis_ratio=galaxy.axis_ratio,
            angle_rad=galaxy.angle_rad + exposure.rotation_rad,
        )
        self.constant += blurred(light, variance)
        self.reference += blurred(light, -variance)
