"""What is trained for each survey: classes, stamps, features."""

from __future__ import annotations

from dataclasses import dataclass

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import Exclusion, FeatureSpec, StampSpec

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
TAXONOMY = "alerce-stamp"
TAXONOMY_VERSION = "1.0"
"""The five classes of Carrasco-Davis et al. 2021: AGN, supernova, variable star, asteroid, bogus."""
PREPROCESSING_VERSION = "1.1"
"""What the stage makes of a packet by one manifest may change with it."""


@dataclass(frozen=True)
class Preset:
    """Everything of a manifest that is decided before the data are seen.

    Attributes
    ----------
    features
        Without mean and std, which the training set gives; so does the fill where ``median_fill`` names it.
    stamps
        How the stamps are prepared for our own networks.
    median_fill
        Features whose missing values are best guessed by the median; the fill of the others has a meaning.
    exclusions
        What can't be, where a recipe has the feature that tells.
    """

    name: str
    survey: str
    stamps: StampSpec
    features: tuple[FeatureSpec, ...]
    median_fill: frozenset[str]
    exclusions: tuple[Exclusion, ...] = ()


# Left out on purpose, though the 2021 paper has them: what tells how an alert was collected rather than what it
# is.  ndethist, ncovhist and non_detections (asteroids and bogus were taken at their first detection, the rest
# much later); diffmaglim and fwhm (the labelled asteroids are of seven nights, with poor seeing); where on the sky it
# is, in any coordinates (asteroids and AGN were labelled in a few fields; how crowded a field is, the stamps show).
# drb is out because the labels of bogus are drb < 0.1; rb, which an older classifier gives, is in, as in the 2021
# paper's variant with 26 features.
_LIGHT_CURVE_FEATURES = (
    # Without an earlier detection, -1 and 0 where that says so by itself, else the middle.
    FeatureSpec("lc_span_days", "lc_span_days", "log10", clip=(0.02, 30.0), fill=0.02),
    FeatureSpec("lc_negative_share", "lc_negative_share", clip=(0.0, 1.0), fill=0.5),
    FeatureSpec("lc_sign_changes", "lc_sign_changes", clip=(0.0, 1.0)),
    FeatureSpec("lc_scatter_mag", "lc_scatter_mag", "log10", clip=(0.02, 2.0), fill=0.1),
    FeatureSpec("lc_range_mag", "lc_range_mag", "log10", clip=(0.05, 4.0), fill=0.3),
    FeatureSpec("lc_last_change_mag", "lc_last_change_mag", clip=(-1.0, 1.0)),
    FeatureSpec("lc_slope_mag_per_day", "lc_slope_mag_per_day", "asinh", 0.02, clip=(-0.5, 0.5)),
    FeatureSpec("lc_g_minus_r", "lc_g_minus_r", clip=(-1.5, 2.5), fill=0.4),
    FeatureSpec("lc_fast_change", "lc_fast_change", "log10", clip=(0.01, 2.0), fill=0.1),
    FeatureSpec("lc_relative_scatter", "lc_relative_scatter", "log10", clip=(0.01, 1.0), fill=0.1),
    FeatureSpec("lc_von_neumann", "lc_von_neumann", clip=(0.0, 6.0), fill=2.0),
)
_ZTF_FEATURES = (
    # No Pan-STARRS source within 30 arcsec is what a missing distance means; 0.5 is "star or galaxy unknown".
    FeatureSpec("sgscore1", "ps1_score", clip=(0.0, 1.0), fill=0.5),
    *(FeatureSpec(f"sgscore{i}", f"sgscore{i}", clip=(0.0, 1.0), fill=0.5) for i in (2, 3)),
    # Distances by their logarithm: a tenth of an arcsec or a whole one tells more than 20 or 21.
    *(
        FeatureSpec(f"distpsnr{i}", f"distpsnr{i}", "log10", clip=(0.05, 30.0), valid=(0.0, 30.0), fill=30.0)
        for i in (1, 2, 3)
    ),
    FeatureSpec("isdiffpos", "isdiffpos", fill=1.0),  # t = 1: the sign of the 2021 paper, not of its code
    FeatureSpec("magpsf", "magpsf", clip=(10.0, 24.0)),
    FeatureSpec("sigmapsf", "sigmapsf", "log10", clip=(0.01, 1.0), fill=0.1),
    FeatureSpec("classtar", "classtar", clip=(0.0, 1.0)),
    FeatureSpec("distnr", "distnr", "log10", clip=(0.05, 30.0), fill=30.0),
    FeatureSpec("magnr", "magnr", clip=(10.0, 26.0), fill=26.0),
    FeatureSpec("chinr", "chinr", "log10", clip=(0.1, 15.0), fill=1.0),
    FeatureSpec("sharpnr", "sharpnr", clip=(-1.0, 1.5)),
    # Not in the paper: what the host or star looks like in Pan-STARRS and Gaia, and the shape of the detection.
    FeatureSpec("ps1_g_r", "ps1_g_r", clip=(-2.0, 4.0)),
    FeatureSpec("ps1_r_i", "ps1_r_i", clip=(-2.0, 4.0)),
    FeatureSpec("ps1_i_z", "ps1_i_z", clip=(-2.0, 4.0)),
    FeatureSpec("neargaia", "neargaia", "log10", clip=(0.05, 90.0), valid=(0.0, 90.0), fill=90.0),
    FeatureSpec("maggaia", "maggaia", clip=(5.0, 22.0), fill=22.0),
    FeatureSpec("neargaiabright", "neargaiabright", "log10", clip=(0.05, 90.0), valid=(0.0, 90.0), fill=90.0),
    FeatureSpec("maggaiabright", "maggaiabright", clip=(5.0, 14.0), fill=14.0),
    FeatureSpec("elong", "elong", "log10", clip=(1.0, 10.0), fill=1.1),
    FeatureSpec("aimage", "aimage", "log10", clip=(0.1, 10.0), fill=0.8),
    FeatureSpec("chipsf", "chipsf", "log10", clip=(0.1, 100.0), fill=1.0),
    FeatureSpec("nneg", "nneg", clip=(0.0, 25.0)),
    FeatureSpec("sumrat", "sumrat", clip=(0.5, 1.0)),
    FeatureSpec("magdiff", "magdiff", clip=(-2.0, 2.0)),
    FeatureSpec("scorr", "scorr", "asinh", 5.0, clip=(0.0, 1000.0)),
    FeatureSpec("rb", "rb", clip=(0.0, 1.0)),
    *_LIGHT_CURVE_FEATURES,
)

