"""Objects looked up: what a stage has remembered, and what would have been said of an object as it became known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from broker_plugin.classifiers import TemporalClassifier
from broker_plugin.following.updates import known_as
from broker_plugin.history import ObjectKey, ObjectStore, RememberedDetection, held_form, open_store
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.tensors.sequences import (
    LEAST_DETECTIONS,
    DetectionForm,
    is_from_packet,
    one_of_each_exposure,
)

_BETWEEN = "+"


def form_of_store(forms: Iterable[DetectionForm]) -> str:
    """The form of a store of detections of these forms, one for each survey."""
    # Keys have the survey's name in them, so that objects of several surveys stand in one store.
    return _BETWEEN.join(sorted({form.digest for form in forms}))


def open_filled(address: str, form: DetectionForm) -> ObjectStore:
    """The store of objects that a stage has made, to look up those whose detections have this form.

    Raises
    ------
    HistoryError
        There is no store, and none is made; it can't be opened; or what it holds is of other forms.
    """
    held = held_form(address)
    return open_store(address, held if form.digest in held.split(_BETWEEN) else form.digest)


def course(
    classifier: TemporalClassifier, key: ObjectKey, detections: Sequence[RememberedDetection], produced_at: datetime
) -> list[ClassificationRecord]:
    """What would have been said of an object as its detections came, each with all that were before it.

    Parameters
    ----------
    detections
        All that are known, in any order.

    Returns
    -------
    list of ClassificationRecord
        One for each exposure from the first on of which there is a packet, and from the second on at the earliest; in
        the order of time, with the detection's id, time and band.
    """
    ordered = one_of_each_exposure(detections)
    first = next((place for place, detection in enumerate(ordered, 1) if is_from_packet(detection)), len(ordered))
    known = [ordered[:count] for count in range(max(first, LEAST_DETECTIONS), len(ordered) + 1)]
    return [
        classifier.record(known_as(key, earliest[-1]), answer, None, produced_at)
        for earliest, answer in zip(known, classifier.answers(known), strict=True)
    ]
