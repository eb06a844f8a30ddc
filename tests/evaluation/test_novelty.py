"""Novelty of what is no alert."""

from pathlib import Path

import numpy as np

from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.novelty import nonsense, others
from broker_plugin.evaluation.spoilt import SPOILINGS

from .answered import EXAMPLES


def test_nonsense_of_every_kind(answers: Answers) -> None:
    made = nonsense(answers)
    assert [one.name for one in made] == list(SPOILINGS)
    for one in made:
        assert len(one.novelty) == len(answers.truth)
        assert 0.0 <= one.area <= 1.0
    assert nonsense(answers) == made  # seeded


def test_the_area_is_the_chance_of_a_higher_novelty(answers: Answers) -> None:
    one = nonsense(answers)[0]
    usual, strange = np.asarray(answers.novelty), np.array(one.novelty)
    higher = (strange[:, None] > usual).mean() + 0.5 * (strange[:, None] == usual).mean()
    assert abs(one.area - higher) < 1e-9


def test_packets_of_another_survey_are_read_with_the_same_tensors(ztf_answers: Answers, tmp_path: Path) -> None:
    strange = others(ztf_answers, EXAMPLES / "rubin")
    assert strange is not None
    assert (len(strange.novelty), strange.refused) == (20, 0)
    (tmp_path / "nonsense.avro").write_bytes(b"no packet")
    refused = others(ztf_answers, tmp_path)
    assert refused is not None
    assert (refused.novelty, refused.refused) == ((), 1)


def test_labelled_packets_are_not_others(ztf_answers: Answers) -> None:
    assert others(ztf_answers, EXAMPLES / "ztf") is None
