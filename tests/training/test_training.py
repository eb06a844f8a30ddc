"""From packets and labels to a bundle that the stage runs, on synthetic alerts."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec, load
from broker_plugin.evaluation.examples import Label, labelled_surveys, load_examples, read_labels
from broker_plugin.simulation import simulate_packets
from broker_plugin.stage import load_stage
from broker_plugin.training.dataset import folds_by_object, standardised, to_arrays
from broker_plugin.training.export import EmbeddingDistance
from broker_plugin.training.fit import FitOptions
from broker_plugin.training.presets import CLASSES, PRESETS
from broker_plugin.training.train import train_stamp

FEW = FitOptions(pretraining=4, iterations=6, batch_size=16, check_every=3, members=2)


def unfitted(survey: str) -> Manifest:
    """The manifest of a bundle before its features are standardised."""
    preset = PRESETS[survey]
    spec, model = preset.stamps["fast"], ModelSpec({"float32": "serving_default"})
    return Manifest("a", "0.1.0", "stamp", survey, "", "t", "1", CLASSES, "1", spec, preset.features, model)


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 synthetic ZTF packets and their table of labels, a third of them for testing."""
    folder = tmp_path_factory.mktemp("alerts")
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["candid", "object_id", "split", "label", "label_trust", "doctored_metadata"])
        for i, packet in enumerate(simulate_packets("ztf", 60, seed=8)):
            (folder / f"{packet.alert_id}.avro").write_bytes(packet.payload)
            split = "test" if i // 5 % 3 == 0 else "train"
            table.writerow([packet.alert_id, f"object{i}", split, packet.class_name, 1 + i % 3, i == 7])
    return folder


@pytest.fixture(scope="module")
def trained(alerts: Path) -> tuple[Manifest, Path]:
    out = alerts / "weights" / "mine" / "0.1.0"
    manifest = train_stamp(
        [alerts],
        alerts / "labels.csv",
        out,
        survey="ztf",
        name="mine",
        seed=3,
        simulated=2,
        options=FEW,
        command="test",
    )
    return manifest, out


def test_the_bundle_runs_in_the_stage(trained: tuple[Manifest, Path], alerts: Path) -> None:
    stage = load_stage(["mine"], weights=alerts / "weights", device="cpu")
    packet = next(alerts.glob("*.avro")).read_bytes()
    [record] = stage.on_alert(packet)
    assert (record.status, record.classifier_name, record.classifier_version) == ("ok", "mine", "0.1.0")
    assert {c.class_name for c in record.classifications} == set(CLASSES)


def test_the_manifest_says_where_it_comes_from(trained: tuple[Manifest, Path]) -> None:
    manifest, out = trained
    assert load(str(out)).manifest == manifest
    assert manifest.training["seed"] == 3
    assert manifest.training["alerts"] == 40
    assert manifest.metrics["test"]["n"] == 20
    assert sum(map(sum, manifest.metrics["test"]["confusion"])) == 20
    assert set(manifest.versions) == {"broker_plugin", "keras", "tensorflow"}
    assert "# mine/0.1.0" in (out / "MODEL_CARD.md").read_text()


def test_the_same_seed_gives_the_same_weights(trained: tuple[Manifest, Path], alerts: Path) -> None:
    again = train_stamp(
        [alerts], alerts / "labels.csv", alerts / "again", survey="ztf", seed=3, simulated=2, options=FEW
    )
    name = "saved_model/variables/variables.data-00000-of-00001"
    assert again.files[name] == trained[0].files[name]


def test_what_the_training_saw_is_what_the_stage_makes(trained: tuple[Manifest, Path], alerts: Path) -> None:
    """The scores in the card are those that a user would measure with the bundle."""
    manifest, _ = trained
    stage = load_stage(["mine"], weights=alerts / "weights", device="cpu")
    labels = read_labels(alerts / "labels.csv")
    testing = {alert_id: label for alert_id, label in labels.items() if label.split == "test"}
    records = [stage.on_alert((alerts / f"{alert_id}.avro").read_bytes())[0] for alert_id in testing]
    right = np.mean([r.class_name == testing[r.alert_id].class_name for r in records])
    assert right == pytest.approx(manifest.metrics["test"]["accuracy"], abs=1e-4)


