"""Receiver operating characteristic of one class against all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

THRESHOLDS = (0.1, 0.2, 0.5)
"""Probabilities that are marked on the curve, as in Fig. 9 of Carrasco-Davis et al. 2021."""

FALSE_POSITIVE_RATE = 0.03
"""Where the true positive rate is read off: that paper's own point."""

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What is had by taking alerts from a probability on."""

    threshold: float
    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class Roc:
    """A curve from (0, 0) to (1, 1).

    Attributes
    ----------
    false_positive_rate, true_positive_rate
        Rising, of equal length.
    area
        Under the curve.
    marked
        At `THRESHOLDS`.
    at_rate
        The last point of the curve whose false positive rate is not above `FALSE_POSITIVE_RATE`.
    """

    class_name: str
    positives: int
    negatives: int
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    area: float
    marked: tuple[OperatingPoint, ...]
    at_rate: OperatingPoint


def roc(class_name: str, is_class: NDArray[np.bool_], probability: Scores) -> Roc | None:
    """The curve of a class; None where all alerts are of it, or none is.

    Parameters
    ----------
    is_class
        (n,), whether the alert is of the class.
    probability
        (n,), what was said for the class.
    """
    positives = int(is_class.sum())
    if positives in (0, len(is_class)):
        return None
    false_positive, true_positive, threshold = roc_curve(is_class, probability, drop_intermediate=False)
    last = int(np.searchsorted(false_positive, FALSE_POSITIVE_RATE, side="right")) - 1
    return Roc(
        class_name,
        positives,
        len(is_class) - positives,
        tuple(false_positive.tolist()),
        tuple(true_positive.tolist()),
        float(roc_auc_score(is_class, probability)),
        tuple(
            OperatingPoint(t, float((probability[~is_class] >= t).mean()), float((probability[is_class] >= t).mean()))
            for t in THRESHOLDS
        ),
        OperatingPoint(min(float(threshold[last]), 1.0), float(false_positive[last]), float(true_positive[last])),
    )
