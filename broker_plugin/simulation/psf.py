"""Point-spread functions and galaxies seen through them, drawn by GalSim (Rowe et al. 2015, A&C 10, 121).

Lengths are in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import galsim
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]
Values = NDArray[np.float64]

_SIGMAS_PER_FWHM = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))

_FAST = galsim.GSParams(folding_threshold=0.05, maxk_threshold=0.03, kvalue_accuracy=1e-3, stepk_minimum_hlr=2.0)
"""For convolutions: a tenth of the default accuracy in a tenth of the time; the noise of a stamp hides the rest."""

_GRID_REACH_FWHM = 3.5
"""How far from its middle a faint source is drawn."""
_GRID_STEPS_PER_FWHM = 7.0

_GUIDING_SHARE, _DEFOCUS_SHARE = 0.08, 0.04
"""How many exposures are smeared by guiding, and how many are visibly out of focus (rule of thumb)."""


def gaussian_sigma(fwhm: float) -> float:
    """Standard deviation of the Gaussian of this full width at half maximum."""
    return fwhm * _SIGMAS_PER_FWHM


class PointSpread:
    """A point-spread function, the pixel's own width included.

    Parameters
    ----------
    profile
        Its shape, of flux one, in pixels.
    core
        The same without the faint wings: what galaxies are convolved with, for wings make large Fourier transforms.
    fwhm_pixels
        Its full width at half maximum.
    """

    def __init__(self, profile: galsim.GSObject, core: galsim.GSObject, fwhm_pixels: float) -> None:
        self.profile = profile
        self.core = core
        self.fwhm_pixels = fwhm_pixels

    @property
    def sigma_pixels(self) -> float:
        """Standard deviation of the Gaussian of the same full width at half maximum."""
        return gaussian_sigma(self.fwhm_pixels)

    def dilated(self, factor: float) -> PointSpread:
        """The same shape, wider by a factor."""
        return PointSpread(self.profile.dilate(factor), self.core.dilate(factor), factor * self.fwhm_pixels)

    def add_point(self, image: Image, x: float, y: float, flux: float) -> None:
        """Add a point source at a zero-based position to an image of shape ``(rows, columns)``."""
        _draw(self.profile.withFlux(flux), image, x, y)

    def add_faint_points(self, image: Image, x: Values, y: Values, flux: Values) -> None:
        """Add many point sources, each in a tenth of the time; arrays of shape ``(n,)``.

        From a table, near their middles alone, to a sixteenth of the width.
        """
        table = self._table
        side = 2 * table.half + 1
        column, row = np.rint(x), np.rint(y)
        phase_x = np.rint((column - x) * table.steps).astype(int) + table.steps // 2
        phase_y = np.rint((row - y) * table.steps).astype(int) + table.steps // 2
        # A rim as wide as the table: what falls outside the image is cut off with it.
        rows, columns = image.shape
        padded = np.zeros((rows + 2 * side, columns + 2 * side))
        left, top = column.astype(int) - table.half + side, row.astype(int) - table.half + side
        inside = (left >= 0) & (top >= 0) & (left <= columns + side) & (top <= rows + side)
        numbers = (values[inside].tolist() for values in (left, top, phase_x, phase_y, flux))
        for x_from, y_from, x_phase, y_phase, amount in zip(*numbers, strict=True):
            padded[y_from : y_from + side, x_from : x_from + side] += amount * table.values[y_phase, x_phase]
        image += padded[side : side + rows, side : side + columns]

    @property
    def peak(self) -> float:
        """Brightness of a source of flux one in its middle, per pixel."""
        return self._table.peak

    @property
    def rim(self) -> float:
        """The same where a source of `add_faint_points` ends."""
        return self._table.rim

    def stamp(self, side: int) -> Image:
        """A point source of flux one in the middle of a square of ``side`` pixels."""
        image = np.zeros((side, side))
        self.add_point(image, (side - 1) / 2, (side - 1) / 2, 1.0)
        return image

    def add_galaxy(
        self,
        image: Image,
        x: float,
        y: float,
        flux: float,
        *,
        half_light_radius: float,
        index: float,
        axis_ratio: float,
        angle_rad: float,
    ) -> None:
        """Add a galaxy with a Sersic profile.

        Parameters
        ----------
        half_light_radius
            Of the ellipse that holds half of the light: the root of the product of its axes.
        index
            1 is an exponential disc, 4 a de Vaucouleurs spheroid.
        axis_ratio
            Minor over major axis.
        angle_rad
            Direction of the major axis from x towards y.
        """
        light = galsim.Sersic(index, half_light_radius=half_light_radius, flux=flux, gsparams=_FAST)
        ellipse = light.shear(q=axis_ratio, beta=angle_rad * galsim.radians)
        _draw(galsim.Convolve(ellipse, self.core, gsparams=_FAST), image, x, y)

    @cached_property
    def _table(self) -> _Table:
        steps = 2 * math.ceil(_GRID_STEPS_PER_FWHM / (2.0 * self.fwhm_pixels))  # even: half a pixel is a step
        half = math.ceil(_GRID_REACH_FWHM * self.fwhm_pixels)
        side = 2 * half + 1
        fine = np.zeros(((side + 1) * steps,) * 2)
        # Pixel 0 of phase 0 lies half a pixel further out than the table reaches.
        middle = half * steps + steps // 2
        to_middle = middle - (len(fine) - 1) / 2
        self.profile.drawImage(galsim.ImageD(fine, scale=1.0 / steps), method="sb", offset=(to_middle, to_middle))
        peak, rim = float(fine[middle, middle]), float(fine[steps // 2, middle])
        by_phase = fine.reshape(side + 1, steps, side + 1, steps).transpose(1, 3, 0, 2)
        # One phase more than a pixel has steps: half a pixel to the right, and to the left.
        phases = range(2 * (steps // 2) + 1)
        values = np.empty((len(phases), len(phases), side, side))
        for row in phases:
            for column in phases:
                top, left = row // steps, column // steps
                values[row, column] = by_phase[row % steps, column % steps, top : top + side, left : left + side]
        return _Table(values, steps, half, peak, rim)


@dataclass(frozen=True, slots=True)
class _Table:
    """A source of flux one, drawn at each of ``steps`` phases of a pixel and axis, out to ``half`` pixels.

    ``values`` has the shape ``(phases, phases, side, side)``; ``peak`` and ``rim`` are the brightness in the middle and
    where the table ends.
    """

    values: Image
    steps: int
    half: int
    peak: float
    rim: float


def draw_point_spread(fwhm_pixels: float, ellipticity: float, rng: np.random.Generator) -> PointSpread:
    """Draw what atmosphere, optics and guiding made of a point.

    Half are as the theory of turbulence has it (Kolmogorov), half have a Moffat profile (1969, A&A 3, 455) with wings
    of any strength met in practice; now and then guiding smears them, or they are out of focus.

    Parameters
    ----------
    fwhm_pixels
        Full width at half maximum, before guiding and focus add to it.
    ellipticity
        Standard deviation of each component of the shear.
    rng
        Where all randomness comes from.
    """
    core = galsim.Kolmogorov(fwhm=fwhm_pixels, gsparams=_FAST)
    if rng.random() < 0.5:
        profile = galsim.Kolmogorov(fwhm=fwhm_pixels)
    else:
        profile = galsim.Moffat(beta=rng.uniform(2.6, 4.5), fwhm=fwhm_pixels)
    g1, g2 = np.clip(rng.normal(0.0, ellipticity, 2), -0.3, 0.3).tolist()
    shifts, width = _motion(fwhm_pixels, rng)
    return PointSpread(_mean(profile.shear(g1=g1, g2=g2), shifts), _mean(core.shear(g1=g1, g2=g2), shifts), width)


def _motion(fwhm: float, rng: np.random.Generator) -> tuple[list[tuple[float, float]], float]:
    """Where guiding or focus put copies of the image, and the width of their mean."""
    trouble = rng.random()
    if trouble < _GUIDING_SHARE:
        half, angle = rng.uniform(0.1, 0.3) * fwhm, rng.uniform(0.0, math.pi)
        dx, dy = half * math.cos(angle), half * math.sin(angle)
        # Variance along the line of (2/3) half^2, shared by two axes.
        return [(-dx, -dy), (0.0, 0.0), (dx, dy)], math.hypot(fwhm, half / math.sqrt(3.0) / _SIGMAS_PER_FWHM)
    if trouble < _GUIDING_SHARE + _DEFOCUS_SHARE:
        radius = rng.uniform(0.2, 0.4) * fwhm
        ring = [(radius * math.cos(angle), radius * math.sin(angle)) for angle in np.arange(6) * (math.pi / 3.0)]
        return ring, math.hypot(fwhm, radius / math.sqrt(2.0) / _SIGMAS_PER_FWHM)
    return [], fwhm


def _mean(profile: galsim.GSObject, shifts: list[tuple[float, float]]) -> galsim.GSObject:
    if not shifts:
        return profile
    return galsim.Sum([profile.shift(*shift) for shift in shifts]) / len(shifts)


def _draw(profile: galsim.GSObject, image: Image, x: float, y: float) -> None:
    rows, columns = image.shape
    offset = (x - (columns - 1) / 2, y - (rows - 1) / 2)
    profile.drawImage(galsim.ImageD(image), scale=1.0, offset=offset, method="no_pixel", add_to_image=True)
