from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .running import Run


@pytest.fixture
def weights(tiny_weights: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(tiny_weights, tmp_path / "weights"))


def test_list(run: Run, tiny_weights: Path) -> None:
    result = run("weights", "list", "--weights", tiny_weights)
    assert result.exit_code == 0
    (row,) = (line for line in result.stdout.splitlines() if "tiny-ztf/0.1.0" in line.split())
    for said in ("ztf", "stamp", "AGN, SN, VS", "float32, bfloat16", "given", str(tiny_weights)):
        assert said in row


def test_list_shows_broken_ones(run: Run, weights: Path) -> None:
    (weights / "tiny-ztf" / "0.1.0" / "bundle.json").write_text("{")
    result = run("weights", "list", "--weights", weights)
    assert result.exit_code == 0
    assert "not a bundle manifest" in result.stdout
    assert "tiny-rubin/0.1.0" in result.stdout


def test_verify(run: Run, weights: Path) -> None:
    assert run("weights", "verify", "--weights", weights).exit_code == 0
    (weights / "tiny-ztf" / "0.1.0" / "MODEL_CARD.md").write_text("changed")
    result = run("weights", "verify", "--weights", weights)
    assert result.exit_code == 1
    assert "MODEL_CARD.md is not the file that the manifest names" in result.stdout
    assert "1 failed" in result.stdout


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of the published network for 23 features, and beside it ``stats.csv``."""
    import tensorflow as tf

    from broker_plugin.training.architecture import paper_network
    from broker_plugin.training.published import FEATURES_OF_LAYOUT

    rows = [f"{feature.name},0.5,2.0" for feature in FEATURES_OF_LAYOUT[23]]
    (tmp_path / "stats.csv").write_text("\n".join(["name,mean,std", *rows]))
    names = {"embedding": "dense_3", "probabilities": "output_logits"}
    layers = paper_network(size=21, channels=3, features=23, classes=5).layers
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for layer in layers:
            for weight in layer.weights:
                name = f"network/{names.get(layer.name, layer.name)}/{weight.name}"
                v1.get_variable(name, shape=weight.shape, initializer=v1.glorot_normal_initializer(seed=1))
        session.run(v1.global_variables_initializer())
        return Path(v1.train.Saver().save(session, str(tmp_path / "model")))


def test_an_imported_checkpoint_classifies(run: Run, checkpoint: Path, tmp_path: Path, ztf_packet: Path) -> None:
    root = tmp_path / "weights"
    bundle = root / "old" / "1.0.0"
    arguments = ("--layout", "alerce-2021", "--name", "old", "--version", "1.0.0", "-o", bundle)
    result = run("weights", "import", checkpoint, "--feature-stats", tmp_path / "stats.csv", *arguments)
    assert result.exit_code == 0, result.output
    assert "stamps and 23 features" in result.stdout and f"old/1.0.0 is in {bundle}" in result.stdout

    verified = run("weights", "verify", "--weights", root)
    assert verified.exit_code == 0 and "old/1.0.0" in verified.stdout
    records = tmp_path / "records.jsonl"
    assert run("classify", ztf_packet, "-o", records, "--bundle", bundle).exit_code == 0
    [record] = [json.loads(line) for line in records.read_text().splitlines()]
    assert (record["status"], record["classifier_name"], record["novelty"]) == ("ok", "old", None)
    assert sum(c["probability"] for c in record["classifications"]) == pytest.approx(1.0)


def test_an_import_without_the_statistics_of_its_features(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    result = run("weights", "import", checkpoint, "--layout", "alerce-2021", "-o", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "23 features, whose means and standard deviations no checkpoint holds" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_import_does_not_empty_other_folders(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    result = run("weights", "import", checkpoint, "--layout", "alerce-2021", "-o", tmp_path)
    assert result.exit_code == 2 and "would be emptied" in result.stderr
    assert checkpoint.with_suffix(".index").exists()
