"""Calibration of probabilities whose truth is drawn."""

import numpy as np
import pytest

from broker_plugin.evaluation.calibration import calibration, classwise_error, top_error
from broker_plugin.models import calibrated


@pytest.fixture(scope="module")
def honest() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    probabilities = rng.dirichlet([0.6, 0.6, 0.6], size=1500)
    return np.array([rng.choice(3, p=p) for p in probabilities]), probabilities


def test_an_honest_classifier_errs_as_by_chance(honest: tuple[np.ndarray, np.ndarray]) -> None:
    measured = calibration(*honest)
    assert measured.error <= measured.chance_error_95
    assert measured.chance_error < measured.chance_error_95 < 0.05
    assert measured.classwise_error == pytest.approx(measured.classwise_chance_error, abs=0.01)


def test_one_that_is_too_sure_does_not(honest: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probabilities = honest
    measured = calibration(truth, calibrated(probabilities, 0.4))
    assert measured.error > 2.0 * measured.chance_error_95


def test_bins_are_of_equal_count(honest: tuple[np.ndarray, np.ndarray]) -> None:
    measured = calibration(*honest)
    assert [one.count for one in measured.bins] == [150] * 10
    assert np.all(np.diff([one.probability for one in measured.bins]) > 0.0)


def test_errors_of_a_known_case() -> None:
    probabilities = np.tile([0.8, 0.2], (10, 1))
    truth = np.array([0] * 6 + [1] * 4)
    # Ten bins of one alert each: |0.8 - 1| six times and 0.8 four times.
    assert top_error(truth, probabilities) == pytest.approx((6 * 0.2 + 4 * 0.8) / 10)
    assert classwise_error(truth, probabilities) == pytest.approx((6 * 0.2 + 4 * 0.8) / 10)


def test_fewer_alerts_than_bins() -> None:
    assert len(calibration(np.array([0, 1]), np.array([[0.7, 0.3], [0.4, 0.6]])).bins) == 2
