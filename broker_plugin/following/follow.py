"""Objects followed: a store of their detections, and the temporal classifiers that are asked about them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from broker_plugin.alert import Alert, AlertError, Identity, Reason, Rejected
from broker_plugin.classifiers import ObjectAnswer, TemporalClassifier
from broker_plugin.crossmatch import NotLookedUp, Sources
from broker_plugin.following.past import form_of_store
from broker_plugin.following.sight import Detections, Seen, Sight
from broker_plugin.following.updates import Fields, ReadUpdate, known_as
from broker_plugin.history import (
    DamagedObjectError,
    HistoryError,
    Limits,
    ObjectKey,
    ObjectStore,
    RememberedDetection,
    open_store,
)
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.tensors.sequences import DetectionForm

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_Known = Mapping[ObjectKey, Detections]

_FEWEST_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class _Question:
    """Which object a record is of, or why nothing can be said of it; and how the record names it."""

    identity: Identity
    subject: ObjectKey | AlertError
    not_looked_up: NotLookedUp | None = None


class Following:
    """The temporal classifiers of a stage, and what they have to know of objects.

    Parameters
    ----------
    classifiers
        Those of one survey must prepare detections alike.
    allwise
        Where counterparts are looked up, for classifiers that look at them.
    allwise_timeout_s
        How long the look-ups of a batch may take; None: as long as it takes.
    history
        Address of the store of objects; None: nothing is remembered between calls.
    max_detections, max_days, max_bytes
        How much the store keeps: see `broker_plugin.history.Limits`.  ``max_detections`` None: as many as the
        classifiers need.

    Raises
    ------
    HistoryError
        The store can't be opened.
    ValueError
        Two classifiers of one survey prepare detections in different ways.
    """

    def __init__(
        self,
        classifiers: Sequence[TemporalClassifier],
        allwise: Sources,
        allwise_timeout_s: float | None,
        history: str | None = None,
        *,
        max_detections: int | None = None,
        max_days: float | None = None,
        max_bytes: int | None = None,
    ) -> None:
        self.classifiers = tuple(classifiers)
        self._forms = _forms(classifiers)
        self._sight = Sight(self._forms, allwise, allwise_timeout_s)
        if max_detections is None:
            max_detections = _enough_detections(self._forms.values())
        self._limits = Limits(max_detections, max_days, max_bytes)
        self._store = None if history is None else self._open(history)

    @property
    def remembers(self) -> bool:
        """Whether objects are remembered between calls."""
        return self._store is not None

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def remember(self, packets: Sequence[Alert | Rejected], fields: Sequence[Fields]) -> None:
        """Add the alerts of a batch to the store, if there is one.  A store that fails is logged."""
        if self._store is None:
            return
        items = _items(self._sight.of_batch(packets, fields).values())
        try:
            _undamaged(self._store, lambda store: store.remember(items))
        except HistoryError as problem:
            logger.error("a batch of alerts is not remembered: %s", problem)

    def follow(
        self, packets: Sequence[Alert | Rejected], fields: Sequence[Fields], produced_at: datetime
    ) -> list[list[ClassificationRecord]]:
        """Remember a batch, and say of each alert what its object is as it is known then.

        Parameters
        ----------
        fields
            Of each packet, what the broker knows of it.

        Returns
        -------
        list of list of ClassificationRecord
            For each packet, one record from each classifier of its survey.
        """
        if self._store is None:
            raise ValueError("no objects are remembered")
        seen = self._sight.of_batch(packets, fields)
        items = _items(seen.values())
        known = _recalled(self._store, lambda store: store.remember_and_recall(items))
        questions = {row: _Question(of.identity, of.object, of.not_looked_up) for row, of in seen.items()}
        records = self._answered(len(packets), questions, known, produced_at)
        for classifier in self.classifiers:
            for row, packet in enumerate(packets):
                if isinstance(packet, Rejected) and packet.identity.survey == classifier.manifest.survey:
                    records[row].append(classifier.reject(packet, produced_at))
        return records

    def update(
        self, updates: Sequence[ReadUpdate | Rejected], produced_at: datetime
    ) -> list[list[ClassificationRecord]]:
        """Say of each object what it is, by its alerts and by what is known of it.

        Returns
        -------
        list of list of ClassificationRecord
            For each update, one record from each classifier of its survey; none for those that can't be read.
        """
        store = self._store or self._open("memory:")
        followed = {
            row: update
            for row, update in enumerate(updates)
            if isinstance(update, ReadUpdate) and update.key.survey in self._forms
        }
        seen = self._sight.of_updates(followed)
        items = _items(of for alerts in seen.values() for of in alerts)
        keys = list(dict.fromkeys(update.key for update in followed.values()))
        known = _recalled(store, lambda store: _remembered_and_others(store, items, keys))
        questions = {row: _question(update, seen[row], known) for row, update in followed.items()}
        return self._answered(len(updates), questions, known, produced_at)

    def _open(self, address: str) -> ObjectStore:
        return open_store(address, form_of_store(self._forms.values()), self._limits)

    def _answered(
        self, count: int, questions: Mapping[int, _Question], known: _Known | AlertError, produced_at: datetime
    ) -> list[list[ClassificationRecord]]:
        """The records of those of ``count`` packets or updates of which there is a question."""
        records: list[list[ClassificationRecord]] = [[] for _ in range(count)]
        for classifier in self.classifiers:
            rows = [row for row, of in questions.items() if of.identity.survey == classifier.manifest.survey]
            asked = [questions[row] for row in rows]
            for row, record in zip(rows, _ask(classifier, asked, known, produced_at), strict=True):
                records[row].append(record)
        return records


def _enough_detections(forms: Iterable[DetectionForm]) -> int:
    """How many detections of an object have to be kept for models of these forms."""
    # Twice: one may be known by its alert, and by the history in a packet that has lost digits of the alert's id.
    return max([_FEWEST_REMEMBERED, *(2 * form.sequence.length for form in forms)])


def _forms(classifiers: Sequence[TemporalClassifier]) -> dict[str, DetectionForm]:
    """For each survey the form that serves all its classifiers."""
    forms: dict[str, DetectionForm] = {}
    for form in (classifier.form for classifier in classifiers):
        other = forms.setdefault(form.manifest.survey, form)
        if other.digest != form.digest:
            raise ValueError(
                f"{other.manifest.label} and {form.manifest.label} prepare detections in different ways, and what is"
                " remembered of an object is prepared in one: load them in two stages"
            )
        if form.sequence.length > other.sequence.length:
            forms[form.manifest.survey] = form
    return forms


def _items(seen: Iterable[Seen]) -> list[tuple[ObjectKey, RememberedDetection]]:
    return [(of.object, detection) for of in seen if isinstance(of.object, ObjectKey) for detection in of.detections]


def _remembered_and_others(
    store: ObjectStore, items: Sequence[tuple[ObjectKey, RememberedDetection]], keys: Sequence[ObjectKey]
) -> _Known:
    known = store.remember_and_recall(items)
    others = [key for key in keys if key not in known]
    return known | dict(zip(others, store.recall(others), strict=True))


def _recalled(store: ObjectStore, call: Callable[[ObjectStore], _Known]) -> _Known | AlertError:
    """What is known of objects, or that it can't be told."""
    try:
        return _undamaged(store, call)
    except HistoryError as problem:
        logger.error("objects can't be followed: %s", problem)
        return AlertError(Reason.HISTORY_UNAVAILABLE, str(problem))


