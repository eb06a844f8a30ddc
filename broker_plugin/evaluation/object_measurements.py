"""All that a report on a temporal classifier says, measured in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.evaluation.ablation import balanced_accuracy
from broker_plugin.evaluation.answers import Answers, Unclassified
from broker_plugin.evaluation.calibration import Calibration, calibration, top_error
from broker_plugin.evaluation.intervals import Interval, bootstrap, share
from broker_plugin.evaluation.measurements import Progress, Steps, as_plain
from broker_plugin.evaluation.sequences import ObjectAnswers, Rows, Shown
from broker_plugin.evaluation.summary import confusion_counts
from broker_plugin.evaluation.timing import Timing, time_batches

COUNTS = (2, 3, 4, 5)
"""Numbers of detections that scores are told for, as in Neira, Estévez and Förster 2024."""

_MISTAKES = 12
_MOST_STAMPED = 3  # more stamped detections are of one group
_TRUST = {1: "trust 1 (strong)", 2: "trust 2 (catalogue)", 3: "trust 3 (weak)"}


@dataclass(frozen=True)
class Score:
    """How right the answers about some objects are; intervals are of 95%.

    Attributes
    ----------
    balanced_accuracy
        Mean recall of the classes that occur.
    negative_log_likelihood
        Mean, nats.
    calibration_error
        See `calibration.Calibration.error`.
    probability_of_true
        Mean probability of the true class.
    confusion
        Counts, (classes, classes); rows true, columns said.
    """

    objects: int
    accuracy: Interval
    balanced_accuracy: Interval
    negative_log_likelihood: float
    calibration_error: float
    probability_of_true: Interval
    confusion: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Some of the objects, shown in some way.

    Attributes
    ----------
    score, strong
        Over all labels; over those of `examples.STRONG_TRUST`, None where there is none.
    """

    name: str
    score: Score
    strong: Score | None


@dataclass(frozen=True)
class Difference:
    """Two classifiers on the same objects.

    Attributes
    ----------
    temporal, stamp
        Share of right answers of each.
    difference
        The first less the second; its interval is of a bootstrap that draws objects.
    """

    name: str
    objects: int
    temporal: Interval
    stamp: Interval
    difference: Interval


@dataclass(frozen=True)
class Against:
    """A temporal bundle beside a stamp bundle that has the last alert of each object.

    Attributes
    ----------
    parts
        All labels, and those of `examples.STRONG_TRUST` where there are any.
    confusion
        Of the stamp bundle: counts, rows true.
    not_compared
        Objects whose last alert the stamp bundle can't classify.
    """

    bundle: str
    parts: tuple[Difference, ...]
    confusion: NDArray[np.int64]
    not_compared: int


@dataclass(frozen=True, slots=True)
class ObjectMistake:
    """An object of which something wrong was said with confidence."""

    object_id: str
    alert_id: int | None
    true: str
    said: str
    probability: float
    probability_of_true: float
    detections: int
    stamped: int
    trust: int
    source: str


@dataclass(frozen=True)
class ObjectMeasurements:
    """What is measured of a temporal bundle.  Each object counts once.

    Attributes
    ----------
    whole
        With all that is known of each object.
    same_objects
        Those with as many detections as the most of `COUNTS`, or more: cut to each of these, and with all.
    at_least
        All objects with at least so many, cut to each number; and all objects with all.
    without_allwise
        As ``same_objects``, with AllWISE not looked up; empty where it was looked up for none.
    by_stamps, by_allwise, by_label
        Parts of the objects, and the same objects with less known of them.
    against
        Beside a stamp bundle; None without.
    timing
        Of one update of objects with the most of `COUNTS` detections, all with stamps; None where no object has so
        many.
    passed_over
        Number of objects of which fewer than two detections are known.
    """

    bundle: str
    sha256: str
    survey: str
    split: str
    classes: dict[str, int]
    whole: Part
    calibration: Calibration
    same_objects: tuple[Part, ...]
    at_least: tuple[Part, ...]
    without_allwise: tuple[Part, ...]
    by_stamps: tuple[Part, ...]
    by_allwise: tuple[Part, ...]
    by_label: tuple[Part, ...]
    against: Against | None
    timing: Timing | None
    mistakes: tuple[ObjectMistake, ...]
    passed_over: int
    unclassified: tuple[Unclassified, ...]
    not_found: int

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        plain: dict[str, Any] = as_plain(asdict(self))
        return plain


