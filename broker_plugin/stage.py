"""The stage: a batch of packets in, a list of records for each packet out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from broker_plugin._version import NAME, __version__
from broker_plugin.alert import Alert, ObjectUpdate, Reason, Rejected
from broker_plugin.bundles import Bundle, BundleError, Manifest, find_verified, load
from broker_plugin.classifiers import StampClassifier, TemporalClassifier, rejection
from broker_plugin.crossmatch import CdsXMatch, Crossmatch, HatsCatalogue, Sources
from broker_plugin.crossmatch.counterpart import RADIUS_ARCSEC
from broker_plugin.following import Following, ReadUpdate, fields_in, read_update
from broker_plugin.models import Runtime
from broker_plugin.packets import PacketReader, SchemaRegistry
from broker_plugin.packets.reader import Packet
from broker_plugin.records.build import Producer
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.tensors import needed_fields, needs_history
from broker_plugin.tensors.sequences import needed_sequence_fields


class Stage:
    """Classifies packets with every bundle that is for their survey.  Made by `load_stage`.

    Attributes
    ----------
    name, version
        Who it is in the records that it writes on its own behalf: of packets that no classifier is for.
    classifiers
        Of alerts.
    following
        Classifiers of objects, and what is remembered for them; None where there are none.
    surveys
        The surveys of its classifiers.
    reader
        Reads packets as far as its classifiers need them.
    device
        Where the classifiers run, as TensorFlow names it: ``/CPU:0``, ``/GPU:0``.
    """

    name = NAME
    version = __version__

    def __init__(
        self, classifiers: Sequence[StampClassifier], following: Following | None, reader: PacketReader, device: str
    ) -> None:
        self.classifiers = tuple(classifiers)
        self.following = following
        self.surveys = tuple(sorted({manifest.survey for manifest in self.manifests}))
        self.reader = reader
        self.device = device
        self._producer = Producer(self.name, self.version, kind="stage")

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Of all classifiers, those of alerts first."""
        of_objects = () if self.following is None else self.following.classifiers
        return tuple(classifier.manifest for classifier in (*self.classifiers, *of_objects))

    def on_alert(
        self, alert: Packet, follow: bool = False, fields: Mapping[str, Any] | None = None
    ) -> list[ClassificationRecord]:
        """The records of one alert, one for each classifier of its survey; see `on_alerts`."""
        return self.on_alerts([alert], follow, [fields])[0]

    def on_alerts(
        self,
        alerts: Sequence[Packet],
        follow: bool = False,
        fields: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[list[ClassificationRecord]]:
        """Classify a batch; where objects are remembered, remember it.

        Parameters
        ----------
        alerts
            Packets as bytes off the wire, decoded dicts, or `Alert`.
        follow
            Whether to classify the objects of the alerts too, as they are known once the batch is remembered.
        fields
            What the broker knows of each alert: its AllWISE counterpart, see ``docs/crossmatch.md``.

        Returns
        -------
        list of list of ClassificationRecord
            For each packet, in the order given, one record from each classifier of its survey (those of objects are
            the last, and silent without ``follow``), or one from the stage itself where none is for it.  No packet
            raises, whatever is in it.

        Raises
        ------
        ValueError
            It can't follow: see `require_following`.  Or there are not as many ``fields`` as alerts.
        """
        if follow:
            self.require_following()
        if fields is not None and len(fields) != len(alerts):
            raise ValueError(f"there are {len(alerts)} alerts, and fields of {len(fields)}")
        produced_at = datetime.now(timezone.utc)
        packets = [self.reader.read(alert) for alert in alerts]
        records = self._stamp_records(packets, produced_at)
        if self.following is not None:
            given = [fields_in(alert) for alert in alerts] if fields is None else _either(fields, alerts)
            if follow:
                for row, more in enumerate(self.following.follow(packets, given, produced_at)):
                    records[row] += more
            else:
                self.following.remember(packets, given)
        for row, packet in enumerate(packets):
            if not records[row]:
                records[row].append(rejection(self._unclaimed(packet), self._producer, produced_at))
        return records

    def on_object_updates(self, updates: Sequence[ObjectUpdate]) -> list[list[ClassificationRecord]]:
        """Classify a batch of objects, by the alerts that come with each and by what is remembered of it.

        Returns
        -------
        list of list of ClassificationRecord
            For each update, in the order given, one record from each classifier of objects of its survey, or one from
            the stage itself where none is for it.  It names the newest detection that is known.  No update raises,
            whatever is in it.
        """
        produced_at = datetime.now(timezone.utc)
        read = [read_update(update, self.reader) for update in updates]
        records: list[list[ClassificationRecord]] = [[] for _ in read]
        if self.following is not None:
            records = self.following.update(read, produced_at)
        for row, update in enumerate(read):
            if not records[row]:
                records[row].append(rejection(_unfollowed(update), self._producer, produced_at))
        return records

    def require_following(self) -> None:
        """Refuse to follow objects where that can't be.

        Raises
        ------
        ValueError
            No classifier of objects is loaded, or nothing is remembered between calls.
        """
        if self.following is None:
            raise ValueError("objects can't be followed: no temporal classifier is loaded")
        if not self.following.remembers:
            raise ValueError("objects can't be followed: name a store of them in history, such as sqlite:objects.db")

    def close(self) -> None:
        """Close what objects are remembered in.  Nothing else may be called afterwards."""
        if self.following is not None:
            self.following.close()

    def _stamp_records(
        self, packets: Sequence[Alert | Rejected], produced_at: datetime
    ) -> list[list[ClassificationRecord]]:
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
        return records

    def _unclaimed(self, packet: Alert | Rejected) -> Rejected:
        if isinstance(packet, Rejected):
            return packet
        survey = packet.identity.survey
        of_what = f"alerts of survey {survey}, only of its objects" if survey in self.surveys else f"survey {survey}"
        return Rejected(packet.identity, Reason.UNSUPPORTED_SURVEY, f"no classifier is loaded for {of_what}")


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
    history: str | None = None,
    history_max_detections: int | None = None,
    history_max_days: float | None = None,
    history_max_bytes: int | None = 2_000_000_000,
    allwise: str | Path | None = None,
    allwise_cds: bool = False,
    allwise_timeout_s: float | None = 0.1,
    allwise_radius_arcsec: float = RADIUS_ARCSEC,
) -> Stage:
    """Load bundles, check their digests, warm them up, and make a stage of them.

    Parameters
    ----------
    bundles
        ``NAME``, ``NAME/VERSION`` or folders (beginning with ``/`` or ``.``); None takes the newest of every
        bundle that is found, of temporal ones only where there is a ``history``.
    device
        ``auto`` (a GPU if there is one), ``cpu``, ``gpu`` or ``gpu:N``.
    precision
        ``float32`` or ``bfloat16``.
    max_batch
        Alerts, or objects, that a network takes at a time.
    threads
        Threads for one operation of the network; None takes all cores.
    weights
        A folder of bundles to look in first, laid out ``NAME/VERSION/bundle.json``.
    schema_registry, schema_registry_timeout_s, schema_cache
        Address of a Confluent-compatible registry for schema ids that lsst-alert-packet lacks, how long to wait
        for it, and the folder where its answers are kept.
    datum_schema
        Schema of packets that are bare Avro records: an ``.avsc`` file or ``lsst.v10_0``.
    history
        Store of objects for temporal classifiers: ``memory:``, ``sqlite:PATH`` or ``redis://HOST:PORT/DATABASE``.
        None: nothing is remembered between calls.
    history_max_detections, history_max_days, history_max_bytes
        How much is kept of an object, and in all: see `broker_plugin.history.Limits`.  ``history_max_detections``
        None: as many as the classifiers need.
    allwise
        Folder of an AllWISE catalogue in HATS layout, for temporal classifiers; None: what the broker gives.
    allwise_cds
        Whether to ask the CDS X-Match service for what is known nowhere else.
    allwise_timeout_s
        How long the look-ups of a batch may take; None: as long as it takes.
    allwise_radius_arcsec
        How far a counterpart may be.

    Raises
    ------
    BundleError
        A bundle, or any at all, is not there, not whole, or does not run.
    DeviceError
        The device is not there.
    HistoryError
        The store can't be opened.
    ImportError
        ``history`` or ``allwise`` needs an extra that isn't installed.
    ValueError
        Another argument can't be used, or is for temporal classifiers, and none is loaded.
    """
    folder = None if weights is None else Path(weights)
    loaded = (
        _found(folder, with_temporal=history is not None) if bundles is None else [load(b, folder) for b in bundles]
    )
    of_objects = [bundle for bundle in loaded if bundle.manifest.kind == "temporal"]
    if (history or allwise or allwise_cds) and not of_objects:
        raise ValueError(
            "objects can't be followed: history and allwise need a temporal classifier, and none is loaded"
        )
    sources: list[Crossmatch] = []
    if allwise is not None:
        sources.append(HatsCatalogue(Path(allwise), radius_arcsec=allwise_radius_arcsec))
    if allwise_cds:
        sources.append(CdsXMatch(radius_arcsec=allwise_radius_arcsec))
    registry = None
    if schema_registry is not None:
        cache = None if schema_cache is None else Path(schema_cache)
        registry = SchemaRegistry(schema_registry, timeout_s=schema_registry_timeout_s, cache_dir=cache)
    reader = _reader([bundle.manifest for bundle in loaded], registry, datum_schema)
    runtime = Runtime(device, threads)
    classifiers = [
        StampClassifier(runtime.load(bundle, precision=precision, max_batch=max_batch))
        for bundle in loaded
        if bundle.manifest.kind != "temporal"
    ]
    following = None
    if of_objects:
        models = [runtime.load_temporal(bundle, precision=precision, max_batch=max_batch) for bundle in of_objects]
        following = Following(
            [TemporalClassifier(model) for model in models],
            Sources(sources, radius_arcsec=allwise_radius_arcsec),
            allwise_timeout_s,
            history,
            max_detections=history_max_detections,
            max_days=history_max_days,
            max_bytes=history_max_bytes,
        )
    return Stage(classifiers, following, reader, runtime.device)


