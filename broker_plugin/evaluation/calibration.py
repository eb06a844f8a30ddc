"""Whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
"""Bins of equal count: each then has enough alerts to tell, however the probabilities are spread."""

_RESAMPLES = 1000

Probabilities = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Bin:
    """Alerts of similar probability.

    Attributes
    ----------
    probability
        Their mean probability.
    share
        The share of them for which what was said is true.
    """

    count: int
    probability: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """How far shares are from probabilities.

    Attributes
    ----------
    bins
        Of the highest probability of each alert, `BINS` of equal count.
    error
        The expected calibration error: mean of the bins' distance between probability and share, weighted by count
        (Naeini et al. 2015, AAAI 29, 2901; bins of equal count as in Nixon et al. 2019, arXiv:1904.01685).
    chance_error, chance_error_95
        Mean and 95% quantile of what a perfectly calibrated classifier with these probabilities would have with as
        many alerts: labels drawn anew from the probabilities.
    classwise_error
        Mean over the classes of the same error of each class's probability.
    classwise_chance_error
        Its mean where labels are drawn from the probabilities.
    """

    bins: tuple[Bin, ...]
    error: float
    chance_error: float
    chance_error_95: float
    classwise_error: float
    classwise_chance_error: float


def calibration(truth: NDArray[np.int64], probabilities: Probabilities, seed: int = 1) -> Calibration:
    """Measure it.

    Parameters
    ----------
    truth
        (n,), class numbers.
    probabilities
        (n, classes); rows sum to one.
    """
    rng = np.random.default_rng(seed)
    drawn = [_drawn_labels(probabilities, rng) for _ in range(_RESAMPLES)]
    by_chance = [top_error(labels, probabilities) for labels in drawn]
    classwise_by_chance = [classwise_error(labels, probabilities) for labels in drawn]
    return Calibration(
        _bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth),
        top_error(truth, probabilities),
        float(np.mean(by_chance)),
        float(np.quantile(by_chance, 0.95)),
        classwise_error(truth, probabilities),
        float(np.mean(classwise_by_chance)),
    )


def top_error(truth: NDArray[np.int64], probabilities: Probabilities) -> float:
    """The expected calibration error of the highest probability."""
    return _error(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)


def classwise_error(truth: NDArray[np.int64], probabilities: Probabilities) -> float:
    """The mean over the classes of the calibration error of each one's probability."""
    return float(np.mean([_error(column, truth == number) for number, column in enumerate(probabilities.T)]))


def _drawn_labels(probabilities: Probabilities, rng: np.random.Generator) -> NDArray[np.int64]:
    below = probabilities.cumsum(axis=1) < rng.random((len(probabilities), 1))
    return np.asarray(np.minimum(below.sum(axis=1), probabilities.shape[1] - 1))


def _error(probability: Probabilities, true: NDArray[np.bool_]) -> float:
    order = np.argsort(probability, kind="stable")
    starts = np.linspace(0, len(order), min(BINS, len(order)), endpoint=False).astype(int)
    return float(np.abs(np.add.reduceat((probability - true)[order], starts)).sum() / len(order))


def _bins(probability: Probabilities, true: NDArray[np.bool_]) -> tuple[Bin, ...]:
    order = np.argsort(probability, kind="stable")
    starts = np.linspace(0, len(order), min(BINS, len(order)), endpoint=False).astype(int)
    parts = np.split(order, starts[1:])
    return tuple(Bin(len(rows), float(probability[rows].mean()), float(true[rows].mean())) for rows in parts)
