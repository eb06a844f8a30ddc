"""Scores of answers about objects."""

from __future__ import annotations

import numpy as np
import pytest

from broker_plugin.evaluation.object_measurements import score

TRUTH = np.array([0, 0, 0, 1, 2])
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])


def test_scores_of_answers_that_are_known() -> None:
    found = score(TRUTH, PROBABILITIES)
    assert found.objects == 5
    assert found.accuracy.value == pytest.approx(3 / 5)
    assert found.balanced_accuracy.value == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found.probability_of_true.value == pytest.approx((0.7 + 0.6 + 0.1 + 0.7 + 0.4) / 5)
    assert found.negative_log_likelihood == pytest.approx(-np.log([0.7, 0.6, 0.1, 0.7, 0.4]).mean())
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_intervals_hold_their_values() -> None:
    found = score(TRUTH, PROBABILITIES)
    for interval in (found.accuracy, found.balanced_accuracy, found.probability_of_true):
        assert interval.low < interval.value < interval.high