# Fluxes in nJy; asinh is a logarithm that bears noise and either sign, its scale about the noise of a visit.
_RUBIN_FEATURES = (
    FeatureSpec("psf_flux", "psfFlux", "asinh", 300.0),
    FeatureSpec("science_flux", "scienceFlux", "asinh", 300.0),
    FeatureSpec("template_flux", "templateFlux", "asinh", 100.0),
    FeatureSpec("snr", "snr", "asinh", 5.0),
    FeatureSpec("is_negative", "isNegative", fill=0.0),
    FeatureSpec("extendedness", "extendedness", clip=(0.0, 1.0)),
    FeatureSpec("size_over_psf", "size_over_psf", clip=(0.0, 10.0), fill=1.0),
    FeatureSpec("difference_over_template", "difference_over_template", "asinh", 1.0, clip=(0.0, 1e4)),
    FeatureSpec("trail_length", "trailLength", "asinh", 1.0, clip=(0.0, 100.0), fill=0.0),
    FeatureSpec("is_dipole", "isDipole", fill=0.0),
    FeatureSpec("bbox_size", "bboxSize", "asinh", 10.0, clip=(0.0, 1000.0)),
)

_IN_UNITS_OF_NOISE = ("scale_noise", "crop", "nan_to_zero")


PRESETS = {
    "ztf": Preset(
        name="stamp-ztf",
        survey="ztf",
        stamps=StampSpec(channels=STAMP_NAMES, size=63, steps=_IN_UNITS_OF_NOISE),
        features=_ZTF_FEATURES,
        median_fill=frozenset(
            {"magpsf", "sigmapsf", "classtar", "chinr", "sharpnr"}
            | {"ps1_g_r", "ps1_r_i", "ps1_i_z", "elong", "aimage", "chipsf", "nneg", "sumrat", "magdiff", "scorr", "rb"}
        ),
        # ZTF takes detections within 1.5 arcsec for one object, and no asteroid stays there for a day.
        exclusions=(Exclusion("asteroid", "lc_span_days", 1.0),),
    ),
    "rubin": Preset(
        name="stamp-rubin",
        survey="rubin",
        # 29 pixels are 5.8 arcsec, the most that a 30-pixel cutout has around a centre that may be either middle pixel.
        stamps=StampSpec(channels=STAMP_NAMES, size=29, steps=_IN_UNITS_OF_NOISE),
        features=_RUBIN_FEATURES,
        median_fill=frozenset(
            {"psf_flux", "science_flux", "template_flux", "snr", "extendedness", "difference_over_template"}
            | {"bbox_size"}
        ),
    ),
}
