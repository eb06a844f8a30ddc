"""Light curves begin where the first alert is, and change as their class does."""

from __future__ import annotations

import numpy as np
import pytest

from broker_plugin.simulation.light_curves import draw_explosion, draw_outburst, draw_periodic, draw_random_walk

SEEDS = pytest.mark.parametrize("seed", range(8))


@SEEDS
def test_supernova_is_one_at_its_first_alert_zero_before_and_gone_after(seed):
    explosion = draw_explosion("r", np.random.default_rng(seed))
    days = np.array([0.0, -explosion.age_days - 1.0, 900.0])
    np.testing.assert_allclose(explosion(days, "r"), [1.0, 0.0, 0.0], atol=1e-3)


def test_supernova_declines_faster_in_the_blue():
    explosion = draw_explosion("r", np.random.default_rng(1))
    late = np.array([30.0, 60.0])
    g, r = explosion(late, "g"), explosion(late, "r")
    assert g[1] / g[0] < r[1] / r[0] < 1.0


@SEEDS
@pytest.mark.parametrize("first", [-0.4, 0.4])
def test_variables_have_the_given_change_at_the_first_alert(seed, first):
    for draw in (draw_random_walk, draw_periodic):
        change = draw(first, np.random.default_rng(seed))(np.array([0.0]), "r")
        assert change == pytest.approx(first)


@SEEDS
def test_no_star_becomes_darker_than_nothing(seed):
    days = np.linspace(-100.0, 100.0, 500)
    for draw in (draw_random_walk, draw_periodic):
        assert draw(-0.9, np.random.default_rng(seed))(days, "r").min() > -1.0


def test_nucleus_wanders_slowly():
    walk = draw_random_walk(0.5, np.random.default_rng(2))
    hours, years = (np.abs(np.diff(walk(np.arange(40) * step, "r"))).mean() for step in (0.05, 400.0))
    assert hours < 0.3 * years


def test_outburst_falls_from_its_onset():
    outburst = draw_outburst(3.0, np.random.default_rng(3))
    before, now, later = outburst(np.array([-outburst.age_days - 0.1, 0.0, 40.0]), "g")
    assert before == 0.0 and now == pytest.approx(3.0) and later < 0.3
