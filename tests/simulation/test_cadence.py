"""When a survey looks: at night, in its bands, more often than not twice, and with gaps."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest

from broker_plugin.simulation import rubin, ztf

SURVEYS = pytest.mark.parametrize("survey", [ztf, rubin])


@SURVEYS
def test_visits_after_a_time_ascend_and_are_at_night(survey):
    visits = list(islice(survey.CADENCE.after(59000.3, np.random.default_rng(1)), 200))
    assert all(59000.3 < one.mjd < other.mjd for one, other in pairwise([*visits]))
    start, end = survey.CADENCE.night
    assert all(start <= visit.mjd % 1.0 <= end for visit in visits)


@SURVEYS
def test_visits_before_a_time_end_at_it(survey):
    for seed in range(30):
        visits = survey.CADENCE.before(59000.3, 30.0, np.random.default_rng(seed))
        mjds = [visit.mjd for visit in visits]
        assert mjds == sorted(mjds)
        assert all(58970.3 <= mjd < 59000.3 for mjd in mjds)


def test_ztf_looks_every_two_to_four_nights_mostly_in_both_bands():
    visits = list(islice(ztf.CADENCE.after(59000.0, np.random.default_rng(2)), 600))
    nights: dict[int, set[str]] = {}
    for visit in visits:
        nights.setdefault(int(visit.mjd), set()).add(visit.band)
    assert 2.0 < np.diff(list(nights)).mean() < 4.0
    assert 0.5 < np.mean([bands == {"g", "r"} for bands in nights.values()]) < 0.8


def test_a_season_may_have_begun_since():
    counts = [len(ztf.CADENCE.before(59000.3, 30.0, np.random.default_rng(seed))) for seed in range(200)]
    assert 12 < np.median(counts) < 24
    assert min(counts) < 6
