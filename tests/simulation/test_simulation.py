"""The public functions: the same seed, the same bytes; the examples are what the functions write."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from broker_plugin.simulation import CLASSES, SURVEYS, simulate_packets, write_examples

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


def test_unknown_survey_is_named():
    with pytest.raises(ValueError, match="'atlas'"):
        next(simulate_packets("atlas", 1, seed=3))


def test_write_examples_writes_packets_and_their_truth(tmp_path):
    write_examples(tmp_path / "new", seed=3, per_class=1)
    rows = list(csv.DictReader((tmp_path / "new" / "truth.csv").read_text().splitlines()))
    assert Counter(row["survey"] for row in rows) == dict.fromkeys(SURVEYS, len(CLASSES))
    for survey in SURVEYS:
        for packet in simulate_packets(survey, len(CLASSES), seed=3):
            assert (tmp_path / "new" / survey / f"{packet.alert_id}.avro").read_bytes() == packet.payload
            assert {"survey": survey, "alert_id": str(packet.alert_id), "class": packet.class_name} in rows


def test_examples_are_listed_and_small():
    rows = list(csv.DictReader((EXAMPLES / "truth.csv").read_text().splitlines()))
    listed = {EXAMPLES / row["survey"] / f"{row['alert_id']}.avro" for row in rows}
    present = set(EXAMPLES.glob("*/*.avro"))
    assert listed == present
    assert Counter((row["survey"], row["class"]) for row in rows) == {
        (survey, name): 4 for survey in SURVEYS for name in CLASSES
    }
    assert sum(path.stat().st_size for path in present) < 4_000_000