def measure_objects(
    answers: ObjectAnswers, *, split: str, stamp: Answers | None, progress: Progress
) -> ObjectMeasurements:
    """Measure everything.

    Parameters
    ----------
    split
        Which rows of the labels these are, for the reader.
    stamp
        What a stamp bundle says of the last alerts; None: nothing to compare with.
    """
    steps = Steps(6, progress)
    steps.next("scores")
    whole = _part("all detections", answers, answers.shown)
    steps.next("fewer detections")
    rich = np.flatnonzero(answers.counts >= max(COUNTS))
    same, at_least = _cuts(answers, lambda count: rich), _cuts(answers, partial(_with_at_least, answers))
    steps.next("without AllWISE")
    looked_up = any(found is not None for found in answers.counterpart)
    without = _cuts(answers, lambda count: rich, allwise=False) if looked_up else []
    steps.next("stamps")
    by_stamps = _by_stamps(answers)
    steps.next("groups")
    by_allwise, by_label = _by_allwise(answers), _by_label(answers)
    steps.next("time")
    return ObjectMeasurements(
        bundle=answers.manifest.label,
        sha256=answers.sha256,
        survey=answers.manifest.survey,
        split=split,
        classes={name: int((answers.truth == number).sum()) for number, name in enumerate(answers.classes)},
        whole=whole,
        calibration=calibration(answers.truth, answers.shown.probabilities),
        same_objects=tuple(same),
        at_least=tuple(at_least),
        without_allwise=tuple(without),
        by_stamps=tuple(by_stamps),
        by_allwise=tuple(by_allwise),
        by_label=tuple(by_label),
        against=None if stamp is None else _against(answers, stamp),
        timing=_timing(answers, rich),
        mistakes=tuple(_mistakes(answers)),
        passed_over=answers.passed_over,
        unclassified=answers.unclassified,
        not_found=answers.not_found,
    )


