"""A classifier in a few numbers, and how they spread over classifiers of other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.evaluation.ablation import balanced_accuracy
from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.calibration import top_error
from broker_plugin.evaluation.examples import STRONG_TRUST
from broker_plugin.evaluation.intervals import Interval, bootstrap, share
from broker_plugin.evaluation.roc import roc

TRANSIENT = "SN"
"""The class whose curve is drawn, where a bundle and its alerts have it."""


@dataclass(frozen=True)
class Summary:
    """One bundle in a few numbers; intervals are of 95%, by object.

    Attributes
    ----------
    accuracy, strong_accuracy
        Over all labels, and over those of `STRONG_TRUST`; None where there is none.
    balanced_accuracy
        Mean recall of the classes that occur.
    recall, strong_recall
        By class, of those that occur.
    calibration_error
        See `calibration.Calibration.error`.
    true_positive_rate
        Of `TRANSIENT` at a false positive rate of `roc.FALSE_POSITIVE_RATE`; None where there is none.
    """

    bundle: str
    alerts: int
    objects: int
    accuracy: Interval
    strong_alerts: int
    strong_accuracy: Interval | None
    balanced_accuracy: Interval
    recall: dict[str, Interval]
    strong_recall: dict[str, Interval]
    calibration_error: Interval
    true_positive_rate: Interval | None


@dataclass(frozen=True)
class Confusion:
    """Confusion matrices of several bundles.

    Attributes
    ----------
    counts
        Of the first bundle; rows true, columns said.
    mean, spread
        Over the bundles, of the shares of each row: mean and standard deviation (0 of a single bundle, and where a
        class does not occur, NaN).
    bundles
        How many.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    bundles: int


def summary(answers: Answers) -> Summary:
    """The numbers of one bundle."""
    objects = np.array(answers.objects)
    strong = np.array([label.trust in STRONG_TRUST for label in answers.examples.labels])

    def share_of(rows: NDArray[np.bool_]) -> Interval:
        return share(answers.right[rows], objects[rows].tolist())

    def recalls(among: NDArray[np.bool_]) -> dict[str, Interval]:
        rows = {name: among & (answers.truth == number) for number, name in enumerate(answers.classes)}
        return {name: share_of(which) for name, which in rows.items() if which.any()}

    everything = np.ones(len(objects), dtype=bool)
    return Summary(
        bundle=answers.manifest.label,
        alerts=len(objects),
        objects=len(set(objects)),
        accuracy=share_of(everything),
        strong_alerts=int(strong.sum()),
        strong_accuracy=share_of(strong) if strong.any() else None,
        balanced_accuracy=bootstrap(
            lambda rows: balanced_accuracy(answers.truth[rows], answers.said[rows]), answers.objects
        ),
        recall=recalls(everything),
        strong_recall=recalls(strong),
        calibration_error=bootstrap(
            lambda rows: top_error(answers.truth[rows], answers.probabilities[rows]), answers.objects
        ),
        true_positive_rate=_true_positive_rate(answers),
    )


def _true_positive_rate(answers: Answers) -> Interval | None:
    if TRANSIENT not in answers.classes:
        return None
    number = answers.classes.index(TRANSIENT)

    def rate(rows: NDArray[np.int64]) -> float:
        curve = roc(TRANSIENT, answers.truth[rows] == number, answers.probabilities[rows, number])
        return float("nan") if curve is None else curve.at_rate.true_positive_rate

    if np.isnan(rate(np.arange(len(answers.truth)))):
        return None
    return bootstrap(rate, answers.objects)


def confusion(all_answers: Sequence[Answers]) -> Confusion:
    """The matrices of bundles of equal classes."""
    classes = all_answers[0].classes
    return confusion_of(classes, [confusion_counts(each.truth, each.said, len(classes)) for each in all_answers])


def confusion_counts(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many of each true class (rows) were said to be of each."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (truth, said), 1)
    return matrix


def confusion_of(classes: tuple[str, ...], counts: Sequence[NDArray[np.int64]]) -> Confusion:
    """The same from counts, one matrix for each bundle."""
    with np.errstate(invalid="ignore"):
        shares = np.stack([matrix / matrix.sum(axis=1, keepdims=True) for matrix in counts])
    return Confusion(classes, counts[0], shares.mean(axis=0), shares.std(axis=0), len(counts))
