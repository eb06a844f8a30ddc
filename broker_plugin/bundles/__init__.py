"""Bundles: a model, and all that turns an alert into its tensors and its output into a record."""

from broker_plugin.bundles.manifest import (
    BundleError,
    Exclusion,
    FeatureSpec,
    Manifest,
    ModelSpec,
    NoveltySpec,
    SequenceSpec,
    StampSpec,
)
from broker_plugin.bundles.store import Bundle, find_bundles, find_verified, load, verify

__all__ = [
    "Bundle",
    "BundleError",
    "Exclusion",
    "FeatureSpec",
    "Manifest",
    "ModelSpec",
    "NoveltySpec",
    "SequenceSpec",
    "StampSpec",
    "find_bundles",
    "find_verified",
    "load",
    "verify",
]
