"""The metadata features of Carrasco-Davis et al. 2021, as its network was deployed and as the paper has them."""

from __future__ import annotations

from dataclasses import replace

from broker_plugin.bundles import FeatureSpec

MISSING = -1.0
"""ZTF writes -999 for what is missing, and the published code clips that to -1."""


def _known_by_its_clip(name: str, high: float | None = None) -> FeatureSpec:
    return FeatureSpec(name, name, clip=(MISSING, high), fill=MISSING)


_FEATURES = (
    *(_known_by_its_clip(f"{what}{i}") for i in (1, 2, 3) for what in ("sgscore", "distpsnr")),
    FeatureSpec("isdiffpos", "isdiffpos", true_value=0.0, false_value=1.0),  # the code's sign; the paper has the other
    FeatureSpec("fwhm", "fwhm", clip=(None, 10.0)),
    *(FeatureSpec(name, name) for name in ("magpsf", "sigmapsf", "ra", "dec", "diffmaglim")),
    FeatureSpec("rb", "rb"),
    _known_by_its_clip("distnr"),
    _known_by_its_clip("magnr"),
    FeatureSpec("classtar", "classtar"),
    FeatureSpec("ndethist", "ndethist", clip=(None, 20.0)),
    FeatureSpec("ncovhist", "ncovhist", clip=(None, 3000.0)),
    FeatureSpec("ecl_lat", "ecliptic_latitude_deg"),
    FeatureSpec("ecl_long", "ecliptic_longitude_deg"),
    FeatureSpec("gal_lat", "galactic_latitude_deg"),
    FeatureSpec("gal_long", "galactic_longitude_deg"),
    # Not the upper limits of the packet's history: the deployed code subtracts one count from the other.
    FeatureSpec("non_detections", "ncovhist_minus_ndethist", clip=(None, 2000.0)),
    _known_by_its_clip("chinr", 15.0),
    _known_by_its_clip("sharpnr", 1.5),
)
_ONLY_AMONG_26 = frozenset({"rb", "distnr", "magnr"})
FEATURES_OF_LAYOUT: dict[int, tuple[FeatureSpec, ...]] = {
    0: (),
    23: tuple(feature for feature in _FEATURES if feature.name not in _ONLY_AMONG_26),
    26: _FEATURES,
}
"""The features of the published networks by their number, in order, without mean, standard deviation and most fills."""

_AS_IN_THE_PAPER = {
    "isdiffpos": FeatureSpec("isdiffpos", "isdiffpos", fill=1.0),
    "non_detections": replace(
        next(feature for feature in _FEATURES if feature.name == "non_detections"), source="non_detections"
    ),
}
PUBLISHED_FEATURES = tuple(_AS_IN_THE_PAPER.get(feature.name, feature) for feature in FEATURES_OF_LAYOUT[23])
"""The 23 features of Table A1, in the order and with the clips of its code.

What is missing there is -999, which its clips make -1.  ZTF's ``t`` is 1 here, as in the paper; in its code it is 0."""
