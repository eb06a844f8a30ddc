"""From packets and labels to the bundle of a temporal classifier, on synthetic sequences."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.bundles import Manifest, load
from broker_plugin.evaluation.examples import read_labels
from broker_plugin.models import Runtime
from broker_plugin.simulation import write_packets
from broker_plugin.tensors.sequences import DetectionForm, make_sequences
from broker_plugin.training.temporal import train
from broker_plugin.training.temporal.comparison import compare_recurrences
from broker_plugin.training.temporal.examples import ALL
from broker_plugin.training.temporal.fit import TemporalFitOptions, predict_sequences
from broker_plugin.training.temporal.train import PreparedSequences, prepare_sequences, train_temporal

FEW = TemporalFitOptions(pretraining=2, iterations=3, batch_size=8, members=2)
CLASSES = ("AGN", "SN", "VS")


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen objects, every third for the test."""
    folder = tmp_path_factory.mktemp("labelled")
    list(write_packets(folder, "ztf", 18, 3, (2, 3), CLASSES))
    table = list(csv.DictReader((folder / "labels.csv").open()))
    objects = sorted({row["object_id"] for row in table})
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*table[0], "split"])
        writer.writeheader()
        writer.writerows({**row, "split": "test" if objects.index(row["object_id"]) % 3 == 0 else ""} for row in table)
    return folder


@pytest.fixture(scope="module", autouse=True)
def short_trunk() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "TRUNK_OPTIONS", replace(train.TRUNK_OPTIONS, pretraining=3))
        yield


@pytest.fixture(scope="module")
def prepared(packets: Path) -> PreparedSequences:
    return prepare_sequences([packets], packets / "labels.csv", "ztf", None, "0.1.0", 1, 15, FEW.members)


@pytest.fixture(scope="module")
def trained(packets: Path) -> tuple[Manifest, Path]:
    out = packets / "weights" / "mine" / "0.1.0"
    manifest = train_temporal(
        [packets], packets / "labels.csv", out, name="mine", options=FEW, simulated=15, command="as typed"
    )
    return manifest, out


def test_the_bundle_says_what_its_networks_say(trained: tuple[Manifest, Path], prepared: PreparedSequences) -> None:
    manifest, out = trained
    model = Runtime("cpu").load_temporal(load(str(out)))
    network = train.averaged_temporal(train.fit_members(prepared, FEW, 1, lambda done, total, text: None))
    arrays = prepared.scored
    raw = arrays.about.raw
    said = model.predict(
        raw.stamps.astype(np.float32), raw.places, arrays.detections, arrays.present, arrays.features
    ).probabilities
    wanted = predict_sequences(network, arrays)
    powered = wanted ** (1.0 / manifest.temperature)
    np.testing.assert_allclose(said, powered / powered.sum(axis=1, keepdims=True), atol=2e-5)


def test_the_manifest_makes_the_tensors_that_were_learned_from(
    trained: tuple[Manifest, Path], prepared: PreparedSequences
) -> None:
    manifest, _ = trained
    assert manifest.features == prepared.manifest.features
    assert manifest.sequence == prepared.manifest.sequence
    assert make_sequences([], DetectionForm(manifest)).detections.shape == (0, 8, 11)


def test_the_card_tells_the_scores_and_how_it_was_made(trained: tuple[Manifest, Path]) -> None:
    manifest, out = trained
    card = (out / "MODEL_CARD.md").read_text()
    assert "as typed" in card
    assert f"{manifest.metrics['test']['accuracy']:.1%}" in card
    assert "Simulated sequences with AllWISE" in card


def test_scores_count_each_object_once(trained: tuple[Manifest, Path]) -> None:
    manifest, _ = trained
    assert manifest.metrics["test"]["n"] == sum(manifest.training["test_objects"].values()) == 6
    assert manifest.metrics["cross_validation"]["n"] == sum(manifest.training["objects"].values()) == 12


def test_the_test_split_stays_closed_where_it_should(packets: Path, tmp_path: Path) -> None:
    manifest = train_temporal(
        [packets], packets / "labels.csv", tmp_path / "b", options=FEW, simulated=15, score_test=False
    )
    assert not any(name.startswith("test") for name in manifest.metrics)


def test_objects_for_the_test_are_in_no_fold(prepared: PreparedSequences, packets: Path) -> None:
    labels = read_labels(packets / "labels.csv")
    for alert_id, fold in zip(prepared.real.about.alert_ids.tolist(), prepared.folds.tolist(), strict=True):
        assert (fold == train.NOT_LEARNED) == (labels[alert_id].split == "test")


def test_no_object_is_in_two_folds(prepared: PreparedSequences) -> None:
    of_objects = {tuple(pair) for pair in zip(prepared.real.about.objects, prepared.folds, strict=True)}
    assert len(of_objects) == len(np.unique(prepared.real.about.objects))


def test_only_counterparts_can_be_hidden_as_such(prepared: PreparedSequences) -> None:
    names = np.array([feature.name for feature in prepared.manifest.features])
    assert set(names[prepared.hideable.allwise]) == {
        *("allwise_looked_up", "allwise_found", "allwise_w1", "allwise_w1_w2", "allwise_w2_w3"),
        *("allwise_separation", "magnr_w1"),
    }


def test_real_alerts_were_not_looked_up(prepared: PreparedSequences) -> None:
    full = prepared.real.about.cut == ALL
    hidden = prepared.hideable
    np.testing.assert_array_equal(
        prepared.real.features[full][:, hidden.allwise],
        np.broadcast_to(hidden.unknown[hidden.allwise], (int(full.sum()), int(hidden.allwise.sum()))),
    )


@pytest.mark.parametrize(
    ("changes", "message"), [({"survey": "rubin"}, "no preset for rubin"), ({"simulated": 5}, "too few")]
)
def test_what_can_not_be_trained_is_refused(packets: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_temporal([packets], packets / "labels.csv", tmp_path / "b", options=FEW, **changes)


def test_recurrences_are_compared_and_not_fitted_twice(prepared: PreparedSequences, tmp_path: Path) -> None:
    one = replace(FEW, members=1, pretraining=0)
    first = compare_recurrences(prepared, one, 1, tmp_path)
    assert {result.recurrence for result in first} == {"simple-rnn", "gru", "lstm", "conv1d", "attention"}
    assert all(0.0 <= share <= 1.0 for result in first for share in result.simulated.values())
    assert (tmp_path / "recurrences.png").stat().st_size > 10_000
    assert (tmp_path / "recurrences.md").read_text().count("\n") == 7
    again = compare_recurrences(prepared, one, 2, tmp_path)
    assert again == first
