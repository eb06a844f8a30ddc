"""From expected images to what a survey's pipeline makes of them: noise, saturation, masks, and the difference image.

The template is subtracted at the seeing of the science image (Alard & Lupton 1998, ApJ 503, 325; Zackay et al. 2016,
ApJ 830, 27): what is constant cancels but for errors of the match, and the template's noise, correlated by its
resampling, is smoothed by the matching kernel before it enters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.simulation.canvas import Canvas, Image, Mask
from broker_plugin.simulation.exposure import Exposure, SubtractionErrors
from broker_plugin.simulation.smoothing import blurred, correlated

Stamp = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stamps:
    """What a survey's pipeline has of one alert; all float32, shape ``(side, side)``, flux units.

    Attributes
    ----------
    science, template, difference
        The stamps, science and template with the pedestal.
    science_variance, template_variance
        Variance of each pixel.
    """

    science: Stamp
    template: Stamp
    difference: Stamp
    science_variance: Stamp
    template_variance: Stamp


def observe(canvas: Canvas, rng: np.random.Generator) -> Stamps:
    """Take the exposure: add noise, saturate, mask and subtract."""
    exposure = canvas.exposure
    science, template = canvas.constant + canvas.change, canvas.reference
    science_variance = _variance(science, exposure, 1)
    template_variance = _variance(template, exposure, exposure.template_exposures)
    shape = science.shape
    science_noise = correlated(rng.standard_normal(shape), exposure.science_kernel) * np.sqrt(science_variance)
    template_noise = correlated(rng.standard_normal(shape), exposure.template_kernel) * np.sqrt(template_variance)
    other = exposure.subtraction.interpolation
    difference_noise = math.sqrt(1.0 - other**2) * science_noise
    difference_noise += other * math.sqrt(exposure.sky_variance) * rng.standard_normal(shape)
    difference_noise -= blurred(template_noise, exposure.matching_variance_pixels2)
    difference = canvas.change + correlated(difference_noise, exposure.difference_kernel)
    difference += rng.normal(0.0, exposure.subtraction.background) * math.sqrt(exposure.sky_variance)
    difference += _left_over(canvas.constant, exposure.subtraction, exposure.science_psf.sigma_pixels, rng)

    saturated = (science > exposure.saturation) | (template > exposure.saturation)
    if exposure.saturated_margin_pixels and saturated.any():
        saturated = _widened(saturated, exposure.saturated_margin_pixels)
    science = np.where(saturated, exposure.saturated_value, science + science_noise) + exposure.pedestal
    template = np.where(saturated, exposure.saturated_value, template + template_noise) + exposure.pedestal
    difference[saturated & ~np.isfinite(science)] = math.nan
    for image in (science, template, difference):
        image[canvas.unusable] = exposure.masked_value
    return Stamps(
        science.astype(np.float32),
        template.astype(np.float32),
        difference.astype(np.float32),
        science_variance.astype(np.float32),
        template_variance.astype(np.float32),
    )


def _widened(mask: Mask, pixels: int) -> Mask:
    """The same, and all pixels of the squares around each."""
    rows, columns = mask.shape
    padded = np.pad(mask, pixels)
    steps = range(2 * pixels + 1)
    padded = np.logical_or.reduce([padded[step : step + rows] for step in steps])
    return np.asarray(np.logical_or.reduce([padded[:, step : step + columns] for step in steps]))


def _variance(expected: Image, exposure: Exposure, exposures: float) -> Image:
    return (np.maximum(expected, 0.0) / exposure.electrons_per_unit + exposure.sky_variance) / exposures


def _left_over(constant: Image, errors: SubtractionErrors, sigma_pixels: float, rng: np.random.Generator) -> Image:
    """What errors of the match leave of constant light, to first order.

    A wrong scale leaves a share of the light itself, a shift its gradient, a wrong width its Laplacian (the heat
    equation: d/d(sigma^2) of a Gaussian is half its Laplacian), a wrong ellipticity the other second derivatives.  The
    shift varies over the stamp.
    """
    gradient_x, gradient_y, laplacian = np.zeros((3, *constant.shape))
    gradient_x[:, 1:-1] = 0.5 * (constant[:, 2:] - constant[:, :-2])
    gradient_y[1:-1] = 0.5 * (constant[2:] - constant[:-2])
    laplacian[1:-1] = constant[2:] - 2.0 * constant[1:-1] + constant[:-2]
    stretch = -laplacian.copy()
    second_x = constant[:, 2:] - 2.0 * constant[:, 1:-1] + constant[:, :-2]
    laplacian[:, 1:-1] += second_x
    stretch[:, 1:-1] += second_x
    shear = np.zeros_like(constant)
    shear[1:-1] = gradient_x[2:] - gradient_x[:-2]
    slope = np.linspace(-1.0, 1.0, constant.shape[0])
    shift_x, shift_y, tilt_x, tilt_y = rng.normal(0.0, errors.shift_pixels, 4)
    scale, width, plus, cross = rng.normal(0.0, (errors.scale, errors.width, errors.shape, errors.shape))
    return np.asarray(
        scale * constant
        + (shift_x + tilt_x * slope[:, None]) * gradient_x
        + (shift_y + tilt_y * slope[None, :]) * gradient_y
        + sigma_pixels**2 * (width * laplacian + plus * stretch + cross * shear)
    )
