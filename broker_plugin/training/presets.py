"""What is trained for each survey: classes, stamps, features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import FeatureSpec, StampSpec

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
TAXONOMY = "alerce-stamp"
TAXONOMY_VERSION = "1.0"
"""The five classes of Carrasco-Davis et al. 2021: AGN, supernova, variable star, asteroid, bogus."""


@dataclass(frozen=True)
class Preset:
    """Everything of a manifest that is decided before the data are seen.

    Attributes
    ----------
    features
        Without mean and std, which the training set gives; so does the fill where ``median_fill`` names it.
    stamps
        By the name of the architecture, how the stamps are prepared for it.
    median_fill
        Features whose missing values are best guessed by the median; the fill of the others has a meaning.
    """

    name: str
    survey: str
    stamps: Mapping[str, StampSpec]
    features: tuple[FeatureSpec, ...]
    median_fill: frozenset[str]


# Left out on purpose, though the 2021 paper has them: what tells how an alert was collected rather than what it
# is.  ndethist, ncovhist and non_detections (asteroids and bogus were taken at their first detection, the rest
# much later); diffmaglim and fwhm (the labelled asteroids are of seven nights, with poor seeing); where on the sky it
# is, in any coordinates (asteroids and AGN were labelled in a few fields; how crowded a field is, the stamps show).
# rb and drb are out because bogus labels come of them.
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
    FeatureSpec("elong", "elong", "log10", clip=(1.0, 10.0), fill=1.1),
    FeatureSpec("nneg", "nneg", clip=(0.0, 25.0)),
    FeatureSpec("sumrat", "sumrat", clip=(0.5, 1.0)),
    FeatureSpec("magdiff", "magdiff", clip=(-2.0, 2.0)),
    FeatureSpec("scorr", "scorr", "asinh", 5.0, clip=(0.0, 1000.0)),
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
_WHATEVER_THE_ANGLE = ("scale_disc_noise", "crop", "nan_to_zero")


def _like_the_paper(size: int) -> dict[str, StampSpec]:
    """The stamps of the forms of the 2021 network."""
    names = ("paper-2021", "paper-2021-5x5", "paper-2021-images")
    return dict.fromkeys(names, StampSpec(channels=STAMP_NAMES, size=size))


PRESETS = {
    "ztf": Preset(
        name="stamp-ztf",
        survey="ztf",
        stamps={
            "fast": StampSpec(channels=STAMP_NAMES, size=63, steps=_IN_UNITS_OF_NOISE),
            "polar": StampSpec(channels=STAMP_NAMES, size=33, steps=_WHATEVER_THE_ANGLE),
            **_like_the_paper(21),
            "enhanced-2024": StampSpec(channels=STAMP_NAMES, size=33),
        },
        features=_ZTF_FEATURES,
        median_fill=frozenset(
            {"magpsf", "sigmapsf", "classtar", "chinr", "sharpnr"}
            | {"ps1_g_r", "ps1_r_i", "ps1_i_z", "elong", "nneg", "sumrat", "magdiff", "scorr"}
        ),
    ),
    "rubin": Preset(
        name="stamp-rubin",
        survey="rubin",
        # 29 pixels are 5.8 arcsec, the most that a 30-pixel cutout has around a centre that may be either middle pixel.
        stamps={
            "fast": StampSpec(channels=STAMP_NAMES, size=29, steps=_IN_UNITS_OF_NOISE),
            "polar": StampSpec(channels=STAMP_NAMES, size=29, steps=_WHATEVER_THE_ANGLE),
            **_like_the_paper(29),
            "enhanced-2024": StampSpec(channels=STAMP_NAMES, size=29),
        },
        features=_RUBIN_FEATURES,
        median_fill=frozenset(
            {"psf_flux", "science_flux", "template_flux", "snr", "extendedness", "difference_over_template"}
            | {"bbox_size"}
        ),
    ),
}
