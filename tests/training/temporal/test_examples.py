"""Sequences to learn from: objects with more and less of their history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.evaluation.examples import Label, read_labels
from broker_plugin.packets import PacketReader
from broker_plugin.simulation import simulate_objects, write_packets
from broker_plugin.tensors.sequences import DetectionForm, needed_sequence_fields
from broker_plugin.training.temporal import examples
from broker_plugin.training.temporal.examples import ALL, SequenceExamples, real_examples, simulated_examples
from broker_plugin.training.temporal.presets import TEMPORAL_PRESETS

FORM = DetectionForm(TEMPORAL_PRESETS["ztf"].manifest())
STAMPED = [feature.source for feature in FORM.sequence.features].index("has_stamps")


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    list(write_packets(folder, "ztf", 12, 3, (1, 4), ("AGN", "SN", "VS", "asteroid")))
    return folder


@pytest.fixture(scope="module")
def real(packets: Path) -> SequenceExamples:
    return real_examples([packets], read_labels(packets / "labels.csv"), FORM)


def test_only_classes_of_the_model_are_learned_from(real: SequenceExamples) -> None:
    assert set(real.truth.tolist()) == {0, 1, 2}
    assert len(np.unique(real.objects)) == 9


def test_an_alert_that_is_cut_to_some_detections_has_no_more_of_them(real: SequenceExamples) -> None:
    for cut in (1, 2, 3, 4, 5):
        assert (real.detections[real.cut == cut] <= cut).all()
    assert (real.detections[real.cut == 1] == 1).all()
    assert (real.detections[real.cut == ALL] > 1).any()


def test_each_object_has_one_last_alert(real: SequenceExamples) -> None:
    for number in np.unique(real.objects):
        last = real.is_last & (real.objects == number)
        assert len(np.unique(real.alert_ids[last])) == 1


def test_the_last_detection_is_the_alert_s_own_with_its_stamps(real: SequenceExamples) -> None:
    rows = np.arange(len(real))
    assert (real.raw.detections[rows, real.detections - 1, STAMPED] == 1.0).all()


def test_every_alert_that_nobody_has_edited_has_copies_that_we_have(packets: Path) -> None:
    labels = read_labels(packets / "labels.csv")
    edited_id = next(alert_id for alert_id, label in labels.items() if label.class_name == "VS")
    labels[edited_id] = replace(labels[edited_id], doctored_metadata=True)
    found = real_examples([packets], labels, FORM)
    copied = set(found.alert_ids[found.copied_edits].tolist())
    assert copied == set(found.alert_ids.tolist()) - {edited_id}
    assert found.edited[found.alert_ids == edited_id].all()


def test_edits_take_away_what_the_catalogue_said_and_when_the_history_was(real: SequenceExamples) -> None:
    sources = [feature.source for feature in FORM.manifest.features]
    score = real.raw.latest[:, sources.index("ps1_score")]
    assert np.isnan(score[real.copied_edits]).all()
    assert (real.detections[real.copied_edits] <= 2).all()


@pytest.mark.parametrize(("known", "cut", "wanted"), [(0, 5, 1), (3, 5, 4), (3, 2, 2), (9, ALL, 10), (9, 1, 1)])
def test_a_cut_shows_the_latest_of_what_is_known(known: int, cut: int, wanted: int) -> None:
    alert = _alert_with_history(known)
    ((_, detections),) = examples._cuts(alert, (), FORM, (cut,))
    assert len(detections) == min(wanted, FORM.sequence.length + 1)
    mjds = [detection.mjd for detection in detections]
    assert mjds == sorted(mjds)
    assert mjds[-1] == alert.identity.mjd


def _alert_with_history(count: int):
    (drawn,) = simulate_objects("ztf", 1, 5, (1, 1), classes=("AGN",))
    alert = PacketReader(needed_sequence_fields(FORM.manifest)).read(drawn.packets[0].payload)
    template = replace(alert.history[0], values={"magpsf": 19.0, "isdiffpos": True, "sigmapsf": 0.1})
    history = tuple(replace(template, mjd=alert.identity.mjd - 1.0 - days) for days in range(count, 0, -1))
    return replace(alert, history=history)


def test_simulated_objects_bring_their_allwise_counterparts() -> None:
    found = simulated_examples(12, 1, FORM)
    names = [feature.name for feature in FORM.manifest.features]
    assert (found.raw.latest[:, names.index("allwise_looked_up")] == 1.0).all()
    of_agn = found.raw.latest[found.truth == 0]
    assert np.nanmedian(of_agn[:, names.index("allwise_w1_w2")]) > 0.4


def test_simulated_examples_are_the_same_for_a_seed() -> None:
    one, other = simulated_examples(6, 2, FORM), simulated_examples(6, 2, FORM)
    np.testing.assert_array_equal(one.raw.stamps, other.raw.stamps)
    np.testing.assert_array_equal(one.raw.latest, other.raw.latest)
    np.testing.assert_array_equal(one.cut, other.cut)


def test_labels_of_weak_trust_count_less(packets: Path) -> None:
    labels = {alert_id: replace(label, trust=3) for alert_id, label in read_labels(packets / "labels.csv").items()}
    assert isinstance(next(iter(labels.values())), Label)
    assert set(real_examples([packets], labels, FORM).weight.tolist()) == {0.5}
