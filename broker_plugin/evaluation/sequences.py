"""What a temporal classifier says of labelled objects, as the stage would have it, and with less of them known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Reason
from broker_plugin.bundles import Manifest
from broker_plugin.classifiers import ObjectAnswer, TemporalClassifier
from broker_plugin.crossmatch import Sources
from broker_plugin.evaluation.answers import Unclassified, nothing_to_score, read_labelled, unclassified
from broker_plugin.evaluation.examples import STRONG_TRUST, Label
from broker_plugin.following.sight import Detections, Sight
from broker_plugin.history import RememberedDetection
from broker_plugin.models import TemporalModel
from broker_plugin.packets import PacketReader
from broker_plugin.tensors.sequences import needed_sequence_fields

Rows = NDArray[np.int64]

_ROUNDING_DAYS = 1e-5
"""The time of an alert and that of the same detection in a later packet may differ in their last digits."""


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """An object that is judged at the last of its alerts.

    Attributes
    ----------
    alerts
        Labelled alerts, earliest first.
    label
        Of the last.
    """

    alerts: tuple[Alert, ...]
    label: Label

    @property
    def last(self) -> Alert:
        """The alert that it is judged at."""
        return self.alerts[-1]


@dataclass(frozen=True)
class Shown:
    """What the classifier says of some of the objects, shown so much of them.

    Attributes
    ----------
    rows
        Which of the objects, (n,).
    probabilities
        float64, (n, classes).
    """

    rows: Rows
    probabilities: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_]) -> Shown:
        """Those for which ``keep``, (n,), is true."""
        return Shown(self.rows[keep], self.probabilities[keep])


class ObjectAnswers:
    """Labelled objects that were classified, and those that were not.  Made by `answers_of_objects`.

    Attributes
    ----------
    objects
        Those of which the classifier has an answer, n of them.
    truth
        (n,), numbers of classes.
    strong
        (n,), whether the label is of `STRONG_TRUST`.
    detections
        Of each object those that the classifier looked at, earliest first.
    counterpart
        Of each, whether AllWISE has a source there; None where nobody knows.
    shown
        The answers, with all that is known.
    passed_over
        Number of objects of which too few detections are known.
    unclassified
        Labelled packets that can't be read, and objects that can't be classified.
    not_found
        Labels of the bundle's classes whose packet is not among those given.
    """

    def __init__(
        self,
        classifier: TemporalClassifier,
        device: str,
        sha256: str,
        objects: Sequence[LabelledObject],
        allwise: Sources,
        rejected: Sequence[Unclassified],
        not_found: int,
    ) -> None:
        self.classifier, self.device, self.sha256 = classifier, device, sha256
        survey = self.manifest.survey
        self._with_allwise = Sight({survey: classifier.form}, allwise, None)
        self._without_allwise = Sight({survey: classifier.form}, Sources([]), None)
        known = [_known(one.alerts, self._with_allwise) for one in objects]
        answers = _answers(classifier, known)
        problems = {row: answer.problem for row, answer in enumerate(answers) if answer.problem is not None}
        rows = [row for row in range(len(objects)) if row not in problems]
        self.objects = [objects[row] for row in rows]
        self.truth = np.array([self.classes.index(one.label.class_name) for one in self.objects], dtype=np.int64)
        self.strong = np.array([one.label.trust in STRONG_TRUST for one in self.objects], dtype=bool)
        self.detections = [answers[row].detections for row in rows]
        self.counterpart = [answers[row].has_counterpart for row in rows]
        self.shown = Shown(np.arange(len(rows)), _stacked([answers[row] for row in rows], self.classes))
        few = [row for row, problem in problems.items() if problem.reason is Reason.TOO_FEW_DETECTIONS]
        self.passed_over = len(few)
        failed = [
            unclassified(objects[row].last.identity, problem.reason, problem.detail)
            for row, problem in problems.items()
            if row not in few
        ]
        self.unclassified = (*rejected, *failed)
        self.not_found = not_found

    @property
    def manifest(self) -> Manifest:
        """Of the bundle."""
        return self.classifier.manifest

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the bundle, in the order of probabilities."""
        return self.manifest.classes

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,), number of detections that the classifier looked at."""
        return np.array([len(detections) for detections in self.detections], dtype=np.int64)

    @property
    def stamped(self) -> NDArray[np.int64]:
        """(n,), number of them that have stamps."""
        return np.array([sum(d.stamps is not None for d in of) for of in self.detections], dtype=np.int64)

    def cut(self, rows: Rows, count: int | None, *, allwise: bool = True) -> Shown:
        """The answers at the same alerts, were only this many detections known: each one's own, and those before it.

        Parameters
        ----------
        rows
            Objects of which at least that many are known.
        count
            Number of detections; None: all.
        allwise
            Whether AllWISE is looked up.
        """
        sight = self._with_allwise if allwise else self._without_allwise
        known = [_known(self.objects[row].alerts, sight, self._begin_mjd(row, count)) for row in rows]
        return Shown(rows, _stacked(_answers(self.classifier, known), self.classes))

    def _begin_mjd(self, row: int, count: int | None) -> float:
        """When the earliest of so many detections was; the alert at which the object is judged always stays."""
        if count is None:
            return -np.inf
        return min(self.detections[row][-count].mjd, self.objects[row].last.identity.mjd or 0.0)

    def with_stamps_of_last(self, count: int) -> Shown:
        """The answers with the stamps of this many of the latest detections that have any, and none of those before."""
        known = [_with_last_stamps(detections, count) for detections in self.detections]
        return Shown(self.shown.rows, _stacked(self.classifier.answers(known), self.classes))


def answers_of_objects(
    model: TemporalModel,
    paths: Sequence[Path],
    labels: Mapping[int, Label],
    allwise: Sources,
    *,
    progress: Callable[[float], None],
) -> ObjectAnswers:
    """Read the labelled packets, and classify their objects.  Labels of classes that the bundle lacks are passed over.

    Parameters
    ----------
    labels
        Of the split that is looked at.
    allwise
        Where counterparts are looked up.
    progress
        Called with the share of bytes read.

    Raises
    ------
    ValueError
        No labelled packet is of the bundle's survey and classes, or of no object two detections are known.
    """
    manifest = model.bundle.manifest
    labels = {alert_id: label for alert_id, label in labels.items() if label.class_name in manifest.classes}
    reader = PacketReader(needed_sequence_fields(manifest), history=True)
    alerts, rejected = read_labelled(paths, labels, manifest.survey, reader, progress)
    if not alerts:
        raise ValueError(nothing_to_score(paths, labels, manifest))
    answers = ObjectAnswers(
        TemporalClassifier(model),
        model.device,
        model.bundle.sha256,
        _by_object(alerts, labels),
        allwise,
        rejected,
        not_found=len(labels) - len(alerts) - sum(one.alert_id in labels for one in rejected),
    )
    if not answers.objects:
        raise ValueError(f"of none of the labelled objects two detections are known, which {manifest.label} needs")
    return answers


def _by_object(alerts: Sequence[Alert], labels: Mapping[int, Label]) -> list[LabelledObject]:
    """As the packets name their objects; those of alerts without any stand alone, as the stage has them."""
    by_object: dict[object, list[Alert]] = {}
    for alert in sorted(alerts, key=lambda alert: (alert.identity.mjd or 0.0, alert.identity.alert_id or 0)):
        by_object.setdefault(alert.identity.object_id or alert.identity.alert_id, []).append(alert)
    return [LabelledObject(tuple(of), labels[of[-1].identity.alert_id or 0]) for of in by_object.values()]


def _known(alerts: Sequence[Alert], sight: Sight, since_mjd: float = -np.inf) -> Detections | AlertError:
    """What is known of an object at the last of its alerts, if nothing was before that time; or what is wrong with it.

    The history in the packets is cut too, for the features that are made of it.
    """
    begin = since_mjd - _ROUNDING_DAYS
    recent = [
        replace(alert, history=tuple(d for d in alert.history if d.mjd >= begin))
        for alert in alerts
        if (alert.identity.mjd or 0.0) >= begin
    ]
    seen = sight.of_batch(recent, [None] * len(recent))
    last = seen[len(recent) - 1].object
    if isinstance(last, AlertError):
        return last
    return tuple(detection for of in seen.values() for detection in of.detections)


def _answers(classifier: TemporalClassifier, known: Sequence[Detections | AlertError]) -> list[ObjectAnswer]:
    answers = classifier.answers([() if isinstance(of, AlertError) else of for of in known])
    return [
        replace(answer, problem=of if isinstance(of, AlertError) else _problem(answer))
        for answer, of in zip(answers, known, strict=True)
    ]


def _problem(answer: ObjectAnswer) -> AlertError | None:
    if answer.problem is None and not np.isfinite(answer.probabilities).all():
        return AlertError(Reason.NON_FINITE_OUTPUT, "the model gave no finite answer")
    return answer.problem


def _stacked(answers: Sequence[ObjectAnswer], classes: Sequence[str]) -> NDArray[np.float64]:
    return np.array([answer.probabilities for answer in answers], dtype=np.float64).reshape(-1, len(classes))


def _with_last_stamps(detections: Sequence[RememberedDetection], count: int) -> list[RememberedDetection]:
    stamped = [place for place, detection in enumerate(detections) if detection.stamps is not None]
    bare = set(stamped[: max(len(stamped) - count, 0)])
    return [replace(d, stamps=None) if place in bare else d for place, d in enumerate(detections)]
