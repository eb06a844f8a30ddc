"""The data set of the 2021 paper, in the two layouts that its authors have written."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broker_plugin.bundles import StampSpec, load
from broker_plugin.training.original_dataset import (
    FEATURE_NAMES,
    is_normalised,
    original_alerts,
    original_features,
)
from broker_plugin.training.recipes import PUBLISHED_FEATURES, RECIPES
from broker_plugin.training.safe_pickle import UnsafePickleError
from broker_plugin.training.train import train_original

STAMPS = StampSpec(("science", "template", "difference"), 21)
FEW = RECIPES["paper-2021"].with_hyperparameters({"iterations": 4, "extension": 2, "check_every": 2})


def raw(count: int, seed: int) -> dict[str, Any]:
    """Alerts as they come from packets."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(0.0, 20.0, (count, len(FEATURE_NAMES)))
    features[:, FEATURE_NAMES.index("ra")] = rng.uniform(0.0, 360.0, count)
    features[:, FEATURE_NAMES.index("isdiffpos")] = np.arange(count) % 2
    features[:, FEATURE_NAMES.index("sgscore1")] = -999.0
    return {
        "images": rng.normal(100.0, 5.0, (count, 63, 63, 3)),
        "labels": np.arange(count) % 5,
        "features": features.astype(object),
    }


def released(count: int) -> dict[str, Any]:
    """Alerts as they were published: scaled, normalised and split."""
    content = {}
    for seed, split in enumerate(("Train", "Validation", "Test")):
        part = raw(count, seed)
        low, high = part["images"].min(axis=(1, 2), keepdims=True), part["images"].max(axis=(1, 2), keepdims=True)
        part["images"] = ((part["images"] - low) / (high - low)).astype(np.float32)
        features = part["features"].astype(float)
        part["features"] = ((features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)).astype(object)
        content[split] = part
    return content


def as_lists(content: dict[str, Any]) -> dict[str, Any]:
    """As the code wrote it before it was split: a list of alerts under each name."""
    return {name: list(values) for name, values in content.items()} | {"oid": ["ZTF18aaa"] * len(content["labels"])}


def written(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def test_the_stamps_are_cut_out_and_scaled_as_those_of_packets(tmp_path: Path) -> None:
    content = raw(10, 1)
    content["images"][0, 30, 30, 0] = np.nan
    alerts = original_alerts(tmp_path, written(tmp_path / "a.pkl", content), STAMPS)
    cut = content["images"][:, 21:42, 21:42].astype(np.float32)
    low = np.nanmin(cut, axis=(1, 2), keepdims=True)
    expected = np.nan_to_num((cut - low) / np.nanmax(cut - low, axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(alerts.stamps, expected, rtol=1e-6)
    assert alerts.stamps[0, 9, 9, 0] == 0.0


def test_scaling_what_was_scaled_as_a_whole_gives_the_same(tmp_path: Path) -> None:
    content = raw(10, 1)
    first = original_alerts(tmp_path, written(tmp_path / "a.pkl", content), STAMPS)
    content["images"] = (content["images"] - 50.0) / 117.0
    second = original_alerts(tmp_path, written(tmp_path / "b.pkl", content), STAMPS)
    np.testing.assert_allclose(first.stamps, second.stamps, atol=2e-5)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_list_of_alerts_is_read_like_an_array_of_them(tmp_path: Path, protocol: int) -> None:
    content = raw(10, 1)
    array = original_alerts(tmp_path, written(tmp_path / "a.pkl", content), STAMPS)
    listed = original_alerts(tmp_path, written(tmp_path / "b.pkl", as_lists(content), protocol), STAMPS)
    assert array.sha256 == listed.sha256


def test_the_sign_of_the_difference_is_that_of_packets(tmp_path: Path) -> None:
    alerts = original_alerts(tmp_path, written(tmp_path / "a.pkl", raw(10, 1)), STAMPS)
    features = original_features(alerts, PUBLISHED_FEATURES)
    column = [f.name for f in features].index("isdiffpos")
    assert alerts.features(features)[:, column].tolist() == [1.0, 0.0] * 5  # the code had f = 1, t = 0
    assert alerts.features(features)[:, 0].tolist() == [-1.0] * 10  # a missing score, clipped


def test_features_that_were_normalised_are_taken_as_they_are(tmp_path: Path) -> None:
    content = released(20)
    alerts = original_alerts(tmp_path, written(tmp_path / "a.pkl", content), STAMPS)
    assert is_normalised(alerts)
    assert alerts.splits == {"Train": 20, "Validation": 20, "Test": 20}
    features = original_features(alerts, PUBLISHED_FEATURES)
    assert len(features) == 23 and {"rb", "distnr", "magnr"}.isdisjoint(f.name for f in features)
    kept = [i for i, name in enumerate(FEATURE_NAMES) if name not in ("rb", "distnr", "magnr")]
    expected = np.concatenate([part["features"] for part in content.values()])[:, kept].astype(np.float32)
    np.testing.assert_array_equal(alerts.features(features), expected)


def test_images_of_another_shape_are_left_out_and_told(tmp_path: Path) -> None:
    content = as_lists(raw(10, 1))
    content["images"][3] = content["images"][3][:50]
    alerts = original_alerts(tmp_path, written(tmp_path / "a.pkl", content), STAMPS)
    assert len(alerts.stamps) == 9
    assert "(50, 63, 3)" in alerts.problems[3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "no data set"),
        ({"Train": {}, "Validation": {}, "Test": {}}, "a split without images"),
        ({**raw(10, 1), "labels": list(range(10))}, "labels that are not numbers from 0 to 4"),
        ({**raw(10, 1), "labels": [0, 1]}, "2 labels, 10 images"),
        ({**raw(10, 1), "features": np.zeros((10, 3))}, r"shape \(10, 3\)"),
    ],
)
def test_what_is_no_such_data_set_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UnsafePickleError, match=message):
        original_alerts(tmp_path, written(tmp_path / "a.pkl", content), STAMPS)


def test_the_released_file_gives_scores_and_no_bundle(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pkl", released(20))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bundle.json").write_text("of an earlier fit")
    manifest = train_original(path, tmp_path / "out", recipe=FEW)
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (scores["metrics"]["validation"]["n"], scores["metrics"]["test"]["n"]) == (20, 20)
    assert scores["training"]["alerts"] == 40
    assert not manifest.files and not (tmp_path / "out" / "bundle.json").exists()


def test_raw_features_give_a_bundle(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pkl", as_lists(raw(60, 1)))
    manifest = train_original(path, tmp_path / "out", recipe=FEW)
    assert load(str(tmp_path / "out")).manifest == manifest
    assert manifest.training["test_by_class"] == dict.fromkeys(manifest.classes, 2)  # a fifth of twelve


def test_our_own_recipe_needs_packets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="recipe 'fast' can't be followed"):
        train_original(written(tmp_path / "a.pkl", raw(10, 1)), tmp_path / "out", recipe="fast")
