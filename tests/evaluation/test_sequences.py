"""Labelled objects: what a temporal bundle says of them is what the stage says, whatever is known of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.alert import Alert
from broker_plugin.bundles import load
from broker_plugin.crossmatch import HatsCatalogue, Sources
from broker_plugin.crossmatch.build import build_catalogue
from broker_plugin.evaluation.examples import Label, read_labels
from broker_plugin.evaluation.sequences import ObjectAnswers, answers_of_objects
from broker_plugin.models import Runtime, TemporalModel
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.simulation import write_packets
from broker_plugin.stage import load_stage

BUNDLE = "tiny-temporal-ztf"


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen objects, of which three are of a class that the bundle lacks; and what AllWISE has around them."""
    folder = tmp_path_factory.mktemp("labelled") / "packets"
    list(write_packets(folder, "ztf", 15, 7, (1, 3), ("AGN", "SN", "VS", "VS", "asteroid")))
    build_catalogue([folder / "allwise.csv"], folder.parent / "hats")
    return folder


@pytest.fixture(scope="module")
def labels(packets: Path) -> dict[int, Label]:
    return read_labels(packets / "labels.csv")


@pytest.fixture(scope="module")
def model(temporal_weights: Path) -> TemporalModel:
    return Runtime("cpu").load_temporal(load(BUNDLE, temporal_weights))


@pytest.fixture(scope="module")
def answers(model: TemporalModel, packets: Path, labels: dict[int, Label]) -> ObjectAnswers:
    return _answers(model, packets, labels, Sources([HatsCatalogue(packets.parent / "hats")]))


def _answers(model: TemporalModel, packets: Path, labels: dict[int, Label], allwise: Sources) -> ObjectAnswers:
    return answers_of_objects(model, [packets], labels, allwise, progress=lambda share: None)


def _said_by_stage(weights: Path, allwise: Path | None, alerts: list[Alert]) -> ClassificationRecord:
    """The last record of the stage, given the alerts of an object one after the other."""
    stage = load_stage(
        [BUNDLE], weights=weights, device="cpu", history="memory:", allwise=allwise, allwise_timeout_s=None
    )
    records = [stage.on_alert(alert, follow=True) for alert in alerts]
    stage.close()
    return records[-1][-1]


def _probabilities(record: ClassificationRecord) -> list[float]:
    return [one.probability for one in record.classifications]


def _rows(answers: ObjectAnswers, count: int) -> Iterator[int]:
    return iter(np.flatnonzero(answers.counts >= count)[:4].tolist())


def test_the_answer_about_an_object_is_that_of_the_stage(
    answers: ObjectAnswers, temporal_weights: Path, packets: Path
) -> None:
    for row, one in enumerate(answers.objects):
        record = _said_by_stage(temporal_weights, packets.parent / "hats", list(one.alerts))
        np.testing.assert_allclose(answers.shown.probabilities[row], _probabilities(record), rtol=1e-6)
        assert record.detections_used == answers.counts[row]
        assert record.stamps_used == 3 * answers.stamped[row]
        assert record.allwise == ("found" if answers.counterpart[row] else "none_there")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_object_cut_to_some_detections_is_one_of_which_no_more_is_known(
    answers: ObjectAnswers, temporal_weights: Path, packets: Path, count: int
) -> None:
    rows = list(_rows(answers, count))
    assert rows
    cut = answers.cut(np.array(rows), count)
    for row, probabilities in zip(rows, cut.probabilities, strict=True):
        since_mjd = answers.detections[row][-count].mjd - 1e-6
        alerts = [
            replace(alert, history=tuple(d for d in alert.history if d.mjd >= since_mjd))
            for alert in answers.objects[row].alerts
            if alert.identity.mjd >= since_mjd
        ]
        record = _said_by_stage(temporal_weights, packets.parent / "hats", alerts)
        assert record.detections_used == count
        np.testing.assert_allclose(probabilities, _probabilities(record), rtol=1e-6)


def test_all_detections_are_no_cut(answers: ObjectAnswers) -> None:
    np.testing.assert_array_equal(answers.cut(answers.shown.rows, None).probabilities, answers.shown.probabilities)


def test_without_allwise_is_as_a_stage_that_has_no_catalogue(answers: ObjectAnswers, temporal_weights: Path) -> None:
    without = answers.cut(answers.shown.rows, None, allwise=False)
    assert not np.allclose(without.probabilities, answers.shown.probabilities)
    record = _said_by_stage(temporal_weights, None, list(answers.objects[0].alerts))
    np.testing.assert_allclose(without.probabilities[0], _probabilities(record), rtol=1e-6)


def test_without_stamps_is_as_alerts_that_have_none(
    answers: ObjectAnswers, temporal_weights: Path, packets: Path
) -> None:
    bare = [replace(alert, cutouts={}) for alert in answers.objects[0].alerts]
    record = _said_by_stage(temporal_weights, packets.parent / "hats", bare)
    assert record.stamps_used == 0
    np.testing.assert_allclose(answers.with_stamps_of_last(0).probabilities[0], _probabilities(record), rtol=1e-6)


def test_the_stamps_of_the_last_detection_are_all_where_it_alone_has_some(answers: ObjectAnswers) -> None:
    alone = answers.stamped == 1
    assert alone.any()
    assert not alone.all()
    said, changed = answers.shown.probabilities, answers.with_stamps_of_last(1).probabilities
    np.testing.assert_array_equal(changed[alone], said[alone])
    assert not np.allclose(changed[~alone], said[~alone])


def test_an_object_counts_once_and_is_judged_at_its_last_alert(
    answers: ObjectAnswers, labels: dict[int, Label]
) -> None:
    names = [one.last.identity.object_id for one in answers.objects]
    assert len(set(names)) == len(names)
    for one in answers.objects:
        times = [alert.identity.mjd for alert in one.alerts]
        assert one.last.identity.mjd == max(times)
        assert one.label == labels[one.last.identity.alert_id]


def test_objects_of_other_classes_and_of_one_detection_are_passed_over(
    answers: ObjectAnswers, labels: dict[int, Label]
) -> None:
    of_classes = {label.object_id for label in labels.values() if label.class_name != "asteroid"}
    assert len(of_classes) == 12
    assert len(answers.objects) + answers.passed_over == 12
    assert answers.passed_over == 1
    assert not answers.unclassified
    assert answers.not_found == 0


def test_labels_without_packets_are_counted(model: TemporalModel, packets: Path, labels: dict[int, Label]) -> None:
    more = _answers(model, packets, labels | {1: Label("SN", "elsewhere")}, Sources([]))
    assert more.not_found == 1


def test_no_labels_of_its_classes_are_a_problem(model: TemporalModel, packets: Path, labels: dict[int, Label]) -> None:
    others = {alert_id: replace(label, class_name="bogus") for alert_id, label in labels.items()}
    with pytest.raises(ValueError, match="labelled packets that can be read: none"):
        _answers(model, packets, others, Sources([]))
