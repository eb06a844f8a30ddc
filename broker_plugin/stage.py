"""The stage: a batch of packets in, a list of records for each packet out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from broker_plugin._version import NAME, __version__
from broker_plugin.alert import Alert, AlertError, Reason, Rejected
from broker_plugin.bundles import find_verified, load
from broker_plugin.models import Model, Runtime
from broker_plugin.packets import PacketReader, SchemaRegistry
from broker_plugin.packets.reader import Packet
from broker_plugin.records.build import Producer, classified, unclassified
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.tensors import make_batch, needed_fields, needs_history


class Classifier:
    """One bundle, loaded: alerts of its survey in, one record each out.

    Parameters
    ----------
    model
        The loaded model of the bundle.
    """

    def __init__(self, model: Model) -> None:
        bundle, manifest = model.bundle, model.bundle.manifest
        self.manifest = manifest
        self._model = model
        self._producer = Producer(
            name=manifest.name,
            version=manifest.version,
            model_sha256=bundle.sha256,
            preprocessing_version=manifest.preprocessing_version,
            taxonomy=manifest.taxonomy,
            taxonomy_version=manifest.taxonomy_version,
            precision=model.precision,
            classes=manifest.classes,
        )

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

    def reject(self, rejected: Rejected, produced_at: datetime) -> ClassificationRecord:
        """The record of an alert that could not be read."""
        return _rejection(rejected, self._producer, produced_at)


class Stage:
    """Classifies packets with every bundle that is for their survey.  Made by `load_stage`.

    Attributes
    ----------
    name, version
        Who it is in the records that it writes on its own behalf: of packets that no classifier is for.
    surveys
        The surveys of its classifiers.
    reader
        Reads packets as far as its classifiers need them.
    device
        Where the classifiers run, as TensorFlow names it: ``/CPU:0``, ``/GPU:0``.
    """

    name = NAME
    version = __version__

    def __init__(self, classifiers: Sequence[Classifier], reader: PacketReader, device: str) -> None:
        self.classifiers = tuple(classifiers)
        self.surveys = tuple(sorted({c.manifest.survey for c in classifiers}))
        self.reader = reader
        self.device = device
        self._producer = Producer(self.name, self.version, kind="stage")

    def on_alert(self, alert: Packet) -> list[ClassificationRecord]:
        """The records of one alert, one for each classifier of its survey; see `on_alerts`."""
        return self.on_alerts([alert])[0]

    def on_alerts(self, alerts: Sequence[Packet]) -> list[list[ClassificationRecord]]:
        """Classify a batch.

        Parameters
        ----------
        alerts
            Packets as bytes off the wire, decoded dicts, or `Alert`.

        Returns
        -------
        list of list of ClassificationRecord
            For each packet, in the order given, one record from each classifier of its survey, or one from
            the stage itself where none is for it.  No packet raises, whatever is in it.
        """
        produced_at = datetime.now(timezone.utc)
        packets = [self.reader.read(alert) for alert in alerts]
        records: list[list[ClassificationRecord]] = [[] for _ in packets]
        for classifier in self.classifiers:
            survey = classifier.manifest.survey
            rows = [row for row, packet in enumerate(packets) if packet.identity.survey == survey]
            readable = {row: packet for row in rows if isinstance(packet := packets[row], Alert)}
            for row, record in zip(readable, classifier.classify(list(readable.values()), produced_at), strict=True):
                records[row].append(record)
            for row in rows:
                packet = packets[row]
                if isinstance(packet, Rejected):
                    records[row].append(classifier.reject(packet, produced_at))
        for row, packet in enumerate(packets):
            if not records[row]:
                records[row].append(_rejection(_unclaimed(packet), self._producer, produced_at))
        return records


def load_stage(
    bundles: Sequence[str] | None = None,
    *,
    device: str = "auto",
    precision: str = "float32",
    max_batch: int = 128,
    threads: int | None = None,
    weights: str | Path | None = None,
    schema_registry: str | None = None,
    schema_registry_timeout_s: float = 5.0,
    schema_cache: str | Path | None = None,
    datum_schema: str | None = None,
) -> Stage:
    """Load bundles, check their digests, warm them up, and make a stage of them.

    Parameters
    ----------
    bundles
        ``NAME``, ``NAME/VERSION`` or folders (beginning with ``/`` or ``.``); None takes the newest of every
        bundle that is found.
    device
        ``auto`` (a GPU if there is one), ``cpu``, ``gpu`` or ``gpu:N``.
    precision
        ``float32`` or ``bfloat16``.
    max_batch
        Alerts that the network takes at a time.
    threads
        Threads for one operation of the network; None takes all cores.
    weights
        A folder of bundles to look in first, laid out ``NAME/VERSION/bundle.json``.
    schema_registry, schema_registry_timeout_s, schema_cache
        Address of a Confluent-compatible registry for schema ids that lsst-alert-packet lacks, how long to wait
        for it, and the folder where its answers are kept.
    datum_schema
        Schema of packets that are bare Avro records: an ``.avsc`` file or ``lsst.v10_0``.

    Raises
    ------
    BundleError
        A bundle, or any at all, is not there, not whole, or does not run.
    DeviceError
        The device is not there.
    ValueError
        ``device``, ``max_batch``, ``schema_registry`` or ``datum_schema`` can't be used.
    """
    folder = None if weights is None else Path(weights)
    loaded = find_verified(folder) if bundles is None else [load(name, folder) for name in bundles]
    registry = None
    if schema_registry is not None:
        cache = None if schema_cache is None else Path(schema_cache)
        registry = SchemaRegistry(schema_registry, timeout_s=schema_registry_timeout_s, cache_dir=cache)
    features = [feature for bundle in loaded for feature in bundle.manifest.features]
    reader = PacketReader(
        needed_fields(features), history=needs_history(features), registry=registry, datum_schema=datum_schema
    )
    runtime = Runtime(device, threads)
    models = [runtime.load(bundle, precision=precision, max_batch=max_batch) for bundle in loaded]
    return Stage([Classifier(model) for model in models], reader, runtime.device)


def _unclaimed(packet: Alert | Rejected) -> Rejected:
    if isinstance(packet, Rejected):
        return packet
    return Rejected(
        packet.identity, Reason.UNSUPPORTED_SURVEY, f"no classifier is loaded for survey {packet.identity.survey}"
    )


def _rejection(rejected: Rejected, producer: Producer, produced_at: datetime) -> ClassificationRecord:
    return unclassified(
        rejected.identity,
        producer,
        rejected.reason,
        rejected.detail,
        digest=rejected.digest,
        produced_at=produced_at,
    )
