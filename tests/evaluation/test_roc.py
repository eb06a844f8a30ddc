"""Curves of known scores."""

import numpy as np
import pytest

from broker_plugin.evaluation.roc import roc


def test_a_perfect_score() -> None:
    curve = roc("SN", np.array([True, False, False]), np.array([0.9, 0.1, 0.2]))
    assert curve is not None
    assert curve.area == 1.0
    assert curve.at_rate.true_positive_rate == 1.0


def test_thresholds_and_the_point_at_a_rate() -> None:
    others = np.linspace(0.0, 0.5, 100)  # the third highest false one is at a rate of 0.03
    probability = np.concatenate([[0.05, 0.15, 0.4, 0.493, 0.9], others])
    curve = roc("SN", np.arange(105) < 5, probability)
    assert curve is not None
    assert [point.true_positive_rate for point in curve.marked] == [0.8, 0.6, 0.2]
    assert curve.at_rate.false_positive_rate == pytest.approx(0.03)
    assert curve.at_rate.true_positive_rate == 0.4
    assert (curve.positives, curve.negatives) == (5, 100)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_no_curve_without_both_kinds(truth: list[bool]) -> None:
    assert roc("SN", np.array(truth), np.array([0.1, 0.2])) is None
