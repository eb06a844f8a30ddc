"""What the packaged temporal classifier says of real objects that it has not learned from, through the stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.alert import Alert, ObjectUpdate
from broker_plugin.bundles import load
from broker_plugin.crossmatch.columns import PHOTOMETRY
from broker_plugin.evaluation.examples import STRONG_TRUST, read_labels
from broker_plugin.packets import PacketFiles
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.simulation import simulate_objects
from broker_plugin.stage import Stage, load_stage

CLASSES = ("AGN", "SN", "VS")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = load_stage(["stamp-ztf", "temporal-ztf"], device="cpu", history="memory:")
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def answers(stage: Stage, shared_alerts: Path) -> dict[str, tuple[ClassificationRecord, ClassificationRecord, str]]:
    """Of each labelled object of the test split: the records of its last alert, of stamps and of all, and the truth."""
    labels = read_labels(shared_alerts / "labels.csv")
    packets = list(PacketFiles([shared_alerts / "ztf" / "test.avro"], stage.reader))
    found = {}
    for stamp, temporal in stage.on_alerts(packets, follow=True):
        label = labels.get(temporal.alert_id)
        if label is None or label.split != "test" or label.trust not in STRONG_TRUST:
            continue
        if label.class_name not in CLASSES or temporal.status != "ok":
            continue
        before = found.get(label.object_id)
        if before is None or temporal.mjd > before[1].mjd:
            found[label.object_id] = (stamp, temporal, label.class_name)
    return found


def test_two_or_more_detections_are_always_answered(stage: Stage, shared_alerts: Path) -> None:
    packets = list(PacketFiles([shared_alerts / "ztf" / "test.avro"], stage.reader))
    known: dict[str, set[float]] = {}
    for alert in packets:
        mjds = (alert.identity.mjd, *(detection.mjd for detection in alert.history))
        known.setdefault(alert.identity.object_id, set()).update(round(mjd, 4) for mjd in mjds)
    for _, temporal in stage.on_alerts(packets, follow=True):
        wanted = ("ok", None) if len(known[temporal.object_id]) > 1 else ("skipped", "too_few_detections")
        assert (temporal.status, temporal.reason) == wanted


def test_real_objects_are_right_often_enough(
    answers: dict[str, tuple[ClassificationRecord, ClassificationRecord, str]],
) -> None:
    assert np.mean([temporal.class_name == truth for _, temporal, truth in answers.values()]) >= 0.93


def test_it_is_not_worse_than_the_stamp_classifier_on_the_same_objects(
    answers: dict[str, tuple[ClassificationRecord, ClassificationRecord, str]],
) -> None:
    def of_three(record: ClassificationRecord) -> str:
        return max(CLASSES, key=record.probability)

    by_stamps = np.mean([of_three(stamp) == truth for stamp, _, truth in answers.values()])
    assert np.mean([temporal.class_name == truth for _, temporal, truth in answers.values()]) >= by_stamps


def test_the_model_card_tells_what_the_stage_measures(
    answers: dict[str, tuple[ClassificationRecord, ClassificationRecord, str]],
) -> None:
    told = load("temporal-ztf").manifest.metrics["test_trust_1_2"]
    right = np.mean([temporal.class_name == truth for _, temporal, truth in answers.values()])
    # Another processor rounds otherwise, which may tip one object.
    assert (len(answers), right) == (told["n"], pytest.approx(told["accuracy"], abs=1.5 / len(answers)))


def test_more_detections_are_better(stage: Stage, shared_alerts: Path) -> None:
    labels = read_labels(shared_alerts / "labels.csv")
    last: dict[str, Alert] = {}
    for alert in PacketFiles([shared_alerts / "ztf" / "test.avro"], stage.reader):
        label = labels.get(alert.identity.alert_id)
        if label is None or label.class_name not in CLASSES or label.trust not in STRONG_TRUST:
            continue
        before = last.get(label.object_id)
        if len(alert.history) >= 4 and (before is None or alert.identity.mjd > before.identity.mjd):
            last[label.object_id] = alert
    truth = [labels[alert.identity.alert_id].class_name for alert in last.values()]
    right = {}
    for count in (2, 5):
        cut = [replace(alert, history=alert.history[1 - count :]) for alert in last.values()]
        # Not the object's own name: all else that is known of it would be remembered from the tests before.
        updates = [ObjectUpdate(f"{count}-{number}", "ztf", [alert]) for number, alert in enumerate(cut)]
        records = [record for [record] in stage.on_object_updates(updates)]
        right[count] = np.mean([record.class_name == name for record, name in zip(records, truth, strict=True)])
    assert right[5] > right[2]


def test_the_answer_is_the_same_alone_and_in_a_batch(stage: Stage, shared_alerts: Path) -> None:
    packets = islice(PacketFiles([shared_alerts / "ztf" / "test.avro"], stage.reader), 150)
    updates = [ObjectUpdate(f"alone-{number}", "ztf", [alert]) for number, alert in enumerate(packets)]
    together = [record.classifications for [record] in stage.on_object_updates(updates)]
    alone = [stage.on_object_updates([update])[0][0].classifications for update in updates]
    assert alone == together


@pytest.mark.slow
def test_simulated_objects_with_allwise_are_right(stage: Stage) -> None:
    wanted, answered = {}, {}
    for drawn in simulate_objects("ztf", 600, 2024, (2, 5), classes=CLASSES):
        packets = [stage.reader.read(packet.payload) for packet in drawn.packets]
        sources = [
            {"ra": source.ra_deg, "dec": source.dec_deg, **dict(zip(PHOTOMETRY, source.photometry, strict=True))}
            for source in drawn.allwise_sources
        ]
        for packet in packets:
            (*_, record) = stage.on_alert(packet, follow=True, fields={"allwise": sources})
        assert record.allwise in ("found", "none_there")
        wanted[drawn.object_id], answered[drawn.object_id] = drawn.class_name, record.class_name
    right = np.mean([answered[name] == wanted[name] for name in wanted])
    assert right >= 0.98
