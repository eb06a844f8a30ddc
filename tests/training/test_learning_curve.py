"""Losses and scores as a table and a figure."""

import csv
from pathlib import Path

import pytest

from broker_plugin.training import learning_curve
from broker_plugin.training.learning_curve import Check, write_learning_curve

CHECKS = [Check(stage, i, 1 / i, 1.1 / i, 1 - 1 / i) for stage in ("pretraining", "member 1") for i in (10, 20)]


def test_the_table_has_a_row_for_each_check(tmp_path: Path) -> None:
    write_learning_curve(tmp_path, CHECKS)
    with (tmp_path / "learning_curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["iteration"]) for row in rows] == [(c.stage, str(c.iteration)) for c in CHECKS]
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_curve, "find_spec", lambda name: None)
    write_learning_curve(tmp_path, CHECKS)
    assert [path.name for path in tmp_path.iterdir()] == ["learning_curve.csv"]
