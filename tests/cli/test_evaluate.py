from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker_plugin.cli import main

from .running import EXAMPLES, Run


def _write_labels(path: Path, survey: str, leave_out: str = "") -> Path:
    with (EXAMPLES / survey / "labels.csv").open(newline="") as truth, path.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["candid", "label", "split", "label_source", "label_trust"])
        for number, row in enumerate(csv.DictReader(truth)):
            if row["label"] != leave_out:
                split = "test" if number % 2 else "train"
                writer.writerow([row["alert_id"], row["label"], split, f"<source> & {number % 3}", 1 + number % 3])
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> tuple[Path, Result]:
    """A report of one bundle, given twice, on all but the supernovae."""
    folder = tmp_path_factory.mktemp("report")
    labels = _write_labels(folder / "labels.csv", "ztf")
    packets = folder / "packets"
    packets.mkdir()
    for packet in (EXAMPLES / "ztf").glob("*.avro"):
        (packets / packet.name).write_bytes(packet.read_bytes())
    (packets / "broken.avro").write_bytes(b"<b>no packet</b>")
    arguments = [
        "evaluate", packets, "--labels", labels, "--weights", tiny_weights, "--bundle", "tiny-ztf", "--bundle",
        "tiny-ztf/0.1.0", "--beta-bundle", "0.5=tiny-ztf", "--other", EXAMPLES / "rubin", "--report", folder / "out",
        "--card-figures", folder / "card",
    ]  # fmt: skip
    result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="broker-plugin")
    assert result.exit_code == 0, result.output
    return folder, result


def test_the_summary(report: tuple[Path, Result]) -> None:
    _, result = report
    assert "20 alerts of 20 objects; 1 packet not classified" in result.stdout
    assert "recall of asteroid" in result.stdout
    assert "index.html" in result.stdout


def test_the_page_needs_nothing_from_elsewhere(report: tuple[Path, Result]) -> None:
    out = report[0] / "out"
    page = (out / "index.html").read_text()
    assert "http" not in page
    linked = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    assert linked == {path.name for path in out.iterdir()} - {"index.html"}
    figures = {name for name in linked if name.endswith(".png")}
    assert {"confusion.png", "roc.png", "reliability.png", "sky.png", "ablation.png", "novelty.png"} <= figures
    for name in figures:
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_names_from_files_are_escaped(report: tuple[Path, Result]) -> None:
    page = (report[0] / "out" / "index.html").read_text()
    assert "&lt;source&gt; &amp; 1" in page
    assert "<source>" not in page


def test_the_numbers(report: tuple[Path, Result]) -> None:
    numbers = json.loads((report[0] / "out" / "numbers.json").read_text(), parse_constant=pytest.fail)
    assert sum(numbers["classes"].values()) == 20
    assert numbers["spread"]["accuracy"] == {"mean": numbers["summaries"][0]["accuracy"]["value"],
                                             "standard_deviation": 0.0, "bundles": 2}  # fmt: skip
    assert list(numbers["distributions"]) == ["beta = 0.5"]
    assert len(numbers["unclassified"]) == 1
    assert numbers["strange"][-1]["name"] == "packets of packets/rubin"
    assert [time["batch"] for time in numbers["cost"]["times"]] == [1, 8, 32, 128, 512]
    assert {"By source of the label", "By trust in the label", "By night"} <= set(numbers["tables"])


def test_the_card_gets_four_figures(report: tuple[Path, Result]) -> None:
    card = report[0] / "card"
    assert {path.name for path in card.iterdir()} == {"confusion.png", "roc.png", "reliability.png", "ablation.png"}
    assert sum(path.stat().st_size for path in card.iterdir()) < 300_000


def test_a_class_without_alerts_and_one_split(run: Run, tmp_path: Path, tiny_weights: Path) -> None:
    labels = _write_labels(tmp_path / "labels.csv", "rubin", leave_out="SN")
    out = tmp_path / "out"
    arguments = ("evaluate", EXAMPLES / "rubin", "--labels", labels, "--weights", tiny_weights)
    result = run(*arguments, "--bundle", "tiny-rubin", "--split", "test", "--report", out)
    assert result.exit_code == 0, result.output
    assert "8 alerts" in result.stdout
    assert not (out / "roc.png").exists()
    assert "not a test split alone" not in (out / "index.html").read_text()
    again = run(*arguments, "--bundle", "tiny-rubin", "--split", "none", "--report", out)
    assert again.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["--bundle", "tiny-rubin"],
            "tiny-rubin/0.1.0 is for rubin alerts; labelled packets that can be read: 20 of ztf",
        ),
        (["--bundle", "tiny-ztf", "--bundle", "tiny-rubin"], "another survey or other classes"),
        (["--bundle", "nonesuch"], "no bundle 'nonesuch'"),
        (["--bundle", "tiny-ztf", "--beta-bundle", "tiny-ztf"], "write it as BETA=NAME"),
        (["--bundle", "tiny-ztf", "--report", "."], "holds other things than a report"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    run: Run, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, changes: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = _write_labels(tmp_path / "labels.csv", "ztf")
    arguments = ("--labels", labels, "--weights", tiny_weights, "--report", tmp_path / "out")
    result = run("evaluate", EXAMPLES / "ztf", *arguments, *changes)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_split_without_rows(run: Run, tmp_path: Path, tiny_weights: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("candid,label\n1,SN\n")
    arguments = ("--labels", labels, "--bundle", "tiny-ztf", "--split", "test", "--report", tmp_path / "out")
    result = run("evaluate", EXAMPLES / "ztf", *arguments)
    assert result.exit_code == 2
    assert "has no labels of split test" in result.stderr


def test_without_the_extra(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    labels = _write_labels(tmp_path / "labels.csv", "ztf")
    arguments = ("--labels", labels, "--bundle", "tiny-ztf", "--report", tmp_path / "out")
    result = run("evaluate", EXAMPLES / "ztf", *arguments)
    assert result.exit_code == 2
    assert result.stderr == "broker-plugin: a report needs jinja2: pip install 'broker-plugin[report]'\n"
