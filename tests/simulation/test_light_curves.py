"""Light curves begin where the first alert is, and change as their class does."""

from __future__ import annotations

import numpy as np
import pytest

from broker_plugin.simulation.light_curves import (
    SUPERNOVA_TYPES,
    Explosion,
    draw_explosion,
    draw_flares,
    draw_outbursts,
    draw_periodic,
    draw_random_walk,
)

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
        change = draw(first, "r", np.random.default_rng(seed))(np.array([0.0]), "r")
        assert change == pytest.approx(first)


@SEEDS
def test_no_star_becomes_darker_than_nothing(seed):
    days = np.linspace(-100.0, 100.0, 500)
    for draw in (draw_random_walk, draw_periodic):
        assert draw(-0.9, "r", np.random.default_rng(seed))(days, "r").min() > -1.0


def test_nucleus_wanders_slowly():
    walk = draw_random_walk(0.5, "r", np.random.default_rng(2))
    hours, years = (np.abs(np.diff(walk(np.arange(40) * step, "r"))).mean() for step in (0.05, 400.0))
    assert hours < 0.3 * years


def test_nucleus_varies_as_much_as_quasars_do():
    rng = np.random.default_rng(4)
    walks = [draw_random_walk(0.01, "g", rng) for _ in range(200)]
    days = np.array([3000.0, 6000.0])
    structure = np.sqrt(np.mean([np.diff(walk(days, "g"))[0] ** 2 for walk in walks]))
    # 0.31 mag at 400 nm (MacLeod et al. 2010) are 0.26 of the flux at 475 nm; the scatter among quasars adds a fifth.
    assert 0.26 < structure < 0.38
    assert np.median([walk.tau_days for walk in walks]) == pytest.approx(250.0, rel=0.2)


def test_bands_of_a_nucleus_move_together_and_the_bluer_one_more():
    walk = draw_random_walk(0.2, "r", np.random.default_rng(5))
    days = np.linspace(0.0, 200.0, 50)
    g, r = walk(days, "g"), walk(days, "r")
    np.testing.assert_allclose(g / r, (475.0 / 640.0) ** -0.479)


@pytest.mark.parametrize("kind", SUPERNOVA_TYPES)
def test_supernova_is_brightest_after_its_rise_and_reddens(kind):
    common = SUPERNOVA_TYPES[kind]
    explosion = Explosion(kind, 5.0, common.rise_days[0], common.fall_days[0], 80.0, "r")
    days = np.linspace(-5.0, 80.0, 400)
    g, r = explosion(days, "g"), explosion(days, "r")
    assert days[r.argmax()] + 5.0 == pytest.approx(common.rise_days[0], abs=0.5)
    after = days > days[r.argmax()]
    assert (g[after] / r[after])[-1] < 0.9 * (g[after] / r[after])[0]


def test_plateau_ends():
    common = SUPERNOVA_TYPES["II"]
    explosion = Explosion("II", 0.1, common.rise_days[0], common.fall_days[0], 80.0, "r")
    start, end, after = explosion(np.array([20.0, 70.0, 115.0]), "r")
    assert end > 0.6 * start and after < 0.4 * end


def test_supernovae_of_each_type_come_as_often_as_surveys_find_them():
    rng = np.random.default_rng(6)
    kinds = [draw_explosion("r", rng).kind for _ in range(1000)]
    for kind, common in SUPERNOVA_TYPES.items():
        assert kinds.count(kind) / 1000 == pytest.approx(common.share, abs=0.04)


def test_periodic_star_is_the_same_after_a_period():
    rng = np.random.default_rng(7)
    for first in (-0.5, -0.1, 0.1, 0.5):
        star = draw_periodic(first, "g", rng)
        days = np.linspace(0.0, 1.0, 20) * star.period_days
        np.testing.assert_allclose(star(days + 3.0 * star.period_days, "g"), star(days, "g"), atol=1e-6)


def test_only_stars_that_can_change_so_much_are_drawn():
    rng = np.random.default_rng(8)
    assert {draw_periodic(0.9, "r", rng).kind for _ in range(50)} == {"long-period"}
    assert len({draw_periodic(0.1, "r", rng).kind for _ in range(200)}) >= 6


def test_pulsating_star_changes_more_in_the_blue():
    rng = np.random.default_rng(9)
    star = next(star for star in iter(lambda: draw_periodic(0.2, "r", rng), None) if star.kind == "RR Lyrae")
    assert star(np.zeros(1), "g") == pytest.approx(0.2 * (640.0 / 475.0) ** 1.1)


def test_dwarf_nova_rests_between_its_outbursts():
    outbursts = draw_outbursts(3.0, np.random.default_rng(3))
    onset = -outbursts.age_days
    days = np.array([onset - 0.1, 0.0, onset + outbursts.recurrence_days - 0.1, outbursts.recurrence_days])
    before, now, rest, again = outbursts(days, "g")
    assert now == again == pytest.approx(3.0)
    assert before == rest < 0.1


def test_flare_is_over_within_hours():
    flares = draw_flares(2.0, "g", np.random.default_rng(1))
    now, red, later = flares(np.array([0.0]), "g"), flares(np.array([0.0]), "r"), flares(np.array([1.0]), "g")
    assert now == pytest.approx(2.0, rel=0.05)
    assert red < 0.5 * now and later < 0.2
