"""From packets and labels to a bundle that the stage runs, on synthetic alerts."""

import csv
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec, load
from broker_plugin.models import calibrated
from broker_plugin.simulation import simulate_packets
from broker_plugin.stage import load_stage
from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES, regularised_cross_entropy, stamp_network
from broker_plugin.training.dataset import (
    Label,
    labelled_surveys,
    load_examples,
    read_labels,
    split_by_object,
    standardised,
    to_arrays,
)
from broker_plugin.training.evaluation import best_temperature, scores
from broker_plugin.training.export import EmbeddingDistance
from broker_plugin.training.fit import FitOptions
from broker_plugin.training.presets import CLASSES, PRESETS
from broker_plugin.training.train import train_stamp

FEW = FitOptions(iterations=6, batch_size=16, check_every=3)


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


def test_labels_without_the_needed_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,kind\na,b\n")
    with pytest.raises(ValueError, match="needs the columns candid"):
        read_labels(tmp_path / "labels.csv")


def test_a_bad_row_of_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("candid,label\n1,SN\ntwo,SN\n")
    with pytest.raises(ValueError, match="line 3"):
        read_labels(tmp_path / "labels.csv")


def test_a_class_of_another_taxonomy_is_refused(alerts: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("candid,label\n1,kilonova\n")
    with pytest.raises(ValueError, match="'kilonova' is not one of AGN"):
        train_stamp([alerts], tmp_path / "labels.csv", tmp_path / "out", survey="ztf")


def test_too_few_labels_are_refused(alerts: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("candid,label\n1,SN\n")
    with pytest.raises(ValueError, match="0 labelled ztf alerts are too few"):
        train_stamp([alerts], tmp_path / "labels.csv", tmp_path / "out", survey="ztf")


def test_the_survey_is_that_of_the_labelled_alerts(alerts: Path, tmp_path: Path) -> None:
    labels = read_labels(alerts / "labels.csv")
    assert labelled_surveys([alerts], labels) == {"ztf": 60}
    (tmp_path / "labels.csv").write_text("candid,label\n1,SN\n")
    with pytest.raises(ValueError, match="of no survey: say which"):
        train_stamp([alerts], tmp_path / "labels.csv", tmp_path / "out")


def test_an_object_is_never_on_both_sides_of_a_split() -> None:
    labels = [Label(name, object_id=f"{name}{i // 3}") for name in ("SN", "AGN") for i in range(60)]
    held = split_by_object(labels, 0.25, np.random.default_rng(1))
    sides = {(label.object_id, side) for label, side in zip(labels, held, strict=True)}
    assert len(sides) == 40  # as many as objects: each is on one side
    assert sum(held) == 30


def test_doctored_metadata_are_not_learned_from(alerts: Path) -> None:
    preset = PRESETS["ztf"]
    manifest = Manifest(
        "a", "0.1.0", "stamp", "ztf", "", "t", "1", CLASSES, "1", preset.stamps, preset.features, ModelSpec({"f": "s"})
    )
    examples = load_examples([alerts], read_labels(alerts / "labels.csv"), "ztf", preset.features)
    doctored = examples.where(label.doctored_metadata for label in examples.labels)
    assert len(doctored.alerts) == 1
    fills = np.array([feature.fill for feature in preset.features], dtype=np.float32)
    plain = [i for i, f in enumerate(preset.features) if f.transform == "identity" and f.clip[0] is None]
    np.testing.assert_array_equal(to_arrays(doctored, manifest).features[0, plain], fills[plain])


def test_standardised_features_have_mean_zero_and_spread_one(alerts: Path) -> None:
    preset = PRESETS["ztf"]
    manifest = Manifest(
        "a", "0.1.0", "stamp", "ztf", "", "t", "1", CLASSES, "1", preset.stamps, preset.features, ModelSpec({"f": "s"})
    )
    examples = load_examples([alerts], read_labels(alerts / "labels.csv"), "ztf", preset.features)
    features = standardised(manifest, preset.median_fill, examples.alerts)
    assert all(isinstance(feature, FeatureSpec) for feature in features)
    values = to_arrays(
        examples.where(not label.doctored_metadata for label in examples.labels), replace(manifest, features=features)
    ).features
    magpsf = [f.name for f in features].index("magpsf")
    assert abs(values[:, magpsf].mean()) < 0.2
    assert 0.7 < values[:, magpsf].std() < 1.3


def test_the_network_is_blind_to_quarter_turns() -> None:
    keras.utils.set_random_seed(1)
    network = stamp_network(size=21, channels=3, features=4, classes=5)
    rng = np.random.default_rng(2)
    stamps, features = rng.random((3, 21, 21, 3), dtype=np.float32), rng.random((3, 4), dtype=np.float32)
    straight = network([stamps, features], training=False)
    turned = network([np.rot90(stamps, axes=(1, 2)).copy(), features], training=False)
    np.testing.assert_allclose(straight[PROBABILITIES], turned[PROBABILITIES], atol=1e-5)
    assert straight[EMBEDDING].shape == (3, 64)


@pytest.mark.parametrize(("kernel", "features", "joined"), [(3, 26, 90), (5, 23, 87)])
def test_table_2_has_both_nets(kernel: int, features: int, joined: int) -> None:
    network = stamp_network(size=21, channels=3, features=features, classes=5, kernel=kernel)
    kernels = [layer.kernel.shape for layer in network.layers if hasattr(layer, "kernel")]
    assert kernels == [
        (4, 4, 3, 32),
        (kernel, kernel, 32, 32),
        (kernel, kernel, 32, 64),
        (kernel, kernel, 64, 64),
        (kernel, kernel, 64, 64),
        (2304, 64),
        (joined, 64),
        (64, 64),
        (64, 5),
    ]


def test_the_loss_is_cross_entropy_minus_entropy() -> None:
    truth, said = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[0.8, 0.2]], dtype=np.float32)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    loss = np.asarray(regularised_cross_entropy(0.5)(truth, said))
    np.testing.assert_allclose(loss, [-np.log(0.8) - 0.5 * entropy], rtol=1e-5)


def test_scores_of_a_known_confusion() -> None:
    truth = np.array([0, 0, 1, 1, 1, 1])
    said = np.eye(3)[[0, 1, 1, 1, 1, 0]] * 0.7 + 0.1
    score = scores(truth, said, ("a", "b", "c"))
    assert score["confusion"] == [[1, 1, 0], [1, 3, 0], [0, 0, 0]]
    assert score["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    assert score["balanced_accuracy"] == pytest.approx((0.5 + 0.75) / 2)
    assert score["recall"] == {"a": 0.5, "b": 0.75}


def test_the_temperature_undoes_a_network_that_is_too_sure() -> None:
    rng = np.random.default_rng(3)
    honest = rng.dirichlet([1.0, 1.0, 1.0], size=4000)
    truth = np.array([rng.choice(3, p=p) for p in honest])
    too_sure = calibrated(honest, 0.5)
    assert best_temperature(truth, too_sure) == pytest.approx(2.0, rel=0.15)


def test_distance_grows_away_from_the_training_data() -> None:
    rng = np.random.default_rng(4)
    embedding = np.concatenate([rng.normal(0, 1, (200, 8)), rng.normal(10, 1, (200, 8))])
    distance = EmbeddingDistance(embedding, np.repeat([0, 1], 200))
    near, between, far = distance.of(np.array([[0.0] * 8, [5.0] * 8, [50.0] * 8]))
    assert near < between < far
    assert np.median(distance.of(embedding)) == pytest.approx(np.sqrt(8), rel=0.1)
