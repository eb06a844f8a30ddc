"""Labelled alerts as arrays, and how they are dealt into those that are learned from and those that are not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import FeatureSpec
from broker_plugin.evaluation.examples import Label
from broker_plugin.tensors import LIGHT_CURVE
from broker_plugin.tensors.metadata import features_of, missing_features
from broker_plugin.training.cache import CachedAlerts

TRUST_WEIGHT = {1: 1.0, 2: 1.0, 3: 0.5}
"""What an example counts by the trust in its label."""

HELD_OUT_PER_CLASS = 100
"""Alerts of each class that Carrasco-Davis et al. 2021 set aside for validation, and as many again for the test."""
MOST_HELD_OUT = 0.2
"""Of a class that is too small for that, this share is set aside, and one alert at least.  The rule is ours."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples as arrays.

    Attributes
    ----------
    stamps, features
        float32, (n, size, size, channels) and (n, features).  The stamps may lie on disk.
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
        """Those of these row numbers, or for which a mask is true; in memory."""
        return Arrays(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class LabelledAlerts:
    """Alerts that can be classified, with their labels, for all of which there is a class number.

    Attributes
    ----------
    cached
        Stamps and metadata, row by row.
    labels
        Of the rows.
    truth
        Class numbers of the rows.
    """

    cached: CachedAlerts
    labels: Sequence[Label]
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def arrays(self, features: Sequence[FeatureSpec], *, as_sent: bool = False) -> Arrays:
        """The tensors that the stage would make of the alerts.

        Of alerts with doctored metadata all features are unknown, unless they are taken ``as_sent``: as the stage,
        which knows of no labels, would take them.
        """
        values = self.cached.features(features)
        if not as_sent:
            values[[label.doctored_metadata for label in self.labels]] = 0.0
        weight = np.array([TRUST_WEIGHT.get(label.trust, 1.0) for label in self.labels], dtype=np.float32)
        return Arrays(self.cached.stamps, values, self.truth, weight)

    def digest(self, rows: NDArray[np.int64]) -> str:
        """SHA-256 over ids and labels of these rows, in order of ids: tells one training set from another."""
        ids = self.cached.alert_ids
        lines = sorted(
            f"{self.cached.survey} {ids[row]} {self.labels[row].class_name} {self.labels[row].trust}"
            for row in rows.tolist()
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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


def held_out_by_object(labels: Sequence[Label], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Set aside `HELD_OUT_PER_CLASS` alerts of each class, or `MOST_HELD_OUT` of a smaller one, objects whole.

    Returns
    -------
    numpy.ndarray
        Whether each label is set aside, (n,).  The last object of a class may bring some alerts more.
    """
    of_class = Counter(label.class_name for label in labels)
    of_object = Counter((label.class_name, label.object_id) for label in labels)
    chosen: set[str] = set()
    for class_name in sorted(of_class):
        wanted = min(HELD_OUT_PER_CLASS, max(1, int(MOST_HELD_OUT * of_class[class_name])))
        objects = sorted(name for of, name in of_object if of == class_name)
        found = sum(of_object[class_name, name] for name in objects if name in chosen)
        for name in map(str, rng.permutation(objects)):
            if found >= wanted:
                break
            if name not in chosen:
                chosen.add(name)
                found += of_object[class_name, name]
    return np.array([label.object_id in chosen for label in labels], dtype=bool)


def standardised(
    features: Sequence[FeatureSpec], median_fill: Collection[str], raw: NDArray[np.float64]
) -> tuple[FeatureSpec, ...]:
    """The features with fill, mean and standard deviation as these values of their sources have them.

    Parameters
    ----------
    raw
        (n, features), NaN where missing.
    """
    matrix = features_of(raw, features)
    done = []
    for i, feature in enumerate(features):
        present = np.array([feature.name not in imputed for imputed in matrix.imputed], dtype=bool)
        column = matrix.values[:, i].astype(np.float64)
        if feature.name in median_fill and present.any():
            feature = replace(feature, fill=_untransformed(float(np.median(column[present])), feature))
        known = column[present] if present.any() else column
        std = float(known.std())
        done.append(replace(feature, mean=float(known.mean()), std=std if std > 1e-6 else 1.0))
    return tuple(done)


def first_features(features: Sequence[FeatureSpec]) -> NDArray[np.float32]:
    """What the features of the history are for the first alert of an object, NaN for all others, (features,)."""
    of_history = np.array([feature.source in LIGHT_CURVE for feature in features], dtype=bool)
    return np.where(of_history, missing_features(features), np.float32(np.nan))


def _untransformed(value: float, feature: FeatureSpec) -> float:
    if feature.transform == "asinh":
        return float(np.sinh(value) * feature.scale)
    return 10.0**value if feature.transform == "log10" else value
