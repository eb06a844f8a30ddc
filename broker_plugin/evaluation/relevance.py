"""Which features tell the classes apart by themselves: a random forest on the metadata alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from broker_plugin.evaluation.answers import Features

_TREES = 100
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Relevance:
    """One feature of the forest.

    Attributes
    ----------
    importance
        Mean decrease of impurity; over all features it sums to one.
    cumulative_accuracy
        Of a forest with this feature and all more important ones.
    """

    feature: str
    importance: float
    cumulative_accuracy: float


def relevance(
    features: Features,
    truth: NDArray[np.int64],
    objects: Sequence[str],
    names: Sequence[str],
    *,
    progress: Callable[[], None],
    seed: int = 1,
) -> list[Relevance]:
    """Fit the forests; the most important feature comes first.

    Accuracies are cross-validated, with all alerts of an object in one fold.  Fig. 11 of Carrasco-Davis et al. 2021.

    Parameters
    ----------
    features
        (n, features), as the network takes them.
    progress
        Called after each feature.

    Returns
    -------
    list of Relevance
        Empty where there are fewer than two classes of five objects or more, which is what the folds need.
    """
    groups = np.unique(np.asarray(objects), return_inverse=True)[1]
    usable = np.isin(truth, [c for c in np.unique(truth) if len(np.unique(groups[truth == c])) >= _FOLDS])
    if len(np.unique(truth[usable])) < 2:
        return []
    features, truth, groups = features[usable], truth[usable], groups[usable]

    def forest() -> RandomForestClassifier:
        return RandomForestClassifier(_TREES, class_weight="balanced", random_state=seed)

    importance = forest().fit(features, truth).feature_importances_
    order = np.argsort(importance)[::-1]
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    results = []
    for count in range(1, len(order) + 1):
        said = cross_val_predict(forest(), features[:, order[:count]], truth, groups=groups, cv=folds)
        last = int(order[count - 1])
        results.append(Relevance(names[last], float(importance[last]), float((said == truth).mean())))
        progress()
    return results
