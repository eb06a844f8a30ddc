"""Labelled alerts: packets joined with a table of labels."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from broker_plugin.alert import Alert
from broker_plugin.bundles import FeatureSpec, Manifest
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.tensors import make_batch, needed_fields, needs_history

TRUST_WEIGHT = {1: 1.0, 2: 1.0, 3: 0.5}
"""What an example counts by the trust in its label."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of one alert.

    Attributes
    ----------
    object_id
        Alerts of one object must stand on the same side of every split.
    split
        ``train``, ``test``, or empty where the table makes none.
    trust
        1 strong (spectrum, known solar-system object), 2 catalogue, 3 weak (another classifier's word).
    doctored_metadata
        The packet's metadata were changed by somebody; its stamps can be learned from, its numbers can't.
    """

    class_name: str
    object_id: str
    split: str = ""
    trust: int = 1
    doctored_metadata: bool = False


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled alerts of one survey."""

    alerts: list[Alert]
    labels: list[Label]

    def where(self, keep: Iterable[bool]) -> Examples:
        """Those for which ``keep`` is true."""
        chosen = [i for i, wanted in enumerate(keep) if wanted]
        return Examples([self.alerts[i] for i in chosen], [self.labels[i] for i in chosen])

    def digest(self) -> str:
        """SHA-256 over ids and labels, in order of ids: tells one training set from another."""
        lines = sorted(
            f"{a.identity.survey} {a.identity.alert_id} {label.class_name} {label.trust}"
            for a, label in zip(self.alerts, self.labels, strict=True)
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples as arrays.

    Attributes
    ----------
    stamps, features
        float32, (n, size, size, channels) and (n, features).
    truth
        Class numbers, (n,).
    weight
        What each example counts in the loss, (n,).
    """

    stamps: np.ndarray
    features: np.ndarray
    truth: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: np.ndarray) -> Arrays:
        """Those of these row numbers, or for which a mask is true."""
        return Arrays(*(getattr(self, field.name)[rows] for field in fields(self)))


def read_labels(path: Path) -> dict[int, Label]:
    """A table of labels by alert id.

    Columns ``candid`` (or ``alert_id``) and ``label`` are needed; ``object_id``, ``split``, ``label_trust``
    and ``doctored_metadata`` are used where present.  Rows without a label are passed over.

    Raises
    ------
    ValueError
        A needed column is missing, or a row can't be read; the message names the row.
    """
    labels: dict[int, Label] = {}
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        columns = table.fieldnames or ()
        id_column = next((name for name in ("candid", "alert_id") if name in columns), None)
        if id_column is None or "label" not in columns:
            raise ValueError(f"{path}: needs the columns candid (or alert_id) and label; it has {', '.join(columns)}")
        for number, row in enumerate(table, start=2):
            if not row["label"]:
                continue
            try:
                labels[int(row[id_column])] = Label(
                    class_name=row["label"],
                    object_id=row.get("object_id") or row[id_column],
                    split=row.get("split") or "",
                    trust=int(row.get("label_trust") or 1),
                    doctored_metadata=(row.get("doctored_metadata") or "").lower() == "true",
                )
            except ValueError as problem:
                raise ValueError(f"{path}, line {number}: {problem}") from problem
    return labels


def labelled_surveys(paths: Sequence[Path], labels: Mapping[int, Label]) -> Counter[str]:
    """How many labelled alerts of each survey the packets hold."""
    files = PacketFiles(paths, PacketReader(fields=(), history=False))
    alerts = (packet for packet in files if isinstance(packet, Alert) and packet.identity.alert_id in labels)
    return Counter(str(alert.identity.survey) for alert in alerts)


def load_examples(
    paths: Sequence[Path], labels: Mapping[int, Label], survey: str, features: Sequence[FeatureSpec]
) -> Examples:
    """The labelled alerts among the packets of ``paths``; one that is met twice is taken once."""
    reader = PacketReader(needed_fields(features), history=needs_history(features))
    found: dict[int, Alert] = {}
    for alert in PacketFiles(paths, reader):
        alert_id = alert.identity.alert_id
        if alert_id is not None and alert_id in labels and isinstance(alert, Alert) and alert.identity.survey == survey:
            found.setdefault(alert_id, alert)
    return Examples(list(found.values()), [labels[alert_id] for alert_id in found])


def simulated_examples(survey: str, per_class: int, seed: int, features: Sequence[FeatureSpec]) -> Examples:
    """Synthetic alerts, ``per_class`` of each class, read as real ones are."""
    from broker_plugin.simulation import CLASSES, simulate_packets

    reader = PacketReader(needed_fields(features), history=needs_history(features))
    alerts, labels = [], []
    for packet in simulate_packets(survey, per_class * len(CLASSES), seed):
        alert = reader.read(packet.payload)
        if isinstance(alert, Alert):
            alerts.append(alert)
            labels.append(Label(packet.class_name, object_id=str(packet.alert_id)))
    return Examples(alerts, labels)


def classifiable(examples: Examples, manifest: Manifest) -> Examples:
    """Those that the stage would classify."""
    problems = make_batch(examples.alerts, manifest).problems
    return examples.where(row not in problems for row in range(len(examples.alerts)))


def as_sent(examples: Examples) -> Examples:
    """The same, with the metadata of each packet taken for true, as the stage takes them."""
    return Examples(examples.alerts, [replace(label, doctored_metadata=False) for label in examples.labels])


def to_arrays(examples: Examples, manifest: Manifest) -> Arrays:
    """The tensors that the stage would make of the examples, without those that it could not classify.

    Of alerts with doctored metadata, all features are unknown.
    """
    batch = make_batch(examples.alerts, manifest)
    batch.features[[label.doctored_metadata for label in examples.labels]] = 0.0
    good = [row for row in range(len(examples.alerts)) if row not in batch.problems]
    index = {name: i for i, name in enumerate(manifest.classes)}
    return Arrays(
        stamps=batch.stamps[good],
        features=batch.features[good],
        truth=np.array([index[examples.labels[row].class_name] for row in good], dtype=np.int64),
        weight=np.array([TRUST_WEIGHT.get(examples.labels[row].trust, 1.0) for row in good], dtype=np.float32),
    )


def joined(*parts: Arrays) -> Arrays:
    """The examples of all parts."""
    return Arrays(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Arrays)))


def folds_by_object(labels: Sequence[Label], count: int, rng: np.random.Generator) -> np.ndarray:
    """Deal the objects of each class to ``count`` folds; the number of the fold for each label, (n,)."""
    fold: dict[str, int] = {}
    for class_name in sorted({label.class_name for label in labels}):
        objects = sorted({label.object_id for label in labels if label.class_name == class_name} - fold.keys())
        start = int(rng.integers(count))  # the remainders of all classes would else go to the first folds
        fold.update({str(name): (start + i) % count for i, name in enumerate(rng.permutation(objects))})
    return np.array([fold[label.object_id] for label in labels], dtype=np.int64)


def standardised(manifest: Manifest, median_fill: frozenset[str], alerts: Sequence[Alert]) -> tuple[FeatureSpec, ...]:
    """The manifest's features with fill, mean and standard deviation as these alerts have them."""
    raw = make_batch(alerts, manifest)
    done = []
    for i, feature in enumerate(manifest.features):
        present = np.array([feature.name not in names for names in raw.imputed])
        column = raw.features[:, i].astype(np.float64)
        if feature.name in median_fill and present.any():
            feature = replace(feature, fill=_untransformed(float(np.median(column[present])), feature))
        known = column[present] if present.any() else column
        std = float(known.std())
        done.append(replace(feature, mean=float(known.mean()), std=std if std > 1e-6 else 1.0))
    return tuple(done)


def _untransformed(value: float, feature: FeatureSpec) -> float:
    if feature.transform == "asinh":
        return float(np.sinh(value) * feature.scale)
    return 10.0**value if feature.transform == "log10" else value
