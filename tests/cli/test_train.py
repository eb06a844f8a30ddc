from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import click
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


def test_every_recipe_can_be_chosen() -> None:
    from broker_plugin.cli.train import stamp
    from broker_plugin.training.recipes import RECIPES

    [option] = [parameter for parameter in stamp.params if parameter.name == "preset"]
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == set(RECIPES)


def test_several_seeds_give_a_mean_and_a_spread(run: Run, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "paper"
    arguments = ("train", "stamp", EXAMPLES / "ztf", "--labels", labels, "-o", out, "--survey", "ztf")
    result = run(*arguments, "--preset", "paper-2021", "--seeds", 2, "--iterations", 2, "--extension", 1)
    assert result.exit_code == 0, result.output
    assert "mean and standard deviation over 2 seeds" in result.stdout
    assert re.search(r"test +5 +\d\.\d{3} ± \d\.\d{3}", result.stdout)
    assert "for validation: " in result.stdout
    told = json.loads((out / "seeds.json").read_text())
    assert told["seeds"] == [1, 2]
    both = [json.loads((out / f"seed-{seed}" / "bundle.json").read_text()) for seed in (1, 2)]
    assert both[0]["training"]["seed"] == 1 and both[1]["training"]["seed"] == 2
    mean = sum(one["metrics"]["test"]["accuracy"] for one in both) / 2
    assert told["scores"]["test"]["accuracy"]["mean"] == pytest.approx(mean)
    assert (tmp_path / "paper.training" / "seed-2" / "learning_curve.csv").exists()


def test_an_interrupted_fit_is_resumed(run: Run, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from broker_plugin.training import train

    arguments = ("train", "stamp", EXAMPLES / "ztf", "--labels", labels, "--survey", "ztf", "--iterations", 3)
    whole = run(*arguments, "-o", tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    with monkeypatch.context() as patch:
        patch.setattr(train, "_scored", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        result = run(*arguments, "-o", tmp_path / "out", "--work", tmp_path / "work")
    assert "the same command with --resume goes on" in result.stderr
    resumed = run(*arguments, "-o", tmp_path / "out", "--work", tmp_path / "work", "--resume")
    assert resumed.exit_code == 0, resumed.output
    name = "saved_model/variables/variables.data-00000-of-00001"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_original_data_set_takes_no_packets(run: Run, labels: Path, tmp_path: Path) -> None:
    result = run("train", "stamp", EXAMPLES, "--labels", labels, "--original-dataset", labels, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "give PACKETS and their --labels, or --original-dataset alone" in result.stderr


def test_a_pickle_that_would_run_something_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch mark'\ntR.")
    arguments = ("--original-dataset", tmp_path / "evil.pkl", "--preset", "paper-2021", "-o", tmp_path / "out")
    result = run("train", "stamp", *arguments)
    assert result.exit_code == 2
    assert "refused: it asks for os.system" in result.stderr


def test_search_writes_what_stamp_reads(run: Run, labels: Path, tmp_path: Path) -> None:
    best, study = tmp_path / "best.json", tmp_path / "s.db"
    arguments = ("train", "search", EXAMPLES / "ztf", "--labels", labels, "--survey", "ztf")
    limits = ("--iterations", 2, "--extension", 1)
    result = run(*arguments, "--trials", 1, "--study", study, "-o", best, *limits)
    assert result.exit_code == 0, result.output
    assert "learning_rate" in result.stdout and "the best of them is in" in result.stdout
    out = tmp_path / "out"
    arguments = ("train", "stamp", EXAMPLES / "ztf", "--labels", labels, "--survey", "ztf", "--preset", "paper-2021")
    result = run(*arguments, "--hyperparameters", best, *limits, "-o", out)
    assert result.exit_code == 0, result.output
    chosen, made = json.loads(best.read_text())["hyperparameters"], json.loads((out / "bundle.json").read_text())
    assert (made["stamps"]["size"], made["training"]["options"]["beta"]) == (chosen["size"], chosen["beta"])


def test_hyperparameters_that_are_none(run: Run, labels: Path, tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text(json.dumps({"hyperparameters": {"depth": 4}}))
    arguments = ("train", "stamp", EXAMPLES / "ztf", "--labels", labels, "-o", tmp_path / "out", "--survey", "ztf")
    result = run(*arguments, "--hyperparameters", tmp_path / "best.json")
    assert (result.exit_code, result.stderr) == (2, "broker-plugin: 'depth' is no hyperparameter\n")


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
