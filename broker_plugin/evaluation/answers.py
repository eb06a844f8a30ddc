"""What a classifier says of labelled alerts, packet by packet as the stage would have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Identity, Reason
from broker_plugin.bundles import Manifest
from broker_plugin.evaluation.examples import Examples, Label, labelled_surveys
from broker_plugin.models import Model
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.tensors import make_batch, needed_fields, needs_history

SPLITS = ("train", "test", "all")

Stamps = NDArray[np.float32]
Features = NDArray[np.float32]
Predict = Callable[[Stamps, Features], NDArray[np.float64]]
"""Tensors of a batch to probabilities, (n, classes)."""


@dataclass(frozen=True, slots=True)
class Unclassified:
    """A packet that should have been classified and was not."""

    alert_id: int | None
    source: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Answers:
    """Labelled alerts that were classified, row by row, and those that were not.

    Attributes
    ----------
    stamps, features
        float32, (n, size, size, channels) and (n, features): what the model was given.
    imputed
        Of each alert, the names of the features that its packet lacks.
    truth
        (n,), numbers of classes.
    probabilities
        float64, (n, classes).
    novelty
        (n,), from 0 to 1; None where the bundle does not tell it.
    unclassified
        Labelled packets that were not classified, and packets of which not even the id could be read.
    not_found
        Labels of the split whose packet is not among those given.
    """

    model: Model
    examples: Examples
    stamps: Stamps
    features: Features
    imputed: list[tuple[str, ...]]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    novelty: NDArray[np.float64] | None
    unclassified: tuple[Unclassified, ...]
    not_found: int

    @property
    def manifest(self) -> Manifest:
        """Of the bundle."""
        return self.model.bundle.manifest

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the bundle, in the order of ``probabilities``."""
        return self.manifest.classes

    @property
    def said(self) -> NDArray[np.int64]:
        """(n,), the class with the highest probability."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,), whether it is the true one."""
        return np.asarray(self.said == self.truth)

    @property
    def objects(self) -> list[str]:
        """Of each row, the id of its object: alerts of one object are not independent."""
        return [label.object_id for label in self.examples.labels]

    def predict(self, stamps: Stamps, features: Features) -> NDArray[np.float64]:
        """What the same model says of other tensors, (n, classes)."""
        return self.model.predict(stamps, features).probabilities


def answers_of(
    model: Model, paths: Sequence[Path], labels: Mapping[int, Label], *, progress: Callable[[float], None]
) -> Answers:
    """Read the labelled packets, and classify them.

    Parameters
    ----------
    labels
        Of the split that is looked at.
    progress
        Called with the share of bytes read.

    Raises
    ------
    ValueError
        No labelled packet is of the bundle's survey, or a label is not one of its classes.
    """
    manifest = model.bundle.manifest
    unknown = sorted({label.class_name for label in labels.values()} - set(manifest.classes))
    if unknown:
        raise ValueError(f"label {unknown[0]!r} is not a class of {manifest.label}: {', '.join(manifest.classes)}")
    reader = PacketReader(needed_fields(manifest.features), history=needs_history(manifest.features))
    alerts, rejected = read_labelled(paths, labels, manifest.survey, reader, progress)
    if not alerts:
        raise ValueError(nothing_to_score(paths, labels, manifest))
    batch = make_batch(alerts, manifest)
    outputs = model.predict(batch.stamps, batch.features)
    problems = {
        int(row): AlertError(Reason.NON_FINITE_OUTPUT, "the model gave no finite answer")
        for row in np.flatnonzero(np.isnan(outputs.probabilities).any(axis=1))
    } | batch.problems
    good = [row for row in range(len(alerts)) if row not in problems]
    if not good:
        raise ValueError(f"no labelled packet can be classified; of the first: {problems[0]}")
    examples = Examples(alerts, [labels[_id(alert)] for alert in alerts]).where(np.isin(range(len(alerts)), good))
    numbers = {name: number for number, name in enumerate(manifest.classes)}
    failed = [unclassified(alerts[row].identity, problem.reason, problem.detail) for row, problem in problems.items()]
    return Answers(
        model=model,
        examples=examples,
        stamps=batch.stamps[good],
        features=batch.features[good],
        imputed=[batch.imputed[row] for row in good],
        truth=np.array([numbers[label.class_name] for label in examples.labels], dtype=np.int64),
        probabilities=outputs.probabilities[good],
        novelty=None if outputs.novelty is None else outputs.novelty[good],
        unclassified=(*rejected, *failed),
        not_found=len(labels) - len(alerts) - sum(one.alert_id in labels for one in rejected),
    )


def read_labelled(
    paths: Sequence[Path],
    labels: Mapping[int, Label],
    survey: str,
    reader: PacketReader,
    progress: Callable[[float], None],
) -> tuple[list[Alert], list[Unclassified]]:
    """The labelled alerts of a survey, each once, and what may have been some but can't be read."""
    files = PacketFiles(paths, reader)
    alerts: dict[int, Alert] = {}
    rejected: dict[tuple[int | None, str], Unclassified] = {}
    for packet in files:
        progress(files.done_bytes / max(files.total_bytes, 1))
        identity = packet.identity
        may_be_labelled = identity.alert_id is None or identity.alert_id in labels
        if not may_be_labelled or identity.survey not in (None, survey):
            continue
        if isinstance(packet, Alert):
            alerts.setdefault(_id(packet), packet)
        elif packet.reason is not Reason.UNSUPPORTED_SURVEY:
            one = unclassified(identity, packet.reason, packet.detail)
            rejected[one.alert_id, one.source] = one
    return list(alerts.values()), [one for one in rejected.values() if one.alert_id not in alerts]


def nothing_to_score(paths: Sequence[Path], labels: Mapping[int, Label], manifest: Manifest) -> str:
    """Why no labelled packet was found that a bundle is for."""
    surveys = labelled_surveys(paths, labels)
    found = " and ".join(f"{count:,} of {survey}" for survey, count in sorted(surveys.items())) or "none"
    return f"{manifest.label} is for {manifest.survey} alerts; labelled packets that can be read: {found}"


def _id(alert: Alert) -> int:
    """The id of an alert, which every readable one has."""
    return cast(int, alert.identity.alert_id)


def unclassified(identity: Identity, reason: Reason, detail: str) -> Unclassified:
    """A packet that has no answer, for this reason."""
    return Unclassified(identity.alert_id, identity.source or "", reason.value, detail)
