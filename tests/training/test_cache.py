"""Alerts prepared once, on disk."""

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.alert import Alert
from broker_plugin.evaluation.examples import load_examples, read_labels
from broker_plugin.packets import PacketReader
from broker_plugin.simulation import simulate_packets
from broker_plugin.tensors import make_batch
from broker_plugin.tensors.metadata import features_of
from broker_plugin.training import cache
from broker_plugin.training.cache import CachedAlerts, CacheWriter, cached_packets, cached_simulation, write_alerts
from broker_plugin.training.presets import CLASSES, PRESETS

ZTF = PRESETS["ztf"]
STAMPS, FEATURES = ZTF.stamps, ZTF.features


@pytest.fixture(scope="module")
def one_alert() -> Alert:
    packet = next(simulate_packets("ztf", 1, seed=3))
    alert = PacketReader().read(packet.payload)
    assert isinstance(alert, Alert)
    return alert


def test_the_tensors_are_those_that_the_stage_makes(alerts: Path, tmp_path: Path) -> None:
    labels = read_labels(alerts / "labels.csv")
    cached = cached_packets(tmp_path, [alerts], labels, "ztf", STAMPS, FEATURES)
    in_memory = load_examples([alerts], labels, "ztf", FEATURES)
    batch = make_batch(in_memory.alerts, cache._manifest("ztf", STAMPS, FEATURES))
    np.testing.assert_array_equal(cached.stamps, batch.stamps)
    np.testing.assert_array_equal(cached.features(FEATURES), batch.features)
    assert cached.alert_ids.tolist() == [alert.identity.alert_id for alert in in_memory.alerts]
    assert [CLASSES[c] for c in cached.classes] == [label.class_name for label in in_memory.labels]
    assert features_of(cached.sources_of(FEATURES), FEATURES).imputed == batch.imputed


def test_the_features_of_the_published_classifier_are_there_too(alerts: Path, tmp_path: Path) -> None:
    from broker_plugin.training.recipes import PUBLISHED_FEATURES

    labels = read_labels(alerts / "labels.csv")
    cached = cached_packets(tmp_path, [alerts], labels, "ztf", STAMPS, PUBLISHED_FEATURES)
    batch = make_batch(
        load_examples([alerts], labels, "ztf", PUBLISHED_FEATURES).alerts,
        cache._manifest("ztf", STAMPS, PUBLISHED_FEATURES),
    )
    np.testing.assert_array_equal(cached.features(PUBLISHED_FEATURES), batch.features)
    assert np.ptp(batch.features, axis=0).all()  # none of them is the same for all alerts


def _peak_bytes(folder: Path, alert: Alert, count: int) -> int:
    def endless() -> Iterator[tuple[Alert, str]]:
        for number in range(count):
            yield replace(alert, identity=replace(alert.identity, alert_id=number)), "SN"

    folder.mkdir()
    tracemalloc.start()
    with CacheWriter(folder, STAMPS, len({feature.source for feature in FEATURES})) as writer:
        write_alerts(writer, "ztf", STAMPS, FEATURES, endless())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_alerts(
    one_alert: Alert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_CHUNK", 16)
    few, many = _peak_bytes(tmp_path / "few", one_alert, 64), _peak_bytes(tmp_path / "many", one_alert, 512)
    written = (tmp_path / "many" / "stamps.npy").stat().st_size
    assert many < 1.1 * few
    assert many < written / 5


def test_a_cache_is_used_again_until_something_changes(
    alerts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = read_labels(alerts / "labels.csv")

    def prepared() -> CachedAlerts:
        return cached_packets(tmp_path, [alerts], labels, "ztf", STAMPS, FEATURES)

    first = prepared()
    monkeypatch.setattr(cache, "write_alerts", None)  # whoever writes fails
    assert prepared().sha256 == first.sha256
    labels.popitem()
    with pytest.raises(TypeError):
        prepared()


def test_an_interrupted_cache_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cache, "write_alerts", None)
        with pytest.raises(TypeError):
            cached_simulation(tmp_path, "ztf", 1, 1, STAMPS, FEATURES)
    assert len(cached_simulation(tmp_path, "ztf", 1, 1, STAMPS, FEATURES).stamps) == 5


def test_simulated_alerts_are_those_of_their_seed(tmp_path: Path) -> None:
    first, again, other = (
        cached_simulation(tmp_path / str(i), "ztf", 1, seed, STAMPS, FEATURES) for i, seed in enumerate((1, 1, 2))
    )
    assert first.sha256 == again.sha256 != other.sha256
    assert sorted(first.classes.tolist()) == [0, 1, 2, 3, 4]


def test_what_cannot_be_classified_is_told_and_left_out(one_alert: Alert, tmp_path: Path) -> None:
    bad = replace(one_alert, cutouts={**one_alert.cutouts, "science": None})
    with CacheWriter(tmp_path, STAMPS, len({feature.source for feature in FEATURES})) as writer:
        write_alerts(writer, "ztf", STAMPS, FEATURES, [(bad, "SN"), (one_alert, "SN")])
    [problem] = writer.problems.values()
    assert "cutoutScience" in problem
    assert len(np.load(tmp_path / "stamps.npy")) == 1


def test_a_data_set_without_alerts_can_be_opened(alerts: Path, tmp_path: Path) -> None:
    cached = cached_packets(tmp_path, [alerts], {}, "ztf", STAMPS, FEATURES)
    assert cached.features(FEATURES).shape == (0, len(FEATURES))


def test_the_provenance_says_what_the_cache_was_made_of(alerts: Path, tmp_path: Path) -> None:
    cached_packets(tmp_path, [alerts], read_labels(alerts / "labels.csv"), "ztf", STAMPS, FEATURES)
    [path] = tmp_path.glob("packets-63-*/cache.json")
    about = json.loads(path.read_text())
    assert len(about["packets"]) == 60
    assert about["stamps"]["size"] == 63