def _undamaged(store: ObjectStore, call: Callable[[ObjectStore], _T]) -> _T:
    """Call; what is known of an object that is damaged is thrown away before the next try."""
    forgotten: set[ObjectKey] = set()
    while True:
        try:
            return call(store)
        except DamagedObjectError as damaged:
            if damaged.key in forgotten:
                raise
            logger.warning("%s; what was known of the object is thrown away", damaged)
            store.forget([damaged.key])
            forgotten.add(damaged.key)


def _question(update: ReadUpdate, seen: Sequence[Seen], known: _Known | AlertError) -> _Question:
    """What is asked about an object: it is named by its newest detection."""
    if isinstance(known, AlertError):
        return _Question(update.identity, known)
    if not known[update.key]:
        problem = next((of.object for of in reversed(seen) if isinstance(of.object, AlertError)), None)
        return _Question(update.identity, problem or update.key)
    newest = known[update.key][-1]
    for of in reversed(seen):
        if of.detections and of.identity.alert_id == newest.alert_id:
            kind = update.identity.object_id_kind
            named = replace(of.identity, object_id=update.key.object_id, object_id_kind=kind)
            return _Question(named, update.key, of.not_looked_up)
    return _Question(known_as(update.key, newest), update.key)


def _ask(
    classifier: TemporalClassifier, questions: Sequence[_Question], known: _Known | AlertError, produced_at: datetime
) -> list[ClassificationRecord]:
    """A record for each question.  An object is classified once, however many of its alerts ask."""
    answers: dict[ObjectKey, ObjectAnswer | AlertError] = {}
    keys = list(dict.fromkeys(of.subject for of in questions if isinstance(of.subject, ObjectKey)))
    if isinstance(known, AlertError):
        answers |= dict.fromkeys(keys, known)
    else:
        answers |= zip(keys, classifier.answers([known[key] for key in keys]), strict=True)
    records = []
    for of in questions:
        answer = of.subject if isinstance(of.subject, AlertError) else answers[of.subject]
        records.append(classifier.record(of.identity, answer, of.not_looked_up, produced_at))
    return records
