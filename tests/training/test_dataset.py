"""Labels and cached alerts as arrays, and who learns from which."""

from pathlib import Path

import numpy as np
import pytest

from broker_plugin.evaluation.examples import Label, read_labels
from broker_plugin.training.cache import cached_packets
from broker_plugin.training.dataset import LabelledAlerts, folds_by_object, held_out_by_object, standardised
from broker_plugin.training.presets import PRESETS


@pytest.fixture(scope="module")
def labelled(alerts: Path, tmp_path_factory: pytest.TempPathFactory) -> LabelledAlerts:
    preset, labels = PRESETS["ztf"], read_labels(alerts / "labels.csv")
    folder = tmp_path_factory.mktemp("cache")
    cached = cached_packets(folder, [alerts], labels, "ztf", preset.stamps, preset.features)
    return LabelledAlerts(cached, [labels[i] for i in cached.alert_ids.tolist()], cached.classes)


def test_doctored_metadata_are_not_learned_from(labelled: LabelledAlerts) -> None:
    [row] = [row for row, label in enumerate(labelled.labels) if label.doctored_metadata]
    learned, sent = labelled.arrays(PRESETS["ztf"].features), labelled.arrays(PRESETS["ztf"].features, as_sent=True)
    assert not learned.features[row].any() and learned.stamps[row].any()
    assert sent.features[row].any()


def test_weak_labels_count_less(labelled: LabelledAlerts) -> None:
    weight = labelled.arrays(PRESETS["ztf"].features).weight
    assert {(label.trust, float(w)) for label, w in zip(labelled.labels, weight, strict=True)} == {
        (1, 1.0),
        (2, 1.0),
        (3, 0.5),
    }


def test_standardised_features_have_mean_zero_and_spread_one(labelled: LabelledAlerts) -> None:
    preset = PRESETS["ztf"]
    raw = labelled.cached.sources_of(preset.features)
    features = standardised(preset.features, preset.median_fill, raw)
    magpsf = labelled.arrays(features, as_sent=True).features[:, [f.name for f in features].index("magpsf")]
    assert abs(magpsf.mean()) < 0.01
    assert magpsf.std() == pytest.approx(1.0, abs=0.01)


def test_the_digest_does_not_depend_on_the_order_of_rows(labelled: LabelledAlerts) -> None:
    rows = np.arange(len(labelled))
    assert labelled.digest(rows) == labelled.digest(rows[::-1])
    assert labelled.digest(rows) != labelled.digest(rows[1:])


def test_an_object_is_never_in_two_folds_and_folds_are_alike() -> None:
    labels = [Label(name, object_id=f"{name}{i // 3}") for name in ("SN", "AGN") for i in range(60)]
    folds = folds_by_object(labels, 5, np.random.default_rng(1))
    assert len({(label.object_id, fold) for label, fold in zip(labels, folds, strict=True)}) == 40  # objects
    assert np.bincount(folds).tolist() == [24] * 5


def test_an_object_with_labels_of_two_classes_is_in_one_fold() -> None:
    labels = [Label("SN", "same"), Label("AGN", "same"), *(Label("SN", f"other{i}") for i in range(8))]
    folds = folds_by_object(labels, 5, np.random.default_rng(1))
    assert folds[0] == folds[1]


def test_a_hundred_of_each_class_are_set_aside_or_a_fifth_of_a_small_one() -> None:
    labels = [Label(name, f"{name}{i}") for name, count in (("SN", 700), ("AGN", 60)) for i in range(count)]
    held_out = held_out_by_object(labels, np.random.default_rng(1))
    chosen = [label.class_name for label, out in zip(labels, held_out, strict=True) if out]
    assert (chosen.count("SN"), chosen.count("AGN")) == (100, 12)


def test_objects_are_set_aside_whole() -> None:
    labels = [Label("SN", f"object{i // 4}") for i in range(80)]
    held_out = held_out_by_object(labels, np.random.default_rng(1))
    sides = {(label.object_id, bool(out)) for label, out in zip(labels, held_out, strict=True)}
    assert len(sides) == 20  # objects
    assert held_out.sum() == 16
