"""From packets and labels to a bundle that the stage runs, on synthetic alerts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.bundles import Manifest, load
from broker_plugin.evaluation.examples import labelled_surveys, read_labels
from broker_plugin.stage import load_stage
from broker_plugin.training.fit import FitOptions
from broker_plugin.training.presets import CLASSES
from broker_plugin.training.recipes import RECIPES
from broker_plugin.training.train import train_stamp

FEW = FitOptions(pretraining=4, iterations=6, batch_size=16, check_every=3, members=2)


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


def test_the_published_recipe_sets_alerts_aside(alerts: Path, tmp_path: Path) -> None:
    recipe = RECIPES["paper-2021"].with_hyperparameters({"iterations": 6, "extension": 4, "check_every": 2})
    manifest = train_stamp([alerts], alerts / "labels.csv", tmp_path / "out", survey="ztf", recipe=recipe)
    assert (manifest.training["architecture"], manifest.stamps.size, len(manifest.features)) == ("paper-2021", 21, 23)
    assert sum(manifest.training["validation_by_class"].values()) == manifest.metrics["validation"]["n"]
    assert manifest.metrics["test"]["n"] == 20  # the table's own split
    assert "Set aside for validation" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_recipes_and_networks_go_by_their_names(alerts: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'deep' is not one of fast, polar"):
        train_stamp([alerts], alerts / "labels.csv", tmp_path / "out", survey="ztf", recipe="deep")
    recipe = replace(RECIPES["fast"], architecture="wide")
    with pytest.raises(ValueError, match="'wide' is not one of fast, polar"):
        train_stamp([alerts], alerts / "labels.csv", tmp_path / "out", survey="ztf", recipe=recipe)


def test_a_network_of_stamps_alone_declares_no_features(alerts: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine" / "0.1.0"
    manifest = train_stamp([alerts], alerts / "labels.csv", out, recipe="paper-2021-images", options=FEW)
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
