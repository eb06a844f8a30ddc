"""Bogus alerts: what instrument and subtraction make, of the kinds that Carrasco-Davis et al. 2021 name and show."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from broker_plugin.simulation.canvas import Canvas, Dipole, Image, Shape
from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.psf import gaussian_sigma
from broker_plugin.simulation.sources import Source, star

_SHARES = {
    "speckle": 0.33,
    "bad_pixel": 0.16,
    "residual": 0.12,
    "dipole": 0.1,
    "saturated_star": 0.08,
    "cosmic_ray": 0.07,
    "bad_column": 0.05,
    "edge": 0.04,
    "streak": 0.03,
    "ghost": 0.02,
}
"""How many bogus alerts are of each kind (judged by eye from real ones)."""

BOGUS_KINDS = tuple(_SHARES)
"""What a bogus alert may be."""

_TAKEN_FOR_DIPOLE = 0.7
_RECURRING = ("dipole", "saturated_star", "residual", "speckle")
"""Kinds that come back at the same place, for they hang on a star."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """What makes an alert of nothing.

    Attributes
    ----------
    kind
        One of `BOGUS_KINDS`.
    star
        The constant star that it hangs on, where it does.
    """

    kind: str
    star: Source | None

    def paint(self, canvas: Canvas, flux: float, rng: np.random.Generator) -> None:
        """Put it into an exposure, about as conspicuous as a point source of this flux."""
        if self.star is None:
            _PAINTERS[self.kind](canvas, flux, rng)
        else:
            _STAR_PAINTERS[self.kind](canvas, flux, self.star, rng)


def draw_artefact(exposure: Exposure, flux: float, recurring: bool, rng: np.random.Generator) -> Artefact:
    """Draw a kind, and the star it needs.

    Parameters
    ----------
    flux
        How conspicuous it will be in this exposure, flux units.
    recurring
        Only kinds that can be met again.
    """
    kinds = _RECURRING if recurring else BOGUS_KINDS
    # The pipeline of a deep survey repairs bad pixels; what gets through hangs on stars.
    shares = np.array([_SHARES[kind] / (exposure.subtlety if kind in _RECURRING else 1.0) for kind in kinds])
    kind = str(rng.choice(kinds, p=shares / shares.sum()))
    draw_star = _STARS.get(kind)
    return Artefact(kind, None if draw_star is None else draw_star(exposure, flux, rng))


def _star(exposure: Exposure, flux: float, distance: float, rng: np.random.Generator) -> Source:
    """A star ``distance`` pixels from the alert, more or less along an axis."""
    angle = rng.integers(4) * math.pi / 2.0 + rng.normal(0.0, 0.3)
    x_arcsec, y_arcsec = exposure.to_sky(distance * math.cos(angle), distance * math.sin(angle))
    return star(x_arcsec, y_arcsec, exposure.magnitude(flux), exposure.band, rng)


def _unsaturated(exposure: Exposure, flux: float) -> float:
    return min(flux, 0.9 * exposure.saturation * exposure.fwhm_pixels**2)


def _dipole_star(exposure: Exposure, flux: float, rng: np.random.Generator) -> Source:
    # A shift s leaves lobes of about s / sigma of the flux: this star makes lobes as bright as wanted.
    bright = _unsaturated(exposure, flux * exposure.fwhm_pixels / (exposure.subtlety * rng.uniform(0.1, 0.5)))
    return _star(exposure, bright, gaussian_sigma(exposure.fwhm_pixels), rng)


def _saturated_star(exposure: Exposure, flux: float, rng: np.random.Generator) -> Source:
    bright = exposure.saturation / exposure.science_psf.peak * rng.uniform(1.6, 5.0)
    # The core of such a star is lost, and a margin around it; the alert stands beside.
    distance = exposure.saturated_margin_pixels + exposure.fwhm_pixels * rng.uniform(0.9, 1.6)
    return _star(exposure, bright, distance, rng)


def _residual_star(exposure: Exposure, flux: float, rng: np.random.Generator) -> Source:
    bright = _unsaturated(exposure, 2.0 * flux / (exposure.subtlety * rng.uniform(0.12, 0.4)))
    return _star(exposure, bright, 0.15 * exposure.fwhm_pixels * math.hypot(*rng.normal(0.0, 1.0, 2)), rng)


def _speckled_star(exposure: Exposure, flux: float, rng: np.random.Generator) -> Source:
    bright = _unsaturated(exposure, flux * rng.lognormal(2.0, 0.8) / exposure.subtlety**2)
    return _star(exposure, bright, 0.2 * exposure.fwhm_pixels * abs(rng.normal()), rng)


_STARS: dict[str, Callable[[Exposure, float, np.random.Generator], Source]] = {
    "dipole": _dipole_star,
    "saturated_star": _saturated_star,
    "residual": _residual_star,
    "speckle": _speckled_star,
}


def _flux_and_place(canvas: Canvas, source: Source) -> tuple[float, float, float]:
    exposure = canvas.exposure
    dx, dy = exposure.to_stamp(source.x_arcsec, source.y_arcsec)
    return exposure.flux(source.magnitude(exposure.band)), dx, dy


def _widen(canvas: Canvas, source: Source, widening: float) -> None:
    """Make the science image's point-spread function wider at a star than the match takes it to be."""
    flux, dx, dy = _flux_and_place(canvas, source)
    canvas.exposure.science_psf.dilated(widening).add_point(canvas.change, canvas.x0 + dx, canvas.y0 + dy, flux)
    canvas.add_change(-flux, dx, dy)


