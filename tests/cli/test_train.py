from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from .running import EXAMPLES, Run


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The truth of the example packets, the last ones of each class for the test."""
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["candid", "label", "split"])
        for survey in ("ztf", "rubin"):
            with (EXAMPLES / survey / "labels.csv").open(newline="") as truth:
                for number, row in enumerate(csv.DictReader(truth)):
                    writer.writerow([row["alert_id"], row["label"], "test" if number >= 15 else "train"])
    return path


def test_train_writes_a_bundle_that_classifies(run: Run, labels: Path, tmp_path: Path, ztf_packet: Path) -> None:
    out = tmp_path / "weights" / "mine" / "0.2.0"
    arguments = ("train", "stamp", EXAMPLES / "ztf", "--labels", labels, "-o", out, "--survey", "ztf")
    result = run(*arguments, "--name", "mine", "--version", "0.2.0", "--iterations", 3)
    assert result.exit_code == 0, result.output
    assert "validation" in result.stdout
    assert f"mine/0.2.0 is in {out}" in result.stdout
    assert json.loads((out / "bundle.json").read_text())["training"]["seed"] == 1
    records = tmp_path / "records.jsonl"
    arguments = ("classify", ztf_packet, "-o", records, "--weights", out.parents[1], "--bundle", "mine")
    assert run(*arguments).exit_code == 0
    assert json.loads(records.read_text())["classifier_version"] == "0.2.0"


def test_every_architecture_can_be_chosen() -> None:
    from broker_plugin.cli.train import stamp
    from broker_plugin.training.architecture import ARCHITECTURES

    [option] = [parameter for parameter in stamp.params if parameter.name == "architecture"]
    assert set(option.type.choices) == set(ARCHITECTURES)


def test_labels_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("a,b\n1,2\n")
    result = run("train", "stamp", EXAMPLES, "--labels", table, "-o", tmp_path / "out", "--survey", "ztf")
    assert result.exit_code == 2
    assert "needs the columns candid (or alert_id) and label" in result.stderr


def test_without_keras(run: Run, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    result = run("train", "stamp", EXAMPLES, "--labels", labels, "-o", tmp_path / "out", "--survey", "ztf")
    assert result.exit_code == 2
    assert result.stderr == "broker-plugin: training needs Keras: pip install 'broker-plugin[train]'\n"


def test_a_folder_of_other_things_is_not_emptied(run: Run, labels: Path, tmp_path: Path) -> None:
    result = run("train", "stamp", EXAMPLES, "--labels", labels, "-o", tmp_path, "--survey", "ztf")
    assert result.exit_code == 2
    assert "would be emptied" in result.stderr
    assert labels.exists()
