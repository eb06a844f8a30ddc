"""``broker-plugin evaluate`` of temporal bundles."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from broker_plugin.cli import main
from broker_plugin.evaluation.examples import read_labels
from broker_plugin.packets import PacketFiles
from broker_plugin.stage import load_stage

from .running import EXAMPLES, Run

CLASSES = ("AGN", "SN", "VS")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, temporal_weights: Path, tiny_weights: Path) -> tuple[Path, Result]:
    """The three commands of the documentation, on twelve objects."""
    folder = tmp_path_factory.mktemp("objects")

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="broker-plugin")
        assert result.exit_code == 0, result.output
        return result

    packets = folder / "sequences"
    run("simulate", "-n", 12, "--survey", "ztf", "--detections", "2:5", "--classes", "AGN,SN,VS", "-o", packets)
    run("crossmatch", "build", packets / "allwise.csv", "-o", folder / "hats")
    result = run(
        "evaluate", packets, "--labels", packets / "labels.csv", "--weights", temporal_weights, "--bundle",
        "tiny-temporal-ztf", "--against", tiny_weights / "tiny-ztf" / "0.1.0", "--allwise", folder / "hats",
        "--report", folder / "out", "--card-figures", folder / "card",
    )  # fmt: skip
    return folder, result


@pytest.fixture(scope="module")
def numbers(report: tuple[Path, Result]) -> dict[str, Any]:
    return json.loads((report[0] / "out" / "numbers.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def table(report: tuple[Path, Result]) -> list[dict[str, str]]:
    with (report[0] / "out" / "objects.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_numbers_are_those_of_the_records_of_the_stage(
    report: tuple[Path, Result], numbers: dict[str, Any], temporal_weights: Path
) -> None:
    folder = report[0]
    stage = load_stage(
        ["tiny-temporal-ztf"], weights=temporal_weights, history="memory:", allwise=folder / "hats",
        allwise_timeout_s=None,
    )  # fmt: skip
    packets = sorted(PacketFiles([folder / "sequences"], stage.reader), key=lambda packet: packet.identity.mjd)
    last = {records[-1].object_id: records[-1] for records in stage.on_alerts(packets, follow=True)}
    labels = read_labels(folder / "sequences" / "labels.csv")
    confusion = np.zeros((3, 3), dtype=int)
    for record in last.values():
        confusion[CLASSES.index(labels[record.alert_id].class_name), CLASSES.index(record.class_name)] += 1
    assert confusion.sum() == 12
    assert numbers["whole"]["score"]["confusion"] == confusion.tolist()
    assert numbers["whole"]["score"]["accuracy"]["value"] == pytest.approx(confusion.trace() / 12)


def test_the_table_has_a_line_for_each_object(table: list[dict[str, str]], numbers: dict[str, Any]) -> None:
    assert len({line["object_id"] for line in table}) == len(table) == 12
    right = np.mean([line["said"] == line["label"] for line in table])
    assert numbers["whole"]["score"]["accuracy"]["value"] == pytest.approx(right)
    for line in table:
        probabilities = [float(line[f"p_{name}"]) for name in CLASSES]
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-5)
        assert line["said"] == CLASSES[int(np.argmax(probabilities))]


def test_objects_are_counted_by_what_is_known_of_them(table: list[dict[str, str]], numbers: dict[str, Any]) -> None:
    detections = np.array([int(line["detections"]) for line in table])
    at_least = {part["name"]: part["score"]["objects"] for part in numbers["at_least"]}
    assert at_least == {str(n): int((detections >= n).sum()) for n in (2, 3, 4, 5)} | {"all": 12}
    assert {part["score"]["objects"] for part in numbers["same_objects"]} == {int((detections >= 5).sum())}
    by_allwise = {part["name"]: part["score"]["objects"] for part in numbers["by_allwise"]}
    found = sum(line["allwise"] == "found" for line in table)
    assert by_allwise["looked up"] == 12
    assert by_allwise["source found"] == found


def test_it_is_compared_with_a_stamp_bundle_on_the_same_objects(numbers: dict[str, Any]) -> None:
    (everything, strong) = numbers["against"]["parts"]
    assert everything["objects"] == strong["objects"] == 12
    assert everything["temporal"] == numbers["whole"]["score"]["accuracy"]
    assert everything["stamp"]["value"] == pytest.approx(np.trace(numbers["against"]["confusion"]) / 12)
    difference = everything["difference"]
    assert difference["value"] == pytest.approx(everything["temporal"]["value"] - everything["stamp"]["value"])
    assert difference["low"] <= difference["value"] <= difference["high"]


def test_the_page_needs_nothing_from_elsewhere(report: tuple[Path, Result]) -> None:
    out = report[0] / "out"
    page = (out / "index.html").read_text()
    assert "http" not in page
    linked = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    assert linked == {path.name for path in out.iterdir()} - {"index.html"}
    figures = {name for name in linked if name.endswith(".png")}
    assert figures == {f"{name}.png" for name in ("confusion", "confusions", "gain", "parts", "reliability", "timing")}


def test_the_card_gets_three_figures(report: tuple[Path, Result]) -> None:
    assert {path.name for path in (report[0] / "card").iterdir()} == {"confusion.png", "gain.png", "reliability.png"}


def test_the_summary(report: tuple[Path, Result]) -> None:
    said = report[1].stdout
    assert "12 objects" in said
    assert "against tiny-ztf/0.1.0" in said
    assert "the same objects, 5 detections" in said
    assert "AllWISE: looked up" in said


def test_little_to_report_on(
    run: Run, report: tuple[Path, Result], table: list[dict[str, str]], tmp_path: Path, temporal_weights: Path
) -> None:
    """Weak labels, few detections, no catalogue and no stamp bundle."""
    packets, labels = report[0] / "sequences", tmp_path / "labels.csv"
    few = [line for line in table if int(line["detections"]) < 5]
    assert few
    lines = [f"{line['alert_id']},{line['label']},3" for line in few]
    labels.write_text("\n".join(["alert_id,label,label_trust", *lines]) + "\n")
    arguments = ("--labels", labels, "--weights", temporal_weights, "--bundle", "tiny-temporal-ztf")
    result = run("evaluate", packets, *arguments, "--report", tmp_path / "out")
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text())
    assert numbers["whole"]["strong"] is None
    assert numbers["against"] is None
    assert numbers["timing"] is None
    assert numbers["same_objects"] == numbers["without_allwise"] == []
    assert [part["name"] for part in numbers["by_allwise"]] == ["not looked up"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "No object has so many" in page
    assert "give a catalogue with" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["--bundle", "tiny-temporal-ztf", "--bundle", "tiny-temporal-rubin"], "which is judged alone"),
        (["--bundle", "tiny-temporal-ztf", "--other", EXAMPLES], "--other is for the novelty of alerts"),
        (["--bundle", "tiny-temporal-ztf", "--against", "tiny-temporal-ztf"], "one of the kind stamp is needed"),
        (["--bundle", "tiny-temporal-ztf", "--allwise", EXAMPLES], "is no HATS catalogue"),
        (["--bundle", "tiny-temporal-rubin"], "is for rubin alerts; labelled packets that can be read: 12 of ztf"),
        (["--bundle", "stamp-ztf", "--against", "stamp-ztf"], "--against is for temporal bundles"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    run: Run, tmp_path: Path, temporal_weights: Path, changes: list[object], said: str
) -> None:
    labels = tmp_path / "labels.csv"
    rows = list(csv.DictReader((EXAMPLES / "ztf" / "labels.csv").open(newline="")))
    lines = [f"{row['alert_id']},{row['label']}" for row in rows if row["label"] in CLASSES]
    labels.write_text("\n".join(["candid,label", *lines]) + "\n")
    arguments = ("--labels", labels, "--weights", temporal_weights, "--report", tmp_path / "out")
    result = run("evaluate", EXAMPLES / "ztf", *arguments, *changes)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