def _fit_dipole(canvas: Canvas, source: Source, rng: np.random.Generator) -> None:
    """Light and shade next to each other are mostly taken for a dipole, of next to no length."""
    if rng.random() < _TAKEN_FOR_DIPOLE:
        length_arcsec = 0.1 * canvas.exposure.seeing_arcsec * rng.lognormal(0.0, 0.5)
        canvas.dipole = Dipole(_flux_and_place(canvas, source)[0], length_arcsec, rng.uniform(-math.pi, math.pi))


def _paint_cosmic_ray(canvas: Canvas, flux: float, rng: np.random.Generator) -> None:
    """A track of a few pixels with sharp edges: it did not come through the optics."""
    length, angle = min(1.0 + rng.exponential(2.0), 10.0), rng.uniform(0.0, math.pi)
    along = np.linspace(-0.5, 0.5, 24) * length
    columns = np.rint(canvas.x0 + along * math.cos(angle)).astype(int)
    rows = np.rint(canvas.y0 + along * math.sin(angle)).astype(int)
    np.add.at(canvas.change, (rows, columns), 2.0 * flux / along.size)
    scale = canvas.exposure.pixel_scale_arcsec
    canvas.shape = Shape.round(0.4 * scale).stretched((length * scale) ** 2 / 12.0, angle)


def _paint_bad_pixel(canvas: Canvas, flux: float, rng: np.random.Generator) -> None:
    """A hot or a dead pixel or two, in the science image or in the template."""
    row, column = np.rint(np.array([canvas.y0, canvas.x0]) + rng.uniform(-0.4, 0.4, 2)).astype(int)
    pixels = slice(row, row + int(rng.integers(1, 3))), slice(column, column + int(rng.integers(1, 3)))
    light = 2.0 * rng.choice((-1.0, 1.0)) * flux / canvas.change[pixels].size
    canvas.change[pixels] += light
    if rng.random() < 0.35:  # in the template, whose light is subtracted: the science image is as it was
        canvas.reference[pixels] -= light
        canvas.constant[pixels] -= light
    canvas.shape = Shape.round(0.35 * canvas.exposure.pixel_scale_arcsec)


