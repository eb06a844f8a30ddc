"""What a temporal classifier is made of for each survey, before the data are seen."""

from __future__ import annotations

from dataclasses import dataclass

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec, SequenceSpec, StampSpec
from broker_plugin.training.presets import PREPROCESSING_VERSION, PRESETS

CLASSES = ("AGN", "SN", "VS")
TAXONOMY = "alerce-temporal-stamp"
TAXONOMY_VERSION = "1.0"
"""The classes of Neira, Estévez and Förster 2024 (arXiv:2405.15073): what stays at its place on the sky."""

LENGTH = 8
"""Detections that a model looks at; the paper takes 2 to 5."""
STAMP_PIXELS = 33
"""On a side, as in the paper: 6.5 kB a detection in float16."""

_DETECTION_FEATURES = (
    FeatureSpec("days_since_first", "days_since_first", "asinh", 1.0, clip=(0.0, 1000.0)),
    FeatureSpec("days_since_previous", "days_since_previous", "asinh", 0.1, clip=(0.0, 1000.0)),
    FeatureSpec("days_before_last", "days_before_last", "asinh", 1.0, clip=(0.0, 1000.0)),
    FeatureSpec("difference_mag", "difference_mag", clip=(10.0, 24.0), fill=19.0),
    FeatureSpec("relative_flux", "relative_flux", clip=(-1.0, 1.0)),
    FeatureSpec("flux_snr", "flux_snr", "log10", clip=(1.0, 1000.0), fill=5.0),
    FeatureSpec("flux_is_positive", "flux_is_positive", fill=0.5),
    FeatureSpec("has_stamps", "has_stamps"),
    FeatureSpec("band_is_g", "band_is_g"),
    FeatureSpec("band_is_r", "band_is_r"),
    FeatureSpec("distnr", "distnr", "log10", clip=(0.05, 30.0), fill=30.0),
)
ALLWISE_FEATURES = (
    # Vega magnitudes; a missing one is that of a typical galaxy, and the first two tell that it is missing.
    FeatureSpec("allwise_looked_up", "allwise.looked_up", fill=0.0),
    FeatureSpec("allwise_found", "allwise.found", fill=0.0),
    FeatureSpec("allwise_w1", "allwise.w1_mag", clip=(5.0, 18.0), fill=15.0),
    FeatureSpec("allwise_w1_w2", "allwise_w1_w2", clip=(-0.5, 2.5), fill=0.3),
    FeatureSpec("allwise_w2_w3", "allwise_w2_w3", clip=(-1.0, 6.0), fill=2.0),
    FeatureSpec("allwise_separation", "allwise.separation_arcsec", clip=(0.0, 3.0), fill=0.0),
    FeatureSpec("magnr_w1", "magnr_w1", clip=(-2.0, 10.0), fill=3.0),
)


@dataclass(frozen=True)
class TemporalPreset:
    """As `training.presets.Preset`; the features are those of the latest alert and of its AllWISE counterpart."""

    name: str
    survey: str
    stamps: StampSpec
    features: tuple[FeatureSpec, ...]
    sequence: SequenceSpec
    median_fill: frozenset[str]

    def manifest(self, name: str | None = None, version: str = "0.1.0") -> Manifest:
        """As much of a manifest as is known before the fit."""
        return Manifest(
            name=name or self.name,
            version=version,
            kind="temporal",
            survey=self.survey,
            description=f"Temporal stamp classifier for {self.survey} objects of two detections and more.",
            taxonomy=TAXONOMY,
            taxonomy_version=TAXONOMY_VERSION,
            classes=CLASSES,
            preprocessing_version=PREPROCESSING_VERSION,
            stamps=self.stamps,
            features=self.features,
            model=ModelSpec(signatures={"float32": ""}),
            sequence=self.sequence,
        )


TEMPORAL_PRESETS = {
    "ztf": TemporalPreset(
        name="temporal-ztf",
        survey="ztf",
        stamps=StampSpec(STAMP_NAMES, STAMP_PIXELS, PRESETS["ztf"].stamps.steps),
        features=(*PRESETS["ztf"].features, *ALLWISE_FEATURES),
        sequence=SequenceSpec(LENGTH, _DETECTION_FEATURES),
        median_fill=PRESETS["ztf"].median_fill,
    ),
}
"""By survey.  None for Rubin, for want of labelled objects with two detections: see ``docs/temporal.md``."""
