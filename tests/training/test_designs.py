"""The comparison of designs, on a handful of synthetic alerts."""

import csv
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.simulation import simulate_packets
from broker_plugin.training import designs
from broker_plugin.training.architecture import ARCHITECTURES
from broker_plugin.training.designs import (
    DESIGNS,
    Budget,
    Result,
    read_results,
    survey_designs,
)
from broker_plugin.training.designs_figure import write_figure
from broker_plugin.training.recipes import Recipe

TINY = Budget(pretraining=2, iterations=2, simulated=2, folds=2)
CHEAP = [design for design in DESIGNS if design.name in ("metadata alone", "fast, stamps 21 x 21")]


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 synthetic ZTF packets and their table of labels, the first ten for testing."""
    folder = tmp_path_factory.mktemp("alerts")
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["candid", "split", "label"])
        for i, packet in enumerate(simulate_packets("ztf", 40, seed=8)):
            (folder / f"{packet.alert_id}.avro").write_bytes(packet.payload)
            table.writerow([packet.alert_id, "test" if i < 10 else "train", packet.class_name])
    return folder


@pytest.fixture(autouse=True)
def _unfitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks stay as they are built; tests/cli/test_designs.py fits some."""
    monkeypatch.setattr(designs, "fit_stamp_network", lambda build, *arguments, **options: [build()])


def test_every_fold_of_every_design_is_judged_once(
    alerts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = alerts / "labels.csv"
    first = survey_designs([alerts], labels, tmp_path, TINY, designs=CHEAP[:1])
    told: list[Result] = []
    results = survey_designs([alerts], labels, tmp_path, TINY, designs=CHEAP, progress=told.append)
    assert results == read_results(tmp_path) and results[:2] == first
    assert {(r.design, r.fold) for r in told} == {(CHEAP[1].name, fold) for fold in range(2)}
    assert {(r.design, r.fold) for r in results} == {(d.name, fold) for d in CHEAP for fold in range(2)}
    for design in CHEAP:
        # None of the test split.
        assert sum(result.alerts for result in results if result.design == design.name) == 30
    monkeypatch.setattr(designs, "fit_stamp_network", None)
    assert survey_designs([alerts], labels, tmp_path, TINY, designs=CHEAP) == results


def test_another_budget_is_another_comparison(alerts: Path, tmp_path: Path) -> None:
    survey_designs([alerts], alerts / "labels.csv", tmp_path, TINY, designs=CHEAP[:1])
    longer = Budget(pretraining=2, iterations=3, simulated=2, folds=2)
    found = survey_designs([alerts], alerts / "labels.csv", tmp_path, longer, designs=CHEAP[:1])
    assert {result.budget for result in found} == {longer}
    assert len(read_results(tmp_path)) == 4


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_every_design_answers_for_its_stamps(design: Recipe) -> None:
    size = design.stamps["ztf"].size
    network = ARCHITECTURES[design.architecture](size=size, channels=3, features=4, classes=5, **design.network)
    outputs = network([np.zeros((2, size, size, 3), np.float32), np.zeros((2, 4), np.float32)], training=False)
    np.testing.assert_allclose(np.asarray(outputs["probabilities"]).sum(axis=1), 1.0, atol=1e-5)


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    results = [
        Result(name, fold, TINY, cost, 1000, 10.0, 20, 0.8, 0.7 + fold / 10, 1.0)
        for name, cost in (("one", 0.1), ("two", 200.0))
        for fold in range(2)
    ]
    write_figure(results, tmp_path / "designs.png")
    assert (tmp_path / "designs.png").read_bytes().startswith(b"\x89PNG")