def _found(folder: Path | None, *, with_temporal: bool) -> list[Bundle]:
    found = [b for b in find_verified(folder) if with_temporal or b.manifest.kind != "temporal"]
    if not found:
        raise BundleError("only temporal bundles are found, and these need a history or to be named")
    return found


def _reader(manifests: Sequence[Manifest], registry: SchemaRegistry | None, datum_schema: str | None) -> PacketReader:
    """Reads what the classifiers look at, and no more."""
    fields, history = frozenset[str](), False
    for manifest in manifests:
        is_temporal = manifest.kind == "temporal"
        fields |= needed_sequence_fields(manifest) if is_temporal else needed_fields(manifest.features)
        history |= is_temporal or needs_history(manifest.features)
    return PacketReader(fields, history=history, registry=registry, datum_schema=datum_schema)


def _either(fields: Sequence[Mapping[str, Any] | None], alerts: Sequence[Packet]) -> list[Mapping[str, Any] | None]:
    """What the broker says beside each alert, or else in it."""
    return [fields_in(alert) if given is None else given for given, alert in zip(fields, alerts, strict=True)]


def _unfollowed(update: ReadUpdate | Rejected) -> Rejected:
    if isinstance(update, Rejected):
        return update
    detail = f"no temporal classifier is loaded for survey {update.key.survey}: give a history, or name a bundle"
    return Rejected(update.identity, Reason.UNSUPPORTED_SURVEY, detail)
