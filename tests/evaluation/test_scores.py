"""Scores of known answers."""

import numpy as np
import pytest

from broker_plugin.evaluation.scores import best_temperature, scores
from broker_plugin.models import calibrated


def test_scores_of_a_known_confusion() -> None:
    truth = np.array([0, 0, 1, 1, 1, 1])
    said = np.eye(3)[[0, 1, 1, 1, 1, 0]] * 0.7 + 0.1
    score = scores(truth, said, ("a", "b", "c"))
    assert score["confusion"] == [[1, 1, 0], [1, 3, 0], [0, 0, 0]]
    assert score["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    assert score["balanced_accuracy"] == pytest.approx((0.5 + 0.75) / 2)
    assert score["recall"] == {"a": 0.5, "b": 0.75}


def test_the_temperature_undoes_a_network_that_is_too_sure() -> None:
    rng = np.random.default_rng(3)
    honest = rng.dirichlet([1.0, 1.0, 1.0], size=4000)
    truth = np.array([rng.choice(3, p=p) for p in honest])
    too_sure = calibrated(honest, 0.5)
    assert best_temperature(truth, too_sure) == pytest.approx(2.0, rel=0.15)
