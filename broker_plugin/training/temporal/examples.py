"""Sequences of detections to learn from: real objects and simulated ones, each seen at several times of its history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert
from broker_plugin.evaluation.examples import Label
from broker_plugin.history import RememberedDetection
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.tensors.sequences import DetectionForm, RawSequences, needed_sequence_fields, raw_sequences
from broker_plugin.training.dataset import TRUST_WEIGHT

ALL = 0
"""In the place of a number of detections: as many as are known."""
CUTS = (1, 2, 3, 4, 5, 6, 8, 12, 20, ALL)
"""How much of the history of a real alert is shown, its own detection included."""

_SIMULATED_DETECTIONS = (1, 6)
_CHUNK = 512  # sequences that are made into arrays at a time
_LONELY_SHARE = 0.3  # of simulated alerts whose earlier stamps nobody has kept

# What somebody wrote over in packets of ours that were made for a test: `Label.doctored_metadata`.
_EDITED = {"sgscore1": 0.2, "distpsnr1": 120.0, "neargaia": 300.0}
_EDITED_GAPS_DAYS = (1 / 24, 2 / 24, 3 / 24)


@dataclass(frozen=True, slots=True)
class SequenceExamples:
    """Examples as arrays, (n,) unless it says otherwise.

    Attributes
    ----------
    raw
        What the tensors are made of, n sequences.
    truth
        Class numbers.
    weight
        What each counts in the loss, by the trust in its label.
    objects
        Number of the object: examples of one object look much alike.
    alert_ids
        The alert that each ends with.
    cut
        How many detections of that alert's history are shown, itself included; `ALL`.
    is_last
        Whether that alert is the last known of its object.
    edited, copied_edits
        The packet's metadata were changed by somebody; it is a copy in which we have done the same.
    """

    raw: RawSequences
    truth: NDArray[np.int64]
    weight: NDArray[np.float32]
    objects: NDArray[np.int64]
    alert_ids: NDArray[np.int64]
    cut: NDArray[np.int64]
    is_last: NDArray[np.bool_]
    edited: NDArray[np.bool_]
    copied_edits: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def detections(self) -> NDArray[np.int64]:
        """Number of detections of each sequence."""
        return np.asarray(self.raw.present.sum(axis=1))


@dataclass(slots=True)
class _Rows:
    """Examples while they are collected."""

    form: DetectionForm
    columns: dict[str, list[float]]
    waiting: list[list[RememberedDetection]]
    done: list[RawSequences]

    @classmethod
    def of(cls, form: DetectionForm) -> _Rows:
        return cls(form, {f.name: [] for f in fields(SequenceExamples) if f.name != "raw"}, [], [])

    def add(self, detections: Iterable[RememberedDetection], **about: float) -> None:
        self.waiting.append(list(detections))
        for name, value in about.items():
            self.columns[name].append(value)
        if len(self.waiting) == _CHUNK:
            self._make()

    def examples(self) -> SequenceExamples:
        self._make()
        types = {"weight": np.float32, "is_last": bool, "edited": bool, "copied_edits": bool}
        columns = {name: np.array(values, dtype=types.get(name, np.int64)) for name, values in self.columns.items()}
        return SequenceExamples(raw=joined_sequences(self.done), **columns)

    def _make(self) -> None:
        if self.waiting or not self.done:
            self.done.append(raw_sequences(self.waiting, self.form))
            self.waiting.clear()


def joined_sequences(parts: Sequence[RawSequences]) -> RawSequences:
    """The sequences of all parts, one after the other."""
    offsets = np.cumsum([0, *(len(part.present) for part in parts)])[:-1]
    places = [part.places + (offset, 0) for part, offset in zip(parts, offsets, strict=True)]
    others = ("detections", "present", "latest", "stamps")
    return RawSequences(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in others},
        places=np.concatenate(places),
    )


def real_examples(paths: Sequence[Path], labels: Mapping[int, Label], form: DetectionForm) -> SequenceExamples:
    """The labelled alerts among the packets of ``paths`` whose class is one of the model's.

    Each alert is shown with more and less of its history (`CUTS`), and with what earlier packets of its object bring.
    Of packets whose metadata nobody has changed there are copies in which we have: else the model would learn that
    such changes are a sign of the one class whose packets have them.
    """
    classes = form.manifest.classes
    by_object: dict[str, list[Alert]] = {}
    for alert in _labelled(paths, labels, form):
        by_object.setdefault(labels[alert.identity.alert_id or 0].object_id, []).append(alert)
    rows, rng = _Rows.of(form), np.random.default_rng(0)
    for number, object_id in enumerate(sorted(by_object)):
        alerts = sorted(by_object[object_id], key=lambda alert: alert.identity.mjd or 0.0)
        kept, _ = form.of_alerts(alerts)
        for index, alert in enumerate(alerts):
            label = labels[alert.identity.alert_id or 0]
            about = {
                "truth": classes.index(label.class_name),
                "weight": TRUST_WEIGHT.get(label.trust, 1.0),
                "objects": number,
                "alert_ids": alert.identity.alert_id or 0,
                "is_last": index == len(alerts) - 1,
                "edited": label.doctored_metadata,
            }
            earlier = [detection for detections in kept[:index] for detection in detections]
            for cut, detections in _cuts(alert, earlier, form, CUTS):
                rows.add(detections, **about, cut=cut, copied_edits=False)
            if not label.doctored_metadata:
                for cut, detections in _cuts(_with_edits(alert, rng), (), form, (1, ALL)):
                    rows.add(detections, **about, cut=cut, copied_edits=True)
    return rows.examples()


def simulated_examples(count: int, seed: int, form: DetectionForm) -> SequenceExamples:
    """Sequences of simulated objects, ``count`` in all, with what AllWISE has of them; as `real_examples`."""
    from broker_plugin.simulation import simulate_objects

    manifest = form.manifest
    reader = PacketReader(needed_sequence_fields(manifest), history=True)
    rows, rng = _Rows.of(form), np.random.default_rng(seed)
    drawn = simulate_objects(manifest.survey, count, seed, _SIMULATED_DETECTIONS, classes=manifest.classes)
    for number, simulated in enumerate(drawn):
        read = [reader.read(packet.payload) for packet in simulated.packets]
        counterpart = simulated.allwise.fields()
        alerts = [replace(a, values={**a.values, **counterpart}) for a in read if isinstance(a, Alert)]
        kept, _ = form.of_alerts(alerts)
        for index, alert in enumerate(alerts):
            is_lonely = rng.random() < _LONELY_SHARE
            earlier = [] if is_lonely else [detection for detections in kept[:index] for detection in detections]
            for cut, detections in _cuts(alert, earlier, form, (1, *sorted(rng.integers(2, 6, 2).tolist()), ALL)):
                rows.add(
                    detections,
                    truth=manifest.classes.index(simulated.class_name),
                    weight=1.0,
                    objects=number,
                    alert_ids=alert.identity.alert_id or 0,
                    cut=cut,
                    is_last=index == len(alerts) - 1,
                    edited=False,
                    copied_edits=False,
                )
    return rows.examples()


def _labelled(paths: Sequence[Path], labels: Mapping[int, Label], form: DetectionForm) -> Iterator[Alert]:
    """Alerts of the model's survey and classes; one that is met twice is taken once."""
    manifest = form.manifest
    reader = PacketReader(needed_sequence_fields(manifest), history=True)
    seen: set[int] = set()
    for alert in PacketFiles(paths, reader):
        alert_id = alert.identity.alert_id
        if not isinstance(alert, Alert) or alert_id is None or alert.identity.survey != manifest.survey:
            continue
        if alert_id in labels and alert_id not in seen and labels[alert_id].class_name in manifest.classes:
            seen.add(alert_id)
            yield alert


def _cuts(
    alert: Alert, earlier: Sequence[RememberedDetection], form: DetectionForm, cuts: Sequence[int]
) -> Iterator[tuple[int, list[RememberedDetection]]]:
    """The alert with so many detections, its own the last of them; each length once."""
    shown: set[int] = set()
    for cut in cuts:
        first = 0 if cut == ALL else max(0, len(alert.history) + 1 - cut)
        history = alert.history[first:]
        if len(history) in shown and cut != ALL:
            continue
        shown.add(len(history))
        (detections,), problems = form.of_alerts([replace(alert, history=history)])
        if problems:
            return
        begin_mjd = -np.inf if cut == ALL else detections[0].mjd
        yield cut, [*(d for d in earlier if d.mjd >= begin_mjd), *detections]


def _with_edits(alert: Alert, rng: np.random.Generator) -> Alert:
    """The alert with the changes that somebody made to the labelled ones that have ``doctored_metadata``."""
    mjd = (alert.identity.mjd or 0.0) - float(rng.choice(_EDITED_GAPS_DAYS))
    history = tuple(replace(detection, mjd=mjd) for detection in alert.history)
    return replace(alert, values={**alert.values, **_EDITED}, history=history)
