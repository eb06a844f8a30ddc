"""Draws what the camera saw: the three stamps of one detection of an object, and the truth behind them.

Fluxes are in the survey's own unit: DN for ZTF, nJy for Rubin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from broker_plugin.simulation.canvas import Canvas, Dipole, Shape
from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.measure import MIN_SNR, PsfPhotometry, fit_psf
from broker_plugin.simulation.sources import Source
from broker_plugin.simulation.subtraction import Stamp, observe
from broker_plugin.simulation.targets import Target

_LONGEST_TRAIL_ARCSEC = 8.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The stamps of one detection and the truth that they were drawn from.

    Attributes
    ----------
    target
        The object.
    exposure
        The exposure and its template.
    x_pixels, y_pixels
        Zero-based position of the source in the stamp, pixels.
    science, template, difference
        The stamps, flux units, float32.
    science_variance, template_variance
        Variance of each pixel, flux units squared, float32.
    photometry, science_photometry, template_photometry
        Point-spread-function fits at the source, of the difference, science and template stamp.
    shape
        Second moments of the source in the difference image.
    trail_arcsec, trail_angle_rad
        How far it moved during the exposure, and where to, from the stamp's x towards its y.
    dipole
        The misregistration, where there is one.
    footprint_pixels
        Side of the square that holds the source.
    """

    target: Target
    exposure: Exposure
    x_pixels: float
    y_pixels: float
    science: Stamp
    template: Stamp
    difference: Stamp
    science_variance: Stamp
    template_variance: Stamp
    photometry: PsfPhotometry
    science_photometry: PsfPhotometry
    template_photometry: PsfPhotometry
    shape: Shape
    trail_arcsec: float
    trail_angle_rad: float
    dipole: Dipole | None
    footprint_pixels: int

    @property
    def class_name(self) -> str:
        """One of `CLASSES`."""
        return self.target.class_name

    @property
    def kind(self) -> str:
        """Which sort of its class it is."""
        return self.target.kind

    @property
    def references(self) -> tuple[Source, ...]:
        """Constant sources around the alert, nearest first."""
        return self.target.sources

    @property
    def is_detected(self) -> bool:
        """Whether the difference shows something at 5 sigma by the survey's errors; it sends no other alert."""
        return abs(self.photometry.snr) >= MIN_SNR * self.exposure.error_factor


def draw_scene(target: Target, exposure: Exposure, days: float, rng: np.random.Generator) -> Scene:
    """Take one exposure of an object.

    Parameters
    ----------
    target
        The object.
    exposure
        The exposure and its template.
    days
        Days since the object's first alert.
    rng
        Where all randomness comes from.
    """
    flux = exposure.from_njy(float(target.change_njy(np.array([days]), exposure.band)[0]))
    trail_arcsec, trail_angle_rad = _trail(target, exposure)
    footprint = _footprint_pixels(abs(flux), trail_arcsec, exposure)
    side = int(np.clip(footprint, *exposure.stamp_pixels))
    # The survey cuts whole pixels around the source: it stands within half a pixel of the middle.
    x0, y0 = ((side - 1) / 2 + rng.uniform(-0.5, 0.5, 2)).tolist()
    canvas = Canvas(exposure, side, x0, y0)
    canvas.add_constant(target.sources)
    canvas.add_unresolved(rng)
    if target.artefact is not None:
        target.artefact.paint(canvas, flux * rng.lognormal(0.0, 0.1), rng)
    elif target.motion is not None:
        _add_trail(canvas, flux, trail_arcsec, trail_angle_rad)
    else:
        canvas.change += flux * canvas.psf

    stamps = observe(canvas, rng)
    pedestal = np.float32(exposure.pedestal)
    variance = stamps.science_variance + stamps.template_variance
    return Scene(
        target=target,
        exposure=exposure,
        x_pixels=x0,
        y_pixels=y0,
        science=stamps.science,
        template=stamps.template,
        difference=stamps.difference,
        science_variance=stamps.science_variance,
        template_variance=stamps.template_variance,
        photometry=fit_psf(stamps.difference, variance, canvas.psf),
        science_photometry=fit_psf(stamps.science - pedestal, stamps.science_variance, canvas.psf),
        template_photometry=fit_psf(stamps.template - pedestal, stamps.template_variance, canvas.template_psf),
        shape=canvas.shape,
        trail_arcsec=trail_arcsec,
        trail_angle_rad=trail_angle_rad,
        dipole=canvas.dipole,
        footprint_pixels=footprint,
    )


def _trail(target: Target, exposure: Exposure) -> tuple[float, float]:
    """Length of an asteroid's trail, arcsec, and its direction in the stamp."""
    if target.motion is None:
        return 0.0, 0.0
    length = min(target.motion.arcsec_per_hour * exposure.duration_s / 3600.0, _LONGEST_TRAIL_ARCSEC)
    return length, math.remainder(target.motion.angle_rad + exposure.rotation_rad, 2.0 * math.pi)


def _add_trail(canvas: Canvas, flux: float, length_arcsec: float, angle_rad: float) -> None:
    """A point source that moves at constant speed, centred on its middle."""
    length = length_arcsec / canvas.exposure.pixel_scale_arcsec
    # A third of the width between points leaves no visible beads.
    count = max(1, math.ceil(3.0 * length / canvas.exposure.fwhm_pixels))
    for step in ((np.arange(count) + 0.5) / count - 0.5) * length:
        canvas.add_change(flux / count, step * math.cos(angle_rad), step * math.sin(angle_rad))
    # The variance of a uniform line of length L is L^2 / 12.
    canvas.shape = canvas.shape.stretched(length_arcsec**2 / 12.0, angle_rad)


def _footprint_pixels(flux: float, trail_arcsec: float, exposure: Exposure) -> int:
    """Side of the box around all pixels above the detection threshold; rule of thumb from LSSTCam alerts."""
    above_limit = math.log10(max(flux / exposure.limit_flux, 1.0))
    width = exposure.fwhm_pixels * (3.4 + 1.3 * above_limit)
    return math.ceil(width + trail_arcsec / exposure.pixel_scale_arcsec)
