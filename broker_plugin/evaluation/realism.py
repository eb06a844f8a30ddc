"""How like real alerts simulated ones are: distributions by class, and a classifier told to tell them apart.

Every simulated alert counts as much as makes the classes as common as among the real ones, so that neither the
distributions nor the classifier see how often each class was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import AlertError
from broker_plugin.bundles import FeatureSpec, Manifest
from broker_plugin.evaluation.examples import Examples
from broker_plugin.evaluation.pixels import pixel_statistics
from broker_plugin.tensors import make_batch

Column = NDArray[np.float64]

FOLDS = 5
_REPEATS = 4
"""How often each quantity is shuffled to see what the classifier loses without it."""

_PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class Quantities:
    """What is known of each alert of a set, by name.

    Attributes
    ----------
    metadata, pixels
        Columns of shape ``(alerts,)``, NaN where an alert lacks a value.
    classes, object_ids
        Of each alert.
    """

    metadata: Mapping[str, Column]
    pixels: Mapping[str, Column]
    classes: NDArray[np.str_]
    object_ids: NDArray[np.str_]

    def matrix(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Columns of these names side by side, (alerts, names)."""
        both = {**self.metadata, **self.pixels}
        return np.stack([both[name] for name in names], axis=1)

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the comparison found.

    Attributes
    ----------
    auc
        Area under the ROC curve of the classifier, by what it was given: ``all``, ``metadata``, ``pixels``.  One half
        is a simulation that can't be told from the sky, one is a simulation that always can.
    auc_by_class
        That of the classifier given all, among the alerts of each class.
    importance
        Loss of the area when a quantity is shuffled among the alerts it was not taught with, greatest first.
    """

    auc: Mapping[str, float]
    auc_by_class: Mapping[str, float]
    importance: Mapping[str, float]


def measure(examples: Examples, manifest: Manifest) -> Quantities:
    """The quantities of labelled alerts; those that were doctored, or whose cutouts can't be read, are left out.

    Parameters
    ----------
    manifest
        Of the bundle whose features are compared, each as the network sees it but for its standardisation.
    """
    pixels: list[dict[str, float]] = []
    good = []
    for alert, label in zip(examples.alerts, examples.labels, strict=True):
        readable = False
        if not label.doctored_metadata:
            try:
                pixels.append(pixel_statistics(alert))
                readable = True
            except AlertError:
                pass
        good.append(readable)
    kept = examples.where(good)
    return Quantities(
        metadata=_features(kept, manifest),
        pixels={name: np.array([row[name] for row in pixels]) for name in (pixels[0] if pixels else ())},
        classes=np.array([label.class_name for label in kept.labels]),
        object_ids=np.array([label.object_id for label in kept.labels]),
    )


def _features(examples: Examples, manifest: Manifest) -> dict[str, Column]:
    plain = replace(manifest, features=tuple(_unscaled(feature) for feature in manifest.features))
    batch = make_batch(examples.alerts, plain)
    missing = np.array([[f.name in names for f in plain.features] for names in batch.imputed], dtype=bool)
    values = np.where(missing.reshape(batch.features.shape), np.nan, batch.features.astype(np.float64))
    return {feature.name: values[:, i] for i, feature in enumerate(plain.features)}


def _unscaled(feature: FeatureSpec) -> FeatureSpec:
    return replace(feature, mean=0.0, std=1.0)


def compare(real: Quantities, simulated: Quantities, seed: int = 0) -> Comparison:
    """Teach gradient-boosted trees to tell real from simulated, cross-validated by object.

    Only classes that occur on both sides are compared.

    Raises
    ------
    ValueError
        A side has fewer objects than there are folds, or no class is on both sides.
    ImportError
        scikit-learn is not installed.
    """
    from sklearn.metrics import roc_auc_score

    common = sorted(set(real.classes) & set(simulated.classes))
    sides = [(quantities, np.isin(quantities.classes, common)) for quantities in (real, simulated)]
    if min(len(set(q.object_ids[rows])) for q, rows in sides) < FOLDS:
        raise ValueError(f"too few objects of the same classes on both sides: at least {FOLDS} are needed")
    classes = np.concatenate([q.classes[rows] for q, rows in sides])
    is_real = np.concatenate([np.full(np.count_nonzero(rows), q is real) for q, rows in sides])
    objects = np.concatenate(
        [np.char.add(prefix, q.object_ids[rows]) for prefix, (q, rows) in zip(("real ", "sim "), sides, strict=True)]
    )
    weight = _weights(classes, is_real)
    auc = {}
    for given, names in (
        ("metadata", list(real.metadata)),
        ("pixels", list(real.pixels)),
        ("all", [*real.metadata, *real.pixels]),
    ):
        values = np.concatenate([q.matrix(names)[rows] for q, rows in sides])
        said, importance = _cross_validated(values, is_real, objects, weight, seed, rank=given == "all")
        auc[given] = round(float(roc_auc_score(is_real, said, sample_weight=weight)), 4)
    by_class = {
        str(name): round(float(roc_auc_score(is_real[classes == name], said[classes == name])), 4) for name in common
    }
    order = np.argsort(-importance)
    return Comparison(auc, by_class, {names[i]: round(float(importance[i]), 4) for i in order})


def _weights(classes: NDArray[np.str_], is_real: NDArray[np.bool_]) -> Column:
    """One for each real alert; for simulated ones what makes each class as heavy as the real one is."""
    weight = np.ones(len(classes))
    for name in set(classes):
        rows = classes == name
        weight[rows & ~is_real] = np.count_nonzero(rows & is_real) / np.count_nonzero(rows & ~is_real)
    return weight


def _cross_validated(
    values: NDArray[np.float64],
    is_real: NDArray[np.bool_],
    objects: NDArray[np.str_],
    weight: Column,
    seed: int,
    *,
    rank: bool,
) -> tuple[Column, Column]:
    """How real each alert is, as trees say that were not taught with its object; and each column's importance."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import StratifiedGroupKFold

    said = np.empty(len(values))
    importance = np.zeros(values.shape[1])
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learn, judge in folds.split(values, is_real, objects):
        trees = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, max_leaf_nodes=15, random_state=seed)
        trees.fit(values[learn], is_real[learn], sample_weight=weight[learn])
        said[judge] = trees.predict_proba(values[judge])[:, 1]
        if rank:
            loss = permutation_importance(
                trees,
                values[judge],
                is_real[judge],
                scoring="roc_auc",
                n_repeats=_REPEATS,
                random_state=seed,
                sample_weight=weight[judge],
            )
            importance += loss.importances_mean / FOLDS
    return said, importance


