"""Rubin's cutouts: FITS files in the layout of astropy's CCDData."""

from __future__ import annotations

import math

from broker_plugin.simulation import fits
from broker_plugin.simulation.scene import Scene
from broker_plugin.simulation.subtraction import Stamp

_PSF_PIXELS = 41


def cutouts(scene: Scene, ra_deg: float, dec_deg: float) -> dict[str, bytes]:
    """The three cutouts of an alert at this measured position."""
    planes = {
        "cutoutDifference": (scene.difference, scene.science_variance + scene.template_variance),
        "cutoutScience": (scene.science, scene.science_variance),
        "cutoutTemplate": (scene.template, scene.template_variance),
    }
    psf = scene.exposure.science_psf.stamp(_PSF_PIXELS)
    psf_image = fits.image_extension(psf / psf.sum(), [("EXTNAME", "PSFIMAGE")])
    return {
        name: _image_and_variance(scene, stamp, variance, ra_deg, dec_deg) + psf_image
        for name, (stamp, variance) in planes.items()
    }


def _image_and_variance(scene: Scene, stamp: Stamp, variance: Stamp, ra_deg: float, dec_deg: float) -> bytes:
    """The stamp with its place and orientation on the sky, and the variance of each pixel."""
    rotation_rad = scene.exposure.rotation_rad
    scale_deg = scene.exposure.pixel_scale_arcsec / 3600.0
    cosine, sine = scale_deg * math.cos(rotation_rad), scale_deg * math.sin(rotation_rad)
    cards: list[fits.Card] = [
        ("EXTEND", True),
        ("ROTPA", math.degrees(rotation_rad)),
        ("BUNIT", "nJy"),
        ("WCSAXES", 2),
        # FITS counts pixels from one.
        ("CRPIX1", scene.x_pixels + 1.0),
        ("CRPIX2", scene.y_pixels + 1.0),
        ("PC1_1", -cosine),
        ("PC1_2", sine),
        ("PC2_1", sine),
        ("PC2_2", cosine),
        ("CDELT1", 1.0),
        ("CDELT2", 1.0),
        ("CRVAL1", ra_deg),
        ("CRVAL2", dec_deg),
        ("LATPOLE", 90.0),
        ("MJDREF", 0.0),
    ]
    uncertainty: list[fits.Card] = [("UTYPE", "VarianceUncertainty"), ("EXTNAME", "UNCERT")]
    return fits.primary_hdu(stamp, cards) + fits.image_extension(variance, uncertainty)
