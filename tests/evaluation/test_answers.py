"""Packets are answered as the stage answers them, and none is lost."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.evaluation.answers import Answers, answers_of
from broker_plugin.evaluation.examples import Label
from broker_plugin.packets import PacketFiles
from broker_plugin.stage import load_stage

from .answered import EXAMPLES, example_labels, load_model


def test_the_answers_are_those_of_the_stage(answers: Answers, tiny_weights: Path) -> None:
    manifest = answers.manifest
    stage = load_stage([manifest.name], weights=tiny_weights, device="cpu")
    packets = list(PacketFiles([EXAMPLES / manifest.survey], stage.reader))
    records = {record.alert_id: record for (record,) in stage.on_alerts(packets)}
    assert len(answers.truth) == len(records) == 20
    for alert, said in zip(answers.examples.alerts, answers.probabilities, strict=True):
        record = records[alert.identity.alert_id]
        assert [item.probability for item in record.classifications] == pytest.approx(said, abs=1e-9)


def test_what_cannot_be_classified_is_listed(tiny_weights: Path, tmp_path: Path) -> None:
    packets = sorted((EXAMPLES / "ztf").glob("*.avro"))
    shutil.copy(packets[0], tmp_path)
    (tmp_path / "broken.avro").write_bytes(packets[1].read_bytes()[:-4000])
    (tmp_path / "nonsense.avro").write_bytes(b"no packet")
    labels = example_labels("ztf")
    answers = answers_of(load_model(tiny_weights, "ztf"), [tmp_path], labels, progress=lambda share: None)
    assert len(answers.truth) == 1
    assert {Path(one.source).name for one in answers.unclassified} == {"broken.avro", "nonsense.avro"}
    assert all(one.reason and one.detail for one in answers.unclassified)
    assert len(answers.truth) + answers.not_found == len(labels)


def test_packets_of_another_survey_are_refused(tiny_weights: Path) -> None:
    with pytest.raises(ValueError, match=r"tiny-rubin/0.1.0 is for rubin alerts; .* 20 of ztf"):
        answers_of(
            load_model(tiny_weights, "rubin"), [EXAMPLES / "ztf"], example_labels("ztf"), progress=lambda share: None
        )


def test_a_label_that_is_no_class_is_refused(tiny_weights: Path) -> None:
    with pytest.raises(ValueError, match="'TDE' is not a class of tiny-ztf"):
        answers_of(
            load_model(tiny_weights, "ztf"), [EXAMPLES / "ztf"], {1: Label("TDE", "a")}, progress=lambda share: None
        )


def test_progress_comes_to_its_end(tiny_weights: Path) -> None:
    shares: list[float] = []
    answers_of(load_model(tiny_weights, "ztf"), [EXAMPLES / "ztf"], example_labels("ztf"), progress=shares.append)
    assert np.all(np.diff(shares) >= 0.0)
    assert shares[-1] == pytest.approx(1.0, abs=0.1)
