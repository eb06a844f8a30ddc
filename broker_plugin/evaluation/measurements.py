"""All that a report says, measured in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.evaluation.ablation import (
    Ablated,
    ImageSubset,
    ablate,
    absent_groups,
    groups,
    image_subsets,
    single_features,
)
from broker_plugin.evaluation.answers import Answers, Unclassified
from broker_plugin.evaluation.calibration import Calibration, calibration
from broker_plugin.evaluation.groups import GroupScore, tables
from broker_plugin.evaluation.novelty import Strange, nonsense, others
from broker_plugin.evaluation.relations import Relation, relations
from broker_plugin.evaluation.relevance import Relevance, relevance
from broker_plugin.evaluation.robustness import Turned, turn
from broker_plugin.evaluation.roc import Roc, roc
from broker_plugin.evaluation.summary import TRANSIENT, Confusion, Summary, confusion, summary
from broker_plugin.evaluation.timing import Timing, time_batches

_MISTAKES = 12

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is being measured."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over bundles of several seeds."""

    mean: float
    standard_deviation: float
    bundles: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """An alert of which something wrong was said with confidence."""

    row: int
    alert_id: int | None
    object_id: str
    true: str
    said: str
    probability: float
    probability_of_true: float
    trust: int
    source: str


@dataclass(frozen=True)
class Cost(Timing):
    """What an answer costs: the network alone, on tensors that are ready."""

    megaflops_per_alert: float


@dataclass(frozen=True)
class Measurements:
    """What is measured of a bundle, the first of those given; of the others, its summary and confusion matrix.

    Attributes
    ----------
    summaries
        Of each bundle, the first one's first.
    spread
        Of its numbers over the bundles; empty of one alone.
    roc
        Of `summary.TRANSIENT`; None where the bundle or its alerts have none.
    tables
        By title, the accuracy of parts of the alerts.
    groups_absent
        Groups of features of which the bundle has none.
    distributions
        By title, of each class, quantiles (5, 25, 50, 75, 95%) of the probability of the true class.
    """

    bundle: str
    sha256: str
    survey: str
    split: str
    classes: dict[str, int]
    summaries: tuple[Summary, ...]
    spread: dict[str, Spread]
    confusion: Confusion
    roc: Roc | None
    calibration: Calibration
    distributions: dict[str, dict[str, tuple[float, ...]]]
    tables: dict[str, list[GroupScore]]
    features_ablated: tuple[Ablated, ...]
    groups_ablated: tuple[Ablated, ...]
    groups_absent: tuple[str, ...]
    image_subsets: tuple[ImageSubset, ...]
    turned: tuple[Turned, ...]
    strange: tuple[Strange, ...]
    relevance: tuple[Relevance, ...]
    relations: tuple[Relation, ...]
    cost: Cost
    mistakes: tuple[Mistake, ...]
    unclassified: tuple[Unclassified, ...]
    not_found: int

    @property
    def summary(self) -> Summary:
        """Of the first bundle."""
        return self.summaries[0]

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        plain: dict[str, Any] = as_plain(asdict(self))
        return plain