def score(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Score:
    """Measure answers of one row an object, (n,) and (n, classes); n at least 1."""
    said, rows = probabilities.argmax(axis=1), np.arange(len(truth))
    each = [str(row) for row in rows]
    of_true = probabilities[rows, truth]
    return Score(
        objects=len(truth),
        accuracy=share(said == truth, each),
        balanced_accuracy=bootstrap(lambda drawn: balanced_accuracy(truth[drawn], said[drawn]), each),
        negative_log_likelihood=float(-np.log(np.maximum(of_true, 1e-12)).mean()),
        calibration_error=top_error(truth, probabilities),
        probability_of_true=bootstrap(lambda drawn: float(of_true[drawn].mean()), each),
        confusion=confusion_counts(truth, said, probabilities.shape[1]),
    )


def _part(name: str, answers: ObjectAnswers, shown: Shown) -> Part:
    truth, strong = answers.truth[shown.rows], answers.strong[shown.rows]
    return Part(
        name,
        score(truth, shown.probabilities),
        score(truth[strong], shown.probabilities[strong]) if strong.any() else None,
    )


def _parts(answers: ObjectAnswers, shown: Iterable[tuple[str, Shown]]) -> list[Part]:
    return [_part(name, answers, each) for name, each in shown if len(each.rows)]


def _cuts(answers: ObjectAnswers, rows_for: Callable[[int], Rows], *, allwise: bool = True) -> list[Part]:
    """With each of `COUNTS` detections, and with all."""
    cuts = [(str(count), answers.cut(rows_for(count), count, allwise=allwise)) for count in COUNTS]
    return _parts(answers, [*cuts, ("all", answers.cut(rows_for(0), None, allwise=allwise))])


def _with_at_least(answers: ObjectAnswers, count: int) -> Rows:
    return np.flatnonzero(answers.counts >= count)


def _by_stamps(answers: ObjectAnswers) -> list[Part]:
    several, stamped = answers.stamped > 1, np.minimum(answers.stamped, _MOST_STAMPED)
    names = {0: "no stamps known", 1: "1 detection with stamps", _MOST_STAMPED: f"{_MOST_STAMPED} or more with stamps"}
    groups = [
        (names.get(number, f"{number} detections with stamps"), answers.shown.where(stamped == number))
        for number in range(_MOST_STAMPED + 1)
    ]
    return _parts(
        answers,
        [
            ("all objects, as they are known", answers.shown),
            ("the same, all stamps taken away", answers.with_stamps_of_last(0)),
            *groups,
            ("2 or more with stamps", answers.shown.where(several)),
            ("the same, stamps of the last alone", answers.with_stamps_of_last(1).where(several)),
        ],
    )


def _by_allwise(answers: ObjectAnswers) -> list[Part]:
    if not answers.classifier.form.uses_allwise:
        return []
    found = np.array([{True: "found", False: "none", None: ""}[one] for one in answers.counterpart])
    parts: list[tuple[str, Shown]] = []
    for name, chosen in (
        ("looked up", found != ""),
        ("source found", found == "found"),
        ("none there", found == "none"),
    ):
        parts.append((name, answers.shown.where(chosen)))
        parts.append(("the same, AllWISE taken away", answers.cut(np.flatnonzero(chosen), None, allwise=False)))
    return _parts(answers, [*parts, ("not looked up", answers.shown.where(found == ""))])


def _by_label(answers: ObjectAnswers) -> list[Part]:
    labels = [one.label for one in answers.objects]
    trust = np.array([label.trust for label in labels])
    edited = np.array([label.doctored_metadata for label in labels], dtype=bool)
    by_trust = [(_TRUST.get(each, f"trust {each}"), answers.shown.where(trust == each)) for each in np.unique(trust)]
    by_metadata = [
        ("metadata as sent", answers.shown.where(~edited)),
        ("metadata changed by somebody", answers.shown.where(edited)),
    ]
    return _parts(answers, by_trust + by_metadata)


def _against(answers: ObjectAnswers, stamp: Answers) -> Against:
    """Over the classes of the temporal bundle: those that only the stamp bundle has are left out."""
    rows_of = {alert.identity.alert_id: row for row, alert in enumerate(stamp.examples.alerts)}
    pairs = [
        (row, rows_of[one.last.identity.alert_id])
        for row, one in enumerate(answers.objects)
        if one.last.identity.alert_id in rows_of
    ]
    rows, of_stamp = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    columns = [stamp.classes.index(name) for name in answers.classes]
    truth, strong = answers.truth[rows], answers.strong[rows]
    said = answers.shown.probabilities[rows].argmax(axis=1)
    # The highest of some probabilities is the highest of them renormalised too.
    said_by_stamp = stamp.probabilities[of_stamp][:, columns].argmax(axis=1)
    groups = {"all labels": np.ones(len(rows), dtype=bool), "trust 1 and 2": strong}
    return Against(
        bundle=stamp.manifest.label,
        parts=tuple(
            _difference(name, (said == truth)[chosen], (said_by_stamp == truth)[chosen])
            for name, chosen in groups.items()
            if chosen.any()
        ),
        confusion=confusion_counts(truth, said_by_stamp, len(columns)),
        not_compared=len(answers.objects) - len(rows),
    )


def _difference(name: str, right: NDArray[np.bool_], right_by_stamp: NDArray[np.bool_]) -> Difference:
    each = [str(row) for row in range(len(right))]
    gained = right.astype(np.float64) - right_by_stamp
    difference = bootstrap(lambda drawn: float(gained[drawn].mean()), each)
    return Difference(name, len(right), share(right, each), share(right_by_stamp, each), difference)


def _timing(answers: ObjectAnswers, rich: Rows) -> Timing | None:
    """From what is remembered of objects to their answers; every detection has the stamps of the object's last."""
    updates = [
        answers.detections[row][-max(COUNTS) :] for row in rich if answers.detections[row][-1].stamps is not None
    ]
    if not updates:
        return None
    full = [[replace(detection, stamps=of[-1].stamps) for detection in of] for of in updates]

    def ready(rows: NDArray[np.int64]) -> Callable[[], object]:
        return partial(answers.classifier.answers, [full[row] for row in rows])

    return time_batches(ready, len(full), answers.device)


def _mistakes(answers: ObjectAnswers) -> list[ObjectMistake]:
    """The wrong answers of the highest probability."""
    probabilities, truth = answers.shown.probabilities, answers.truth
    said, highest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = [row for row in np.argsort(-highest, kind="stable") if said[row] != truth[row]]
    counts, stamped = answers.counts, answers.stamped
    return [
        ObjectMistake(
            object_id=answers.objects[row].last.identity.object_id or "",
            alert_id=answers.objects[row].last.identity.alert_id,
            true=answers.classes[truth[row]],
            said=answers.classes[said[row]],
            probability=float(highest[row]),
            probability_of_true=float(probabilities[row, truth[row]]),
            detections=int(counts[row]),
            stamped=int(stamped[row]),
            trust=answers.objects[row].label.trust,
            source=answers.objects[row].label.source,
        )
        for row in wrong[:_MISTAKES]
    ]
