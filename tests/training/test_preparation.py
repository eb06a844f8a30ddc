"""What is decided before a fit."""

import csv
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.training.fit import NOT_LEARNED
from broker_plugin.training.preparation import Prepared, prepare
from broker_plugin.training.recipes import RECIPES


def with_splits(alerts: Path, folder: Path, *splits: str) -> Path:
    """The table of labels, with these splits in turn."""
    with (alerts / "labels.csv").open(newline="") as old, (folder / "labels.csv").open("w", newline="") as new:
        rows = list(csv.DictReader(old))
        table = csv.DictWriter(new, rows[0])
        table.writeheader()
        table.writerows(row | {"split": splits[i // 5 % len(splits)]} for i, row in enumerate(rows))
    return folder / "labels.csv"


def prepared(alerts: Path, labels: Path, folder: Path, recipe: str = "paper-2021", seed: int = 1) -> Prepared:
    return prepare([alerts], labels, RECIPES[recipe], folder / "cache", survey="ztf", seed=seed)


def test_the_splits_of_the_table_are_kept(alerts: Path, tmp_path: Path) -> None:
    made = prepared(alerts, with_splits(alerts, tmp_path, "train", "test", "validation"), tmp_path)
    for name, rows in (("test", made.testing), ("validation", made.held_out)):
        assert {label.split for label in made.labels(rows)} == {name}
        assert len(rows) == 20


def test_without_splits_there_are_validation_and_test_of_each_class(alerts: Path, tmp_path: Path) -> None:
    labels = with_splits(alerts, tmp_path, "")
    made, other_seed = (prepared(alerts, labels, tmp_path, seed=seed) for seed in (1, 2))
    assert set(made.by_class(made.testing).values()) == {2}  # a fifth of twelve
    assert set(made.by_class(made.held_out).values()) == {2}  # a fifth of ten
    np.testing.assert_array_equal(made.folds, other_seed.folds)


def test_our_own_recipe_makes_no_test_split(alerts: Path, tmp_path: Path) -> None:
    made = prepared(alerts, with_splits(alerts, tmp_path, ""), tmp_path, "fast")
    assert NOT_LEARNED not in made.folds
    assert set(made.folds) == {0, 1, 2, 3, 4}
    assert len(made.held_out) == 60


def test_a_recipe_without_simulation_refuses_simulated_alerts(alerts: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'paper-2021' learns from no simulated alerts"):
        prepare([alerts], alerts / "labels.csv", RECIPES["paper-2021"], tmp_path, survey="ztf", simulated=5)


def test_fits_that_differ_have_other_identities(alerts: Path, tmp_path: Path) -> None:
    paper, fast = (prepared(alerts, alerts / "labels.csv", tmp_path, recipe) for recipe in ("paper-2021", "fast"))
    assert paper.identity(1) == paper.identity(1) != paper.identity(2)
    assert paper.identity(1) != fast.identity(1)


def test_an_alert_of_an_object_seen_for_days_is_no_asteroid_to_our_own_recipe(alerts: Path, tmp_path: Path) -> None:
    made = prepared(alerts, alerts / "labels.csv", tmp_path, "fast")
    (exclusion,) = made.manifest.exclusions
    names = [feature.name for feature in made.manifest.features]
    span = made.manifest.features[names.index(exclusion.feature)]
    features = np.zeros((3, len(names)), dtype=np.float32)
    features[:, names.index(exclusion.feature)] = (np.log10([0.02, 0.99, 1.01]) - span.mean) / span.std
    stamps = np.random.default_rng(1).normal(size=(3, 63, 63, 3)).astype(np.float32)
    said = np.asarray(made.answering(made.build())([stamps, features], training=False)["probabilities"])
    asteroid = said[:, made.manifest.classes.index("asteroid")]
    assert (asteroid[:2] > 0).all() and asteroid[2] == 0
    assert prepared(alerts, alerts / "labels.csv", tmp_path).manifest.exclusions == ()  # the paper rules nothing out
