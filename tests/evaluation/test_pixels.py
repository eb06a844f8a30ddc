"""Statistics of pixels: each is what it says, on images whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from broker_plugin.evaluation import pixels
from broker_plugin.evaluation.pixels import STATISTICS, pixel_statistics
from broker_plugin.packets import PacketReader
from broker_plugin.simulation import simulate_packets


def white(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(100.0, 5.0, (63, 63))


def measured(image: np.ndarray) -> dict[str, float]:
    return pixels._of_stamp(image, (31, 31))


def test_sky_and_noise_of_white_noise():
    found = measured(white())
    assert found["sky"] == pytest.approx(100.0, abs=0.5)
    assert 10 ** found["noise"] == pytest.approx(5.0, rel=0.05)
    assert abs(found["correlation_1"]) < 0.05


def test_smoothed_noise_is_correlated():
    image = white()
    found = measured(0.5 * (image + np.roll(image, 1, 0)))
    assert found["correlation_1"] > 0.2


def test_asymmetry_is_that_of_the_light():
    y, x = np.indices((63, 63)) - 31
    centred = 1000.0 * np.exp(-(x**2 + y**2) / 8.0)
    beside = 1000.0 * np.exp(-((x - 4) ** 2 + y**2) / 8.0)
    assert measured(white() + centred)["asymmetry"] < 0.3 < 1.0 < measured(white() + beside)["asymmetry"]


def test_nan_pixels_are_counted_and_left_out():
    image = white()
    image[:21] = np.nan
    found = measured(image)
    assert found["nan_share"] == pytest.approx(1 / 3)
    assert found["sky"] == pytest.approx(100.0, abs=0.5)


def test_a_blank_stamp_has_no_statistics():
    assert np.isnan([measured(np.zeros((63, 63)))[name] for name in STATISTICS if name != "nan_share"]).all()


@pytest.mark.parametrize("survey", ["ztf", "rubin"])
def test_all_statistics_of_an_alert(survey):
    alert = PacketReader().read(next(simulate_packets(survey, 1, seed=1)).payload)
    found = pixel_statistics(alert)
    assert len(found) == 3 * len(STATISTICS) + 1
    assert 0.0 < found["mismatch"] < 1.0
