"""The public functions: the same seed, the same bytes; the examples are what the functions write."""

from __future__ import annotations

import csv
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from broker_plugin.simulation import CLASSES, SURVEYS, simulate_objects, simulate_packets, write_packets

EXAMPLES = Path(__file__).parents[2] / "examples" / "packets"


@pytest.mark.parametrize("survey", SURVEYS)
def test_same_seed_gives_the_same_bytes(survey):
    assert list(simulate_packets(survey, 5, seed=3)) == list(simulate_packets(survey, 5, seed=3))


@pytest.mark.parametrize("survey", SURVEYS)
def test_other_seed_gives_other_alerts(survey):
    ids = {packet.alert_id for packet in simulate_packets(survey, 5, seed=3)}
    assert not ids & {packet.alert_id for packet in simulate_packets(survey, 5, seed=4)}


@pytest.mark.parametrize("survey", SURVEYS)
def test_an_alert_does_not_depend_on_how_many_are_drawn(survey):
    assert list(simulate_packets(survey, 7, seed=3))[:5] == list(simulate_packets(survey, 5, seed=3))


@pytest.mark.parametrize("survey", SURVEYS)
def test_classes_come_in_turn_and_ids_are_unique(survey):
    packets = list(simulate_packets(survey, 50, seed=3))
    assert [packet.class_name for packet in packets] == list(CLASSES) * 10
    assert len({packet.alert_id for packet in packets}) == 50


def test_classes_can_be_chosen():
    drawn = simulate_objects("ztf", 4, seed=3, detections=(1, 1), classes=("SN", "AGN"))
    assert [one.class_name for one in drawn] == ["SN", "AGN", "SN", "AGN"]


@pytest.mark.parametrize("classes", [(), ("SN", "TDE")])
def test_a_class_that_is_not_drawn_is_named(classes):
    with pytest.raises(ValueError, match=r"AGN, SN, VS, asteroid, bogus, not (none|SN, TDE)"):
        next(simulate_objects("ztf", 1, seed=3, classes=classes))


def test_unknown_survey_is_named():
    with pytest.raises(ValueError, match="'atlas'"):
        next(simulate_packets("atlas", 1, seed=3))


@pytest.mark.parametrize("name", ["new", "new.tar"])
def test_packets_and_their_labels_are_written(tmp_path, name):
    drawn = list(write_packets(tmp_path / name, "ztf", 6, seed=3))
    if name.endswith(".tar"):
        with tarfile.open(tmp_path / name) as archive:
            written = {member.name: archive.extractfile(member).read() for member in archive}
    else:
        written = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
    rows = [(int(row["alert_id"]), row["label"]) for row in csv.DictReader(written.pop("labels.csv").decode().split())]
    assert rows == [(packet.alert_id, packet.class_name) for packet in simulate_packets("ztf", 6, seed=3)]
    assert written.pop("allwise.csv").startswith(b"designation,ra,dec,w1mpro,")
    assert written == {f"{packet.alert_id}.avro": packet.payload for packet in drawn}


@pytest.mark.parametrize("survey", SURVEYS)
def test_examples_are_listed_small_and_what_the_command_makes(survey):
    rows = {int(row["alert_id"]): row["label"] for row in csv.DictReader((EXAMPLES / survey / "labels.csv").open())}
    present = {int(path.stem): path for path in (EXAMPLES / survey).glob("*.avro")}
    assert rows.keys() == present.keys()
    assert Counter(rows.values()) == dict.fromkeys(CLASSES, 4)
    assert sum(path.stat().st_size for path in present.values()) < 2_500_000
    assert {packet.alert_id: packet.class_name for packet in simulate_packets(survey, 20, seed=2026)} == rows
