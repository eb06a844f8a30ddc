"""Supernovae of five types, as often as a magnitude-limited survey finds each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from broker_plugin.simulation.light_curves.curve import Change, Days

_COBALT_DAYS = 111.3
"""Mean life of cobalt 56, which heats the late tail."""

_ROUNDING_DAYS = 5.0
"""How long it stays near its maximum before the decline is exponential."""

_END_OF_PLATEAU_DAYS = 5.0
"""How fast the plateau of a type II-P ends."""

_LATER_DAYS = 25.0
"""How long after the maximum it is met, on average, where it is not met on the rise."""


class SupernovaType(NamedTuple):
    """What the light curves of a type have in common; days are the observer's.

    Attributes
    ----------
    share
        How many of the supernovae in a magnitude-limited survey are of it.
    rise_days
        From the explosion to the maximum in r: mean and relative scatter.
    fall_days
        Time in which it fades by a factor of e in r: mean and relative scatter.
    plateau_days
        Shortest and longest time from the maximum to the end of the plateau; infinite without one.
    blue_pace
        How much faster it fades in g than in r.
    g_r
        Colour at the maximum, magnitudes.
    tail
        Share of the maximum that the tail begins with.
    """

    share: float
    rise_days: tuple[float, float]
    fall_days: tuple[float, float]
    plateau_days: tuple[float, float]
    blue_pace: float
    g_r: float
    tail: float


_NO_PLATEAU = (math.inf, math.inf)

SUPERNOVA_TYPES = {
    # Rise in 18.9 days: Miller et al. 2020, ApJ 902, 47; decline and colour of a typical one: Hsiao et al. 2007,
    # ApJ 663, 1187.
    "Ia": SupernovaType(0.72, (18.5, 0.1), (18.0, 0.12), _NO_PLATEAU, 1.5, -0.05, 0.08),
    # Taddia et al. 2015, A&A 574, A60: rise in r in about three weeks, g declines faster.
    "Ibc": SupernovaType(0.07, (18.0, 0.2), (19.0, 0.2), _NO_PLATEAU, 1.6, 0.2, 0.06),
    # Rise: Gonzalez-Gaitan et al. 2015, MNRAS 451, 2212; slope and end of the plateau: Anderson et al. 2014, ApJ 786,
    # 67; its reddening: Faran et al. 2014, MNRAS 442, 844.
    "II": SupernovaType(0.15, (10.0, 0.25), (150.0, 0.35), (60.0, 100.0), 2.8, 0.0, 0.12),
    # Nyholm et al. 2020, A&A 637, A73: slow rises of 20 to 50 days, and slower declines.
    "IIn": SupernovaType(0.04, (30.0, 0.4), (60.0, 0.4), _NO_PLATEAU, 1.25, 0.1, 0.1),
    # De Cia et al. 2018, ApJ 860, 100: hydrogen-poor, blue.
    "SLSN": SupernovaType(0.02, (40.0, 0.35), (45.0, 0.35), _NO_PLATEAU, 1.5, -0.1, 0.05),
}
"""Shares after Fremling et al. 2020, ApJ 895, 32, and Perley et al. 2020, ApJ 904, 35, rounded."""

_BANDS = {"u": (-2.0, 0.4), "g": (-1.0, 0.0), "r": (0.0, 0.0), "i": (0.6, 0.2), "z": (1.0, 0.3), "y": (1.2, 0.4)}
"""How far each band is from r, in steps as from g to r, by which colours and paces are carried on; and how much fainter
it is at the maximum than that says, magnitudes: a hot photosphere has little light at both ends."""


@dataclass(frozen=True, slots=True)
class Explosion:
    """A supernova: zero before it began.

    It rises with the square of time at first (Nugent et al. 2011, Nature 480, 344) and turns over at the maximum; it
    falls exponentially, on a plateau until its end where it has one, to a tail with the life of cobalt 56.

    Attributes
    ----------
    kind
        One of `SUPERNOVA_TYPES`.
    age_days
        Days from the explosion to the first alert.
    rise_days, fall_days, plateau_days
        Of this one, as in `SupernovaType`.
    band
        The band of the first alert, whose flux then is the unit.
    """

    kind: str
    age_days: float
    rise_days: float
    fall_days: float
    plateau_days: float
    band: str

    def __call__(self, days: Days, band: str) -> Change:
        return self._flux(days, band) / self._flux(np.zeros(1), self.band)

    def _flux(self, days: Days, band: str) -> Change:
        """Flux in units of that of the maximum in r."""
        common, (steps, fainter_mag) = SUPERNOVA_TYPES[self.kind], _BANDS[band]
        pace = common.blue_pace**-steps
        since = days + self.age_days
        rise = np.clip(since / self.rise_days, 0.0, 1.0)
        after = np.clip(since - self.rise_days, 0.0, None)
        fading = np.exp(-(np.hypot(after, _ROUNDING_DAYS) - _ROUNDING_DAYS) * pace / self.fall_days)
        if math.isfinite(self.plateau_days):
            fading /= 1.0 + np.exp(np.clip((after - self.plateau_days) / _END_OF_PLATEAU_DAYS, -50.0, 50.0))
        tail = common.tail / pace
        peak = 10.0 ** (0.4 * (steps * common.g_r - fainter_mag))
        # A smooth step: it grows with the square of time at first, and is flat at the maximum.
        return np.asarray(
            peak * rise**2 * (3.0 - 2.0 * rise) * ((1.0 - tail) * fading + tail * np.exp(-after / _COBALT_DAYS))
        )


def draw_explosion(band: str, rng: np.random.Generator) -> Explosion:
    """Draw a supernova: every second one is met as it rises, the others up to three months later.

    Parameters
    ----------
    band
        In which it is met.
    rng
        Where all randomness comes from.
    """
    kind = str(rng.choice(tuple(SUPERNOVA_TYPES), p=[each.share for each in SUPERNOVA_TYPES.values()]))
    common = SUPERNOVA_TYPES[kind]
    rise_days, fall_days = (
        mean * rng.lognormal(0.0, scatter) for mean, scatter in (common.rise_days, common.fall_days)
    )
    shortest, longest = common.plateau_days
    plateau_days = shortest + (longest - shortest) * rng.random() if math.isfinite(shortest) else math.inf
    is_rising = rng.random() < 0.5
    age_days = rise_days * rng.uniform(0.3, 1.1) if is_rising else rise_days + rng.exponential(_LATER_DAYS)
    return Explosion(kind, age_days, rise_days, fall_days, plateau_days, band)