def _paint_bad_column(canvas: Canvas, flux: float, rng: np.random.Generator) -> None:
    """A column, one or two pixels wide, that is hot or low on one side of its fault; now and then others are masked."""
    column = round(canvas.x0 + rng.uniform(-0.5, 0.5))
    fault = round(canvas.y0 + rng.uniform(-0.3, 0.3) * canvas.side)
    rows = slice(0, canvas.side) if rng.random() < 0.5 else slice(max(fault, 0), canvas.side)
    level = rng.choice((-1.0, 1.0)) * flux / canvas.exposure.fwhm_pixels
    canvas.change[rows, column : column + int(rng.integers(1, 3))] += (
        level * rng.uniform(0.8, 1.2, (canvas.side, 1))[rows]
    )
    if rng.random() < 0.4:
        masked = column + int(rng.choice((-1, 1)) * rng.integers(3, 7))
        canvas.unusable[:, max(masked, 0) : masked + int(rng.integers(1, 3))] = True
    scale = canvas.exposure.pixel_scale_arcsec
    canvas.shape = Shape.round(0.4 * scale).stretched((0.25 * canvas.side * scale) ** 2 / 12.0, math.pi / 2.0)


def _paint_dipole(canvas: Canvas, flux: float, source: Source, rng: np.random.Generator) -> None:
    """A constant star that the registration put at two places; the alert stands on one of the lobes."""
    star_flux, dx, dy = _flux_and_place(canvas, source)
    exposure = canvas.exposure
    angle = math.atan2(dy, dx)
    shift = flux * exposure.fwhm_pixels / star_flux * rng.lognormal(0.0, 0.2)
    sign = rng.choice((-1.0, 1.0))
    canvas.add_change(star_flux, dx + sign * shift * math.cos(angle), dy + sign * shift * math.sin(angle))
    canvas.add_change(-star_flux, dx, dy)
    canvas.dipole = Dipole(star_flux, shift * exposure.pixel_scale_arcsec, angle if sign > 0.0 else angle - math.pi)
    canvas.shape = Shape.round(0.8 * exposure.psf_sigma_arcsec).stretched(exposure.psf_sigma_arcsec**2, angle)


def _paint_saturated_star(canvas: Canvas, flux: float, source: Source, rng: np.random.Generator) -> None:
    """What is left at the rim of a star whose core is lost, and whose wings the subtraction could not match."""
    _widen(canvas, source, 1.0 + rng.choice((-1.0, 1.0)) * rng.uniform(0.01, 0.05))
    remnant = canvas.exposure.science_psf.dilated(rng.uniform(0.5, 1.0))
    remnant.add_point(canvas.change, canvas.x0, canvas.y0, rng.choice((-1.3, 1.3)) * flux)
    canvas.shape = Shape.round(1.4 * canvas.exposure.psf_sigma_arcsec)


def _paint_residual(canvas: Canvas, flux: float, source: Source, rng: np.random.Generator) -> None:
    """What a slightly wrong point-spread function leaves of a star: a core of one sign in a ring of the other."""
    star_flux, _, _ = _flux_and_place(canvas, source)
    _widen(canvas, source, 1.0 + rng.choice((-1.0, 1.0)) * min(2.0 * flux / star_flux, 0.4))
    _fit_dipole(canvas, source, rng)


def _paint_speckle(canvas: Canvas, flux: float, source: Source, rng: np.random.Generator) -> None:
    """What a subtraction with ringing leaves in the core of a star: a few sharp pixels, now and then in stripes."""
    dx, dy = canvas.offsets()
    core = np.exp(-0.5 * (dx**2 + dy**2) / (0.4 * canvas.exposure.fwhm_pixels) ** 2)
    grain = rng.choice((-1.0, 1.0)) + rng.normal(0.0, 0.8, core.shape)
    if rng.random() < 0.25:
        grain *= np.where(np.arange(canvas.side) % 2, 1.0, -0.5)[:, None]
    canvas.change += 1.3 * flux * core * grain / core.sum()
    _fit_dipole(canvas, source, rng)
    canvas.shape = Shape.round(0.7 * canvas.exposure.psf_sigma_arcsec)


