"""Labelled alerts as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, Identity
from broker_plugin.bundles import FeatureSpec, Manifest
from broker_plugin.evaluation.examples import Examples, Label
from broker_plugin.packets import PacketReader
from broker_plugin.tensors import LIGHT_CURVE, make_batch, needed_fields, needs_history
from broker_plugin.tensors.metadata import feature_matrix

TRUST_WEIGHT = {1: 1.0, 2: 1.0, 3: 0.5}
"""What an example counts by the trust in its label."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples as arrays.

    Attributes
    ----------
    stamps, features
        float32, (n, size, size, channels) and (n, features).
    truth
        Class numbers, (n,).
    weight
        What each example counts in the loss, (n,).
    """

    stamps: np.ndarray
    features: np.ndarray
    truth: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: np.ndarray) -> Arrays:
        """Those of these row numbers, or for which a mask is true."""
        return Arrays(*(getattr(self, field.name)[rows] for field in fields(self)))


def simulated_examples(survey: str, per_class: int, seed: int, features: Sequence[FeatureSpec]) -> Examples:
    """Synthetic alerts, ``per_class`` of each class, read as real ones are."""
    from broker_plugin.simulation import CLASSES, simulate_packets

    reader = PacketReader(needed_fields(features), history=needs_history(features))
    alerts, labels = [], []
    for packet in simulate_packets(survey, per_class * len(CLASSES), seed):
        alert = reader.read(packet.payload)
        if isinstance(alert, Alert):
            alerts.append(alert)
            labels.append(Label(packet.class_name, object_id=str(packet.alert_id)))
    return Examples(alerts, labels)


def to_arrays(examples: Examples, manifest: Manifest) -> Arrays:
    """The tensors that the stage would make of the examples, without those that it could not classify.

    Of alerts with doctored metadata, all features are unknown.
    """
    batch = make_batch(examples.alerts, manifest)
    batch.features[[label.doctored_metadata for label in examples.labels]] = 0.0
    good = [row for row in range(len(examples.alerts)) if row not in batch.problems]
    index = {name: i for i, name in enumerate(manifest.classes)}
    return Arrays(
        stamps=batch.stamps[good],
        features=batch.features[good],
        truth=np.array([index[examples.labels[row].class_name] for row in good], dtype=np.int64),
        weight=np.array([TRUST_WEIGHT.get(examples.labels[row].trust, 1.0) for row in good], dtype=np.float32),
    )


def joined(*parts: Arrays) -> Arrays:
    """The examples of all parts."""
    return Arrays(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Arrays)))


def folds_by_object(labels: Sequence[Label], count: int, rng: np.random.Generator) -> np.ndarray:
    """Deal the objects of each class to ``count`` folds; the number of the fold for each label, (n,)."""
    fold: dict[str, int] = {}
    for class_name in sorted({label.class_name for label in labels}):
        objects = sorted({label.object_id for label in labels if label.class_name == class_name} - fold.keys())
        start = int(rng.integers(count))  # the remainders of all classes would else go to the first folds
        fold.update({str(name): (start + i) % count for i, name in enumerate(rng.permutation(objects))})
    return np.array([fold[label.object_id] for label in labels], dtype=np.int64)


def standardised(manifest: Manifest, median_fill: frozenset[str], alerts: Sequence[Alert]) -> tuple[FeatureSpec, ...]:
    """The manifest's features with fill, mean and standard deviation as these alerts have them."""
    raw = make_batch(alerts, manifest)
    done = []
    for i, feature in enumerate(manifest.features):
        present = np.array([feature.name not in names for names in raw.imputed])
        column = raw.features[:, i].astype(np.float64)
        if feature.name in median_fill and present.any():
            feature = replace(feature, fill=_untransformed(float(np.median(column[present])), feature))
        known = column[present] if present.any() else column
        std = float(known.std())
        done.append(replace(feature, mean=float(known.mean()), std=std if std > 1e-6 else 1.0))
    return tuple(done)


def first_features(features: Sequence[FeatureSpec]) -> NDArray[np.float32]:
    """What the features of the history are for the first alert of an object, NaN for all others, (features,)."""
    none_yet = feature_matrix([Alert(Identity())], features).values[0]
    return np.where([feature.source in LIGHT_CURVE for feature in features], none_yet, np.float32(np.nan))


def _untransformed(value: float, feature: FeatureSpec) -> float:
    if feature.transform == "asinh":
        return float(np.sinh(value) * feature.scale)
    return 10.0**value if feature.transform == "log10" else value
