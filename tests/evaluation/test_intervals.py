"""Intervals of known cases."""

import numpy as np
import pytest

from broker_plugin.evaluation.intervals import bootstrap, share


def test_wilsons_interval_of_a_known_case() -> None:
    # 81 of 263: Newcombe 1998, Statistics in Medicine 17, 857, table I.
    right = np.arange(263) < 81
    interval = share(right, [str(i) for i in range(263)])
    assert (interval.low, interval.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


def test_alerts_of_one_object_tell_less() -> None:
    right = np.array([True] * 30 + [False] * 10)
    alone = share(right, [str(i) for i in range(40)])
    together = share(right, [str(i // 4) for i in range(40)])
    assert together.value == alone.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_all_right_is_not_certain() -> None:
    assert share(np.ones(10, dtype=bool), [str(i) for i in range(10)]).low < 0.75


def test_the_bootstrap_covers_as_the_normal_approximation_does() -> None:
    values = np.random.default_rng(1).normal(size=400)
    interval = bootstrap(lambda rows: float(values[rows].mean()), [str(i) for i in range(400)])
    assert interval.value == pytest.approx(values.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 / 20, rel=0.15)


def test_the_bootstrap_draws_whole_objects() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=40), 10)
    interval = bootstrap(lambda rows: float(values[rows].mean()), [str(i // 10) for i in range(400)])
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 / np.sqrt(40), rel=0.25)