def test_a_class_of_another_taxonomy_is_refused(alerts: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("candid,label\n1,kilonova\n")
    with pytest.raises(ValueError, match="'kilonova' is not one of AGN"):
        train_stamp([alerts], tmp_path / "labels.csv", tmp_path / "out", survey="ztf")


def test_the_test_split_stays_closed_on_request(alerts: Path, tmp_path: Path) -> None:
    manifest = train_stamp(
        [alerts], alerts / "labels.csv", tmp_path / "out", survey="ztf", score_test=False, options=FEW
    )
    assert set(manifest.metrics) == {"cross_validation", "cross_validation_trust_1_2"}


def test_the_published_network_can_be_fitted_too(alerts: Path, tmp_path: Path) -> None:
    manifest = train_stamp(
        [alerts], alerts / "labels.csv", tmp_path / "out", survey="ztf", architecture="paper-2021", options=FEW
    )
    assert (manifest.training["architecture"], manifest.stamps.size) == ("paper-2021", 21)
    with pytest.raises(ValueError, match="'deep' is not one of fast, paper-2021"):
        train_stamp([alerts], alerts / "labels.csv", tmp_path / "out", survey="ztf", architecture="deep")


def test_a_network_of_stamps_alone_declares_no_features(alerts: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine" / "0.1.0"
    manifest = train_stamp([alerts], alerts / "labels.csv", out, architecture="paper-2021-images", options=FEW)
    assert manifest.features == () and manifest.model.features_input is None
    [record] = load_stage([str(out)], device="cpu").on_alert(next(alerts.glob("*.avro")).read_bytes())
    assert (record.status, record.imputed_features) == ("ok", ())


def test_too_few_labels_are_refused(alerts: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("candid,label\n1,SN\n")
    with pytest.raises(ValueError, match="0 labelled ztf alerts are too few"):
        train_stamp([alerts], tmp_path / "labels.csv", tmp_path / "out", survey="ztf")


def test_too_few_objects_are_refused(alerts: Path, tmp_path: Path) -> None:
    rows = (alerts / "labels.csv").read_text().splitlines()
    same = [",".join([row.split(",")[0], "one", "train", *row.split(",")[3:]]) for row in rows[1:]]
    (tmp_path / "labels.csv").write_text("\n".join([rows[0], *same]))
    with pytest.raises(ValueError, match="too few objects for 2 folds"):
        train_stamp([alerts], tmp_path / "labels.csv", tmp_path / "out", survey="ztf", options=FEW)


def test_the_survey_is_that_of_the_labelled_alerts(alerts: Path, tmp_path: Path) -> None:
    labels = read_labels(alerts / "labels.csv")
    assert labelled_surveys([alerts], labels) == {"ztf": 60}
    (tmp_path / "labels.csv").write_text("candid,label\n1,SN\n")
    with pytest.raises(ValueError, match="of no survey: say which"):
        train_stamp([alerts], tmp_path / "labels.csv", tmp_path / "out")


def test_an_object_is_never_in_two_folds_and_folds_are_alike() -> None:
    labels = [Label(name, object_id=f"{name}{i // 3}") for name in ("SN", "AGN") for i in range(60)]
    folds = folds_by_object(labels, 5, np.random.default_rng(1))
    assert len({(label.object_id, fold) for label, fold in zip(labels, folds, strict=True)}) == 40  # objects
    assert np.bincount(folds).tolist() == [24] * 5


def test_an_object_with_labels_of_two_classes_is_in_one_fold() -> None:
    labels = [Label("SN", "same"), Label("AGN", "same"), *(Label("SN", f"other{i}") for i in range(8))]
    folds = folds_by_object(labels, 5, np.random.default_rng(1))
    assert folds[0] == folds[1]


def test_doctored_metadata_are_not_learned_from(alerts: Path) -> None:
    preset, manifest = PRESETS["ztf"], unfitted("ztf")
    examples = load_examples([alerts], read_labels(alerts / "labels.csv"), "ztf", preset.features)
    doctored = examples.where(label.doctored_metadata for label in examples.labels)
    assert len(doctored.alerts) == 1
    arrays = to_arrays(doctored, manifest)
    assert not arrays.features.any() and arrays.stamps.any()


def test_standardised_features_have_mean_zero_and_spread_one(alerts: Path) -> None:
    preset, manifest = PRESETS["ztf"], unfitted("ztf")
    examples = load_examples([alerts], read_labels(alerts / "labels.csv"), "ztf", preset.features)
    features = standardised(manifest, preset.median_fill, examples.alerts)
    assert all(isinstance(feature, FeatureSpec) for feature in features)
    values = to_arrays(
        examples.where(not label.doctored_metadata for label in examples.labels), replace(manifest, features=features)
    ).features
    magpsf = [f.name for f in features].index("magpsf")
    assert abs(values[:, magpsf].mean()) < 0.2
    assert 0.7 < values[:, magpsf].std() < 1.3


def test_distance_grows_away_from_the_training_data() -> None:
    rng = np.random.default_rng(4)
    embedding = np.concatenate([rng.normal(0, 1, (200, 8)), rng.normal(10, 1, (200, 8))])
    distance = EmbeddingDistance(embedding, np.repeat([0, 1], 200))
    near, between, far = distance.of(np.array([[0.0] * 8, [5.0] * 8, [50.0] * 8]))
    assert near < between < far
    assert np.median(distance.of(embedding)) == pytest.approx(np.sqrt(8), rel=0.1)