def distributions(real: Quantities, simulated: Quantities) -> dict[str, dict[str, dict[str, Any]]]:
    """Percentiles of each quantity, by class, and the Kolmogorov-Smirnov distance of both sides.

    Returns
    -------
    dict
        ``[quantity][class]`` has ``real`` and ``simulated`` (the 5th, 25th, 50th, 75th and 95th percentile, and
        ``missing``, the share without a value) and ``distance``, None where a side has no value.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in (*real.metadata, *real.pixels):
        found[name] = {}
        for class_name in sorted(set(real.classes) & set(simulated.classes)):
            ours, theirs = (q.matrix([name])[q.classes == class_name, 0] for q in (simulated, real))
            found[name][class_name] = {
                "real": _summary(theirs),
                "simulated": _summary(ours),
                "distance": _distance(theirs, ours),
            }
    return found


def _summary(column: Column) -> dict[str, Any]:
    finite = column[np.isfinite(column)]
    percentiles = np.percentile(finite, _PERCENTILES) if finite.size else np.zeros(0)
    return {
        "percentiles": [float(f"{value:.4g}") for value in percentiles],
        "missing": round(1.0 - finite.size / column.size, 4),
    }


def _distance(first: Column, second: Column) -> float | None:
    """Largest difference of the cumulative distributions (two-sample Kolmogorov-Smirnov statistic)."""
    first, second = (np.sort(column[np.isfinite(column)]) for column in (first, second))
    if not first.size or not second.size:
        return None
    both = np.concatenate([first, second])
    shares = [np.searchsorted(side, both, side="right") / side.size for side in (first, second)]
    return round(float(np.abs(shares[0] - shares[1]).max()), 4)
