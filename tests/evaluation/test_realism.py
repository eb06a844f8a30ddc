"""The comparison finds what differs, and nothing where nothing does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.bundles import load
from broker_plugin.evaluation.examples import Examples, Label
from broker_plugin.evaluation.realism import Comparison, Quantities, compare, distributions, measure
from broker_plugin.packets import PacketReader
from broker_plugin.simulation import simulate_packets

pytest.importorskip("sklearn")


def drawn(seed: int, count: int = 300, shift: float = 0.0) -> Quantities:
    rng = np.random.default_rng(seed)
    return Quantities(
        metadata={"same": rng.normal(size=count), "other": rng.normal(size=count) + shift},
        pixels={"noise": rng.normal(size=count)},
        classes=np.array(["AGN", "SN"])[np.arange(count) % 2],
        object_ids=np.array([f"object {seed} {i // 2}" for i in range(count)]),
    )


def test_equal_sides_are_not_told_apart():
    assert compare(drawn(1), drawn(2)).auc["all"] == pytest.approx(0.5, abs=0.12)


def test_what_differs_is_found_and_named():
    found = compare(drawn(1), drawn(2, shift=3.0))
    assert found.auc["all"] > 0.95 and found.auc["pixels"] < 0.65
    assert next(iter(found.importance)) == "other"
    assert set(found.auc_by_class) == {"AGN", "SN"}


def test_how_often_a_class_was_simulated_does_not_matter():
    rng = np.random.default_rng(5)

    def side(seed: int, share: float) -> Quantities:
        classes = np.where(np.random.default_rng(seed).random(600) < share, "AGN", "SN")
        metadata = {"magnitude": np.where(classes == "AGN", 18.0, 21.0) + rng.normal(size=600)}
        objects = np.array([f"{seed} {i}" for i in range(600)])
        return Quantities(metadata, {"noise": rng.normal(size=600)}, classes, objects)

    assert compare(side(1, 0.8), side(2, 0.2)).auc["all"] == pytest.approx(0.5, abs=0.1)


def test_too_few_objects_are_an_error():
    with pytest.raises(ValueError, match="too few objects"):
        compare(drawn(1, count=4), drawn(2))


def test_distributions_have_a_distance():
    found = distributions(drawn(1), drawn(2, shift=10.0))
    assert found["other"]["AGN"]["distance"] == 1.0
    assert found["same"]["AGN"]["distance"] < 0.2
    assert len(found["same"]["SN"]["real"]["percentiles"]) == 5


@pytest.fixture(scope="module")
def examples() -> Examples:
    packets = list(simulate_packets("ztf", 30, seed=6))
    labels = [Label(packet.class_name, packet.object_id) for packet in packets]
    return Examples([PacketReader().read(packet.payload) for packet in packets], labels)


def test_doctored_alerts_are_left_out(examples):
    manifest = load("stamp-ztf").manifest
    doctored = Examples(
        examples.alerts,
        [Label(x.class_name, x.object_id, doctored_metadata=i == 0) for i, x in enumerate(examples.labels)],
    )
    assert len(measure(doctored, manifest)) == len(measure(examples, manifest)) - 1 == 29


def test_report_has_figures_numbers_and_a_page(examples, tmp_path: Path):
    pytest.importorskip("matplotlib")
    from broker_plugin.evaluation.realism_report import write_report

    sides = examples, measure(examples, load("stamp-ztf").manifest)
    comparison = Comparison({"all": 0.9, "metadata": 0.8, "pixels": 0.7}, {"AGN": 0.9}, {"magpsf": 0.1})
    write_report(tmp_path / "report", "ztf", sides, sides, comparison)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for image in (tmp_path / "report").glob("*.png"):
        assert image.read_bytes()[:4] == b"\x89PNG" and image.name in page
    numbers = json.loads((tmp_path / "report" / "realism.json").read_text(encoding="utf-8"))
    assert numbers["auc"]["all"] == 0.9
    assert numbers["distributions"]["magpsf"]["SN"]["distance"] == 0.0
