"""How the probabilities go with each feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import FeatureSpec
from broker_plugin.evaluation.answers import Answers

_BINS = 8


@dataclass(frozen=True)
class Relation:
    """The mean probability of each class against one feature.

    Attributes
    ----------
    feature
        Its name, with the transform that the bundle makes of it.
    values
        Mean of the transformed feature in each bin, rising.
    probabilities
        For each class, the mean of its probability in each bin.
    missing
        Alerts whose packet lacks it; they are in no bin.
    """

    feature: str
    values: tuple[float, ...]
    probabilities: dict[str, tuple[float, ...]]
    missing: int


def relations(answers: Answers) -> list[Relation]:
    """One for each feature: Figs. E3 and E4 of Carrasco-Davis et al. 2021."""
    return [_relation(answers, column, feature) for column, feature in enumerate(answers.manifest.features)]


def _relation(answers: Answers, column: int, feature: FeatureSpec) -> Relation:
    known = np.array([feature.name not in names for names in answers.imputed])
    transformed = answers.features[known, column].astype(np.float64) * feature.std + feature.mean
    probabilities = answers.probabilities[known]
    parts = _bins(transformed)
    return Relation(
        _shown(feature),
        tuple(float(transformed[rows].mean()) for rows in parts),
        {
            name: tuple(float(probabilities[rows, number].mean()) for rows in parts)
            for number, name in enumerate(answers.classes)
        },
        int((~known).sum()),
    )


def _bins(values: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Row numbers of bins of rising value: one for each where there are few, as of a boolean, else of equal count."""
    distinct = np.unique(values)
    if len(distinct) <= _BINS:
        return [np.flatnonzero(values == value) for value in distinct]
    inner_edges = np.quantile(values, np.linspace(0.0, 1.0, _BINS + 1)[1:-1])
    bins = np.searchsorted(inner_edges, values, side="right")
    return [np.flatnonzero(bins == number) for number in np.unique(bins)]


def _shown(feature: FeatureSpec) -> str:
    if feature.transform == "identity":
        return feature.name
    inside = feature.name if feature.scale == 1.0 else f"{feature.name} / {feature.scale:g}"
    return f"{feature.transform}({inside})"
