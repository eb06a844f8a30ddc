from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import pytest

from broker_plugin.packets import PacketFiles, PacketReader

from .running import Run


def test_simulated_packets_are_read_and_labelled(run: Run, tmp_path: Path) -> None:
    result = run("simulate", "-n", 10, "--survey", "rubin", "--seed", 3, "-o", tmp_path / "night")
    assert result.exit_code == 0, result.output
    assert "10 rubin alerts in" in result.stderr and "2 SN" in result.stderr
    with (tmp_path / "night" / "labels.csv").open(newline="") as table:
        labels = {int(row["alert_id"]): row["label"] for row in csv.DictReader(table)}
    alerts = list(PacketFiles([tmp_path / "night"], PacketReader()))
    assert {alert.identity.alert_id for alert in alerts} == labels.keys()


def test_equal_seeds_give_equal_archives(run: Run, tmp_path: Path) -> None:
    for name in ("one.tar", "two.tar"):
        assert run("simulate", "-n", 3, "--survey", "ztf", "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.mark.parametrize("there", ["file.avro", "folder"])
def test_nothing_is_overwritten(run: Run, tmp_path: Path, there: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("mine")
    (tmp_path / "file.avro").write_text("mine")
    result = run("simulate", "-n", 3, "--survey", "ztf", "-o", tmp_path / there)
    assert result.exit_code == 2
    assert "is there already" in result.stderr


def test_sequences_share_an_object_id(run: Run, tmp_path: Path) -> None:
    result = run("simulate", "-n", 5, "--survey", "ztf", "--detections", "2:3", "-o", tmp_path / "night")
    assert result.exit_code == 0, result.output
    with (tmp_path / "night" / "labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    detections = Counter(row["object_id"] for row in rows)
    label = {row["object_id"]: row["label"] for row in rows}
    assert len(detections) == 5
    assert all(number == 1 if label[name] == "asteroid" else number in (2, 3) for name, number in detections.items())


def test_classes_can_be_chosen(run: Run, tmp_path: Path) -> None:
    result = run("simulate", "-n", 4, "--survey", "ztf", "--classes", "SN, VS", "-o", tmp_path / "night")
    assert result.exit_code == 0, result.output
    assert "(2 SN, 2 VS)" in result.stderr


def test_a_class_that_is_not_drawn_is_named(run: Run, tmp_path: Path) -> None:
    result = run("simulate", "-n", 4, "--survey", "ztf", "--classes", "SN,TDE", "-o", tmp_path / "night")
    assert result.exit_code == 2
    assert "'TDE' is not one of AGN, SN, VS" in result.stderr


def test_what_allwise_has_can_be_made_a_catalogue(run: Run, tmp_path: Path) -> None:
    assert run("simulate", "-n", 20, "--survey", "ztf", "-o", tmp_path / "night").exit_code == 0
    result = run("crossmatch", "build", tmp_path / "night" / "allwise.csv", "-o", tmp_path / "allwise")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("wish", ["3:2", "0:1", "two"])
def test_a_wrong_range_is_named(run: Run, tmp_path: Path, wish: str) -> None:
    result = run("simulate", "-n", 5, "--survey", "ztf", "--detections", wish, "-o", tmp_path / "night")
    assert result.exit_code == 2
    assert wish in result.stderr


def test_what_to_install_is_said_where_galsim_is_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "galsim", None)
    result = run("simulate", "-n", 5, "--survey", "ztf", "-o", tmp_path / "night")
    assert result.exit_code == 2
    assert result.stderr.strip().count("\n") == 0
    assert "pip install 'broker-plugin[train]'" in result.stderr
