"""Scores of a classifier, and its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.models import calibrated

Probabilities = NDArray[np.floating[Any]]


def scores(truth: NDArray[np.int64], probabilities: Probabilities, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy and what is behind it.

    Returns
    -------
    dict
        ``n``; ``accuracy``; ``balanced_accuracy``, the mean recall of the classes that occur; ``recall`` by
        class; ``negative_log_likelihood`` in nats; ``confusion``, rows true, columns said.
    """
    said = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(confusion, (truth, said), 1)
    occurring = confusion.sum(axis=1) > 0
    recall = confusion.diagonal()[occurring] / confusion.sum(axis=1)[occurring]
    likelihood = probabilities[np.arange(len(truth)), truth]
    return {
        "n": len(truth),
        "accuracy": round(float((said == truth).mean()), 4),
        "balanced_accuracy": round(float(recall.mean()), 4),
        "recall": {
            name: round(float(value), 4) for name, value in zip(np.array(classes)[occurring], recall, strict=True)
        },
        "negative_log_likelihood": round(float(-np.log(np.maximum(likelihood, 1e-12)).mean()), 4),
        "confusion": confusion.tolist(),
    }


def best_temperature(truth: NDArray[np.int64], probabilities: Probabilities) -> float:
    """The temperature with the highest likelihood of ``truth``, from 0.1 to 5."""
    candidates = np.geomspace(0.1, 5.0, 79)
    rows = np.arange(len(truth))
    raw = np.asarray(probabilities, dtype=np.float64)
    losses = [-np.log(np.maximum(calibrated(raw, t)[rows, truth], 1e-12)).mean() for t in candidates]
    return round(float(candidates[int(np.argmin(losses))]), 4)