def _paint_edge(canvas: Canvas, flux: float, rng: np.random.Generator) -> None:
    """The detector ends within a few widths of the alert, and its last columns are not to be trusted."""
    distance = rng.uniform(1.0, 4.0) * canvas.exposure.fwhm_pixels
    dx, dy = canvas.offsets()
    inwards = distance - rng.choice((-1.0, 1.0)) * (dx + 0.0 * dy if rng.random() < 0.5 else dy + 0.0 * dx)
    depth = 0.6 * canvas.exposure.fwhm_pixels
    ragged = rng.normal(1.0, 0.5, (canvas.side, canvas.side))
    level = rng.choice((-1.0, 1.0)) * flux / canvas.exposure.fwhm_pixels**2 * math.exp(min(distance / depth, 1.5))
    canvas.change += np.where(inwards > 0.0, level * np.exp(-np.maximum(inwards, 0.0) / depth) * ragged, 0.0)
    canvas.unusable |= inwards <= 0.0
    canvas.shape = Shape.round(1.2 * canvas.exposure.psf_sigma_arcsec)


def _paint_streak(canvas: Canvas, flux: float, rng: np.random.Generator) -> None:
    """A satellite: a line right through the stamp, a little wider than a star."""
    angle = rng.uniform(0.0, math.pi)
    dx, dy = canvas.offsets()
    across = dy * math.cos(angle) - dx * math.sin(angle) + rng.normal(0.0, 0.2)
    sigma = canvas.exposure.science_psf.sigma_pixels * rng.uniform(1.0, 1.5)
    canvas.change += 0.5 * flux / canvas.exposure.fwhm_pixels**2 * np.exp(-0.5 * (across / sigma) ** 2)
    exposure = canvas.exposure
    length_arcsec = min(0.5 * canvas.side, 8.0 * exposure.fwhm_pixels) * exposure.pixel_scale_arcsec
    canvas.shape = canvas.shape.stretched(length_arcsec**2 / 12.0, angle)


def _paint_ghost(canvas: Canvas, flux: float, rng: np.random.Generator) -> None:
    """The reflection of a bright star elsewhere: a disc, or a ring, with soft edges; the alert lies at its rim."""
    exposure = canvas.exposure
    radius = rng.uniform(1.5, 8.0) * exposure.fwhm_pixels
    angle = rng.uniform(-math.pi, math.pi)
    dx, dy = canvas.offsets()
    centre_distance = radius * rng.uniform(0.5, 0.95)
    distance = np.hypot(dx - centre_distance * math.cos(angle), dy - centre_distance * math.sin(angle))
    softness = 0.15 * radius
    light = _disc(distance, radius, softness)
    if rng.random() < 0.5:
        light -= 0.8 * _disc(distance, rng.uniform(0.3, 0.6) * radius, softness)
    canvas.change += flux / exposure.fwhm_pixels**2 * light
    canvas.shape = Shape.round(1.6 * exposure.psf_sigma_arcsec)


def _disc(distance: Image, radius: float, softness: float) -> Image:
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((distance - radius) / softness, -30.0, 30.0))))


_PAINTERS: dict[str, Callable[[Canvas, float, np.random.Generator], None]] = {
    "cosmic_ray": _paint_cosmic_ray,
    "bad_pixel": _paint_bad_pixel,
    "bad_column": _paint_bad_column,
    "edge": _paint_edge,
    "streak": _paint_streak,
    "ghost": _paint_ghost,
}

_STAR_PAINTERS: dict[str, Callable[[Canvas, float, Source, np.random.Generator], None]] = {
    "dipole": _paint_dipole,
    "saturated_star": _paint_saturated_star,
    "residual": _paint_residual,
    "speckle": _paint_speckle,
}