def measure(
    all_answers: Sequence[Answers],
    *,
    split: str,
    by_title: Mapping[str, Answers],
    other_packets: Sequence[Path],
    megaflops_per_alert: float,
    progress: Progress,
) -> Measurements:
    """Measure everything; takes minutes for a thousand alerts.

    Parameters
    ----------
    all_answers
        Of the bundle that the report is about, then of those of other seeds, with equal classes.
    split
        Which rows of the labels these are, for the reader.
    by_title
        Whose distributions of probability are shown.
    other_packets
        Files and folders of packets that are unlike the training data.
    megaflops_per_alert
        Of the first bundle; see `models.cost.megaflops`.
    """
    answers = all_answers[0]
    manifest, tensors = answers.manifest, (answers.stamps, answers.features)
    single, grouped = single_features(manifest), groups(manifest)
    steps = Steps(6 + 2 * len(single) + len(grouped), progress)

    steps.next("scores")
    summaries = tuple(summary(each) for each in all_answers)
    steps.next("calibration")
    calibrated = calibration(answers.truth, answers.probabilities)
    features_ablated, groups_ablated = (
        tuple(
            ablate(answers.predict, *tensors, answers.truth, manifest, parts, progress=lambda: steps.next("ablation"))
        )
        for parts in (single, grouped)
    )
    steps.next("images")
    subsets = image_subsets(answers.predict, *tensors, answers.truth, manifest.stamps.channels)
    steps.next("rotations")
    turned = turn(answers.predict, *tensors)
    steps.next("novelty")
    strange = nonsense(answers) + [one for path in other_packets if (one := others(answers, path)) is not None]
    names = [feature.name for feature in manifest.features]
    relevant = relevance(
        answers.features, answers.truth, answers.objects, names, progress=lambda: steps.next("random forest")
    )
    steps.next("time")
    return Measurements(
        bundle=manifest.label,
        sha256=answers.model.bundle.sha256,
        survey=manifest.survey,
        split=split,
        classes={name: int((answers.truth == number).sum()) for number, name in enumerate(answers.classes)},
        summaries=summaries,
        spread=_spread(summaries),
        confusion=confusion(all_answers),
        roc=_transient_roc(answers),
        calibration=calibrated,
        distributions={title: _quantiles(each) for title, each in by_title.items()},
        tables=tables(answers),
        features_ablated=features_ablated,
        groups_ablated=groups_ablated,
        groups_absent=tuple(absent_groups(manifest)),
        image_subsets=tuple(subsets),
        turned=tuple(turned),
        strange=tuple(strange),
        relevance=tuple(relevant),
        relations=tuple(relations(answers)),
        cost=_cost(answers, megaflops_per_alert),
        mistakes=tuple(_mistakes(answers)),
        unclassified=answers.unclassified,
        not_found=answers.not_found,
    )


class Steps:
    """Counts what is done, and tells it."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def next(self, text: str) -> None:
        """Begin another."""
        self._done += 1
        self._progress(min(self._done, self._total), self._total, text)


def _transient_roc(answers: Answers) -> Roc | None:
    if TRANSIENT not in answers.classes:
        return None
    number = answers.classes.index(TRANSIENT)
    return roc(TRANSIENT, answers.truth == number, answers.probabilities[:, number])


def _quantiles(answers: Answers) -> dict[str, tuple[float, ...]]:
    """Of the classes that occur."""
    return {
        name: tuple(np.quantile(answers.probabilities[rows, number], (0.05, 0.25, 0.5, 0.75, 0.95)).tolist())
        for number, name in enumerate(answers.classes)
        if (rows := answers.truth == number).any()
    }


def _spread(summaries: Sequence[Summary]) -> dict[str, Spread]:
    if len(summaries) < 2:
        return {}
    numbers: dict[str, list[float]] = {}
    for one in summaries:
        values = {
            "accuracy": one.accuracy,
            "strong_accuracy": one.strong_accuracy,
            "balanced_accuracy": one.balanced_accuracy,
            "calibration_error": one.calibration_error,
            "true_positive_rate": one.true_positive_rate,
        }
        values |= {f"recall {name}": interval for name, interval in one.recall.items()}
        for name, interval in values.items():
            if interval is not None:
                numbers.setdefault(name, []).append(interval.value)
    return {
        name: Spread(float(np.mean(each)), float(np.std(each, ddof=1)), len(each))
        for name, each in numbers.items()
        if len(each) > 1
    }


def _cost(answers: Answers, megaflops_per_alert: float) -> Cost:
    def ready(rows: NDArray[np.int64]) -> Callable[[], object]:
        return partial(answers.predict, answers.stamps[rows], answers.features[rows])

    timing = time_batches(ready, len(answers.truth), answers.model.device)
    return Cost(**vars(timing), megaflops_per_alert=megaflops_per_alert)


def _mistakes(answers: Answers) -> list[Mistake]:
    """The wrong answers of the highest probability; one of each object."""
    highest = answers.probabilities.max(axis=1)
    found: dict[str, Mistake] = {}
    for row in np.argsort(-highest, kind="stable"):
        label = answers.examples.labels[row]
        if answers.right[row] or label.object_id in found:
            continue
        found[label.object_id] = Mistake(
            row=int(row),
            alert_id=answers.examples.alerts[row].identity.alert_id,
            object_id=label.object_id,
            true=label.class_name,
            said=answers.classes[answers.said[row]],
            probability=float(highest[row]),
            probability_of_true=float(answers.probabilities[row, answers.truth[row]]),
            trust=label.trust,
            source=label.source,
        )
        if len(found) == _MISTAKES:
            break
    return list(found.values())


def as_plain(value: Any) -> Any:
    """Arrays as lists, and what is not a number as None, which JSON has."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
