"""Turning stamps."""

import numpy as np

from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.robustness import ANGLES, turn


def test_the_network_is_blind_to_quarter_turns_and_mirrors(answers: Answers) -> None:
    quarters, mirrors, linear, cubic = turn(answers.predict, answers.stamps, answers.features)
    n = len(answers.truth)
    assert (quarters.trials, mirrors.trials, linear.trials, cubic.trials) == (3 * n, 2 * n, ANGLES * n, ANGLES * n)
    for one in (quarters, mirrors):
        assert one.changed == 0.0
        assert one.largest_change < 1e-4
    assert linear.largest_change > 1e-4


def test_a_classifier_that_looks_at_one_corner_is_found_out() -> None:
    stamps = np.zeros((4, 5, 5, 1), np.float32)
    stamps[:, 0, 0] = 1.0

    def by_corner(stamps: np.ndarray, features: np.ndarray) -> np.ndarray:
        bright = stamps[:, 0, 0, 0]
        return np.stack([1.0 - bright, bright], axis=1)

    quarters, mirrors, *_ = turn(by_corner, stamps, np.zeros((4, 0), np.float32))
    assert quarters.changed == mirrors.changed == 1.0
