"""Loaded bundles as classifiers: alerts, or what is known of objects, in; records out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from broker_plugin.alert import Alert, AlertError, Identity, Rejected
from broker_plugin.bundles import BundleError
from broker_plugin.crossmatch import NotLookedUp
from broker_plugin.history import RememberedDetection
from broker_plugin.models import LoadedModel, Model, TemporalModel
from broker_plugin.records.build import Producer, classified, unclassified
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.tensors import make_batch
from broker_plugin.tensors.sequences import FOUND, LOOKED_UP, DetectionForm, has_counterpart, make_sequences


class Classifier:
    """One bundle, loaded.

    Parameters
    ----------
    model
        The loaded model of the bundle.
    """

    def __init__(self, model: LoadedModel) -> None:
        bundle, manifest = model.bundle, model.bundle.manifest
        self.manifest = manifest
        self._producer = Producer(
            name=manifest.name,
            version=manifest.version,
            model_sha256=bundle.sha256,
            preprocessing_version=manifest.preprocessing_version,
            taxonomy=manifest.taxonomy,
            taxonomy_version=manifest.taxonomy_version,
            precision=model.precision,
            classes=manifest.classes,
            kind=manifest.kind,
        )

    def reject(self, rejected: Rejected, produced_at: datetime) -> ClassificationRecord:
        """The record of an alert that could not be read."""
        return rejection(rejected, self._producer, produced_at)


class StampClassifier(Classifier):
    """Alerts of its survey in, one record each out."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._model = model

    def classify(self, alerts: Sequence[Alert], produced_at: datetime) -> list[ClassificationRecord]:
        """One record for each alert, in order."""
        batch = make_batch(alerts, self.manifest)
        outputs = self._model.predict(batch.stamps, batch.features)
        records = []
        for row, alert in enumerate(alerts):
            try:
                if row in batch.problems:
                    raise batch.problems[row]
                record = classified(
                    alert.identity,
                    self._producer,
                    outputs.probabilities[row].tolist(),
                    novelty=None if outputs.novelty is None else float(outputs.novelty[row]),
                    detections_used=int(batch.detections[row]),
                    stamps_used=len(self.manifest.stamps.channels),
                    imputed_features=batch.imputed[row],
                    produced_at=produced_at,
                )
            except AlertError as problem:
                record = unclassified(
                    alert.identity, self._producer, problem.reason, problem.detail, produced_at=produced_at
                )
            records.append(record)
        return records


@dataclass(frozen=True, slots=True)
class ObjectAnswer:
    """What a temporal model says of an object, whichever of the object's alerts it is asked for.

    Attributes
    ----------
    problem
        Why it says nothing.
    probabilities, novelty, imputed_features
        As `broker_plugin.records.build.classified` takes them.
    detections
        Those that it looked at, earliest first.
    has_counterpart
        Whether AllWISE has a source there; None where no alert of the object was looked up.
    """

    problem: AlertError | None
    probabilities: Sequence[float]
    novelty: float | None
    imputed_features: tuple[str, ...]
    detections: Sequence[RememberedDetection]
    has_counterpart: bool | None

    @property
    def detections_key(self) -> str | None:
        """Stands for the set of detections in the record's id."""
        known = sorted((detection.alert_id, detection.stamps is not None) for detection in self.detections)
        return ",".join(f"{alert_id}{'+stamps' if stamped else ''}" for alert_id, stamped in known) or None


class TemporalClassifier(Classifier):
    """What is known of objects of its survey in, one answer each out.

    Raises
    ------
    BundleError
        Its records could not say what came of the look-up in AllWISE, since that is no feature of the bundle.
    """

    def __init__(self, model: TemporalModel) -> None:
        super().__init__(model)
        self._model = model
        self.form = DetectionForm(self.manifest)
        if self.form.uses_allwise and not {LOOKED_UP, FOUND} <= set(self.form.sources):
            raise BundleError(
                f"{self.manifest.label} has AllWISE features, and lacks features of {LOOKED_UP} and {FOUND}"
            )

    def answers(self, objects: Sequence[Sequence[RememberedDetection]]) -> list[ObjectAnswer]:
        """One answer for each object of which these detections are known, in any order."""
        batch = make_sequences(objects, self.form)
        outputs = self._model.predict(batch.stamps, batch.places, batch.detections, batch.present, batch.features)
        return [
            ObjectAnswer(
                problem=batch.problems.get(row),
                probabilities=outputs.probabilities[row].tolist(),
                novelty=None if outputs.novelty is None else float(outputs.novelty[row]),
                imputed_features=batch.imputed[row],
                detections=used,
                has_counterpart=has_counterpart(used, self.form) if self.form.uses_allwise else None,
            )
            for row, used in enumerate(batch.used)
        ]

    def record(
        self,
        identity: Identity,
        answer: ObjectAnswer | AlertError,
        not_looked_up: NotLookedUp | None,
        produced_at: datetime,
    ) -> ClassificationRecord:
        """The record of an alert, of whose object this is the answer, or the reason why there is none.

        Parameters
        ----------
        not_looked_up
            Why the alert was not looked up in AllWISE, which matters where no other of the object was.
        """
        detections_key = None
        try:
            if isinstance(answer, AlertError):
                raise answer
            detections_key = answer.detections_key
            if answer.problem is not None:
                raise answer.problem
            return classified(
                identity,
                self._producer,
                answer.probabilities,
                novelty=answer.novelty,
                detections_used=len(answer.detections),
                stamps_used=sum(d.stamps is not None for d in answer.detections) * len(self.manifest.stamps.channels),
                imputed_features=answer.imputed_features,
                produced_at=produced_at,
                allwise=self._allwise(answer, not_looked_up),
                detections_key=detections_key,
            )
        except AlertError as problem:
            return unclassified(
                identity,
                self._producer,
                problem.reason,
                problem.detail,
                produced_at=produced_at,
                detections_key=detections_key,
            )

    def _allwise(self, answer: ObjectAnswer, not_looked_up: NotLookedUp | None) -> str | None:
        if not self.form.uses_allwise:
            return None
        if answer.has_counterpart is None:
            return (not_looked_up or NotLookedUp.ABSENT).value
        return "found" if answer.has_counterpart else "none_there"


def rejection(rejected: Rejected, producer: Producer, produced_at: datetime) -> ClassificationRecord:
    """The record of what could not be read, or is for nobody."""
    return unclassified(
        rejected.identity,
        producer,
        rejected.reason,
        rejected.detail,
        digest=rejected.digest,
        produced_at=produced_at,
    )
