"""When a survey looks at a place, and in which band."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Visit(NamedTuple):
    """When an exposure is taken, MJD in the survey's own time scale, and its band."""

    mjd: float
    band: str


@dataclass(frozen=True, slots=True)
class Cadence:
    """A survey's habits.

    Attributes
    ----------
    night
        When observing begins and ends, as a part of the day from midnight.
    gap_shares
        How often the next planned night is one, two, three... nights away.
    lost_share
        How many of the planned nights are lost to weather, on average: from none to twice as many, with the season.
    season_days
        How long a place can be observed in a year.
    single_bands, pair_bands
        How often a night has an exposure in a band alone, or in two bands, in either order.
    pair_gap_days
        Shortest and longest time between the two.
    dense_share
        How many places lie in fields of which a night has several times as many visits.
    most_times
        At most so many times as many.
    """

    night: tuple[float, float]
    gap_shares: tuple[float, ...]
    lost_share: float
    season_days: float
    single_bands: Mapping[str, float]
    pair_bands: Mapping[tuple[str, str], float]
    pair_gap_days: tuple[float, float]
    dense_share: float
    most_times: int

    def in_night(self, night: int, rng: np.random.Generator) -> list[Visit]:
        """Draw the visits of one night, earliest first.

        Parameters
        ----------
        night
            The day that it belongs to, whole MJD.
        """
        start, end = self.night
        choices = (*((band,) for band in self.single_bands), *self.pair_bands)
        shares = (*self.single_bands.values(), *self.pair_bands.values())
        bands = choices[_choose(shares, rng)]
        first = night + rng.uniform(start, end)
        if len(bands) == 1:
            return [Visit(first, bands[0])]
        gap = rng.uniform(*self.pair_gap_days)
        second = first + gap if first + gap < night + end else first - gap
        one, other = bands if rng.random() < 0.5 else bands[::-1]
        return sorted([Visit(first, one), Visit(second, other)])

    def after(self, mjd: float, rng: np.random.Generator) -> Iterator[Visit]:
        """Draw the visits after a time, earliest first, without end."""
        times = self._times(rng)
        for night in self._nights(math.floor(mjd), 1, rng):
            visits = (visit for _ in range(times) for visit in self.in_night(night, rng))
            yield from sorted(visit for visit in visits if visit.mjd > mjd)

    def before(self, mjd: float, days: float, rng: np.random.Generator) -> list[Visit]:
        """Draw the visits of the days before a time, earliest first; the season may have begun since."""
        earliest = mjd - min(days, rng.uniform(0.0, self.season_days))
        visits: list[Visit] = []
        times = self._times(rng)
        for night in self._nights(math.floor(mjd), -1, rng):
            if night < math.floor(earliest):
                break
            visits += (visit for _ in range(times) for visit in self.in_night(night, rng))
        return sorted(visit for visit in visits if earliest <= visit.mjd < mjd)

    def _times(self, rng: np.random.Generator) -> int:
        """How many times the usual number of visits a night of this place has."""
        return int(rng.integers(2, self.most_times + 1)) if rng.random() < self.dense_share else 1

    def _nights(self, night: int, step: int, rng: np.random.Generator) -> Iterator[int]:
        """This night, and planned nights away from it that have weather to observe."""
        lost = rng.uniform(0.0, 2.0 * self.lost_share)
        yield night
        while True:
            night += step * (1 + _choose(self.gap_shares, rng))
            if rng.random() >= lost:
                yield night


def _choose(shares: tuple[float, ...], rng: np.random.Generator) -> int:
    """One of so many, as often as its share says; they add up to one."""
    return min(int(np.searchsorted(np.cumsum(shares), rng.random(), side="right")), len(shares) - 1)
