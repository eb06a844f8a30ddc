"""Variable stars: those that pulsate, rotate or are eclipsed, and those that erupt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from broker_plugin.simulation.light_curves.curve import DARKEST, WAVELENGTH_NM, Change, Days

Shape = Callable[[Days], Change]
"""Change from the mean brightness at each phase, 0 to 1, between about -1 and 1."""


def _pulsation(phase: Days) -> Change:
    """A fast rise and a slow decline."""
    return np.where(phase < 0.15, -1.0 + phase / 0.075, 1.0 - (phase - 0.15) / 0.425)


def _wave(phase: Days) -> Change:
    return np.asarray(np.sin(2.0 * math.pi * phase))


def _contact(phase: Days) -> Change:
    """W Ursae Majoris: two stars that touch, never of constant brightness."""
    return np.asarray(np.cos(4.0 * math.pi * phase) + 0.1 * np.cos(2.0 * math.pi * phase)) / 1.1


def _eclipses(phase: Days) -> Change:
    """Two dips of different depth below a brightness a little above the mean."""
    primary = np.exp(-0.5 * ((phase - 0.25) / 0.04) ** 2)
    secondary = np.exp(-0.5 * ((phase - 0.75) / 0.04) ** 2)
    return np.asarray(0.25 - 1.25 * primary - 0.6 * secondary)


class _PeriodicType(NamedTuple):
    """What stars of a type have in common.

    Attributes
    ----------
    share
        How many of the periodic stars with alerts are of it (rule of thumb).
    period_days
        Typical period, and standard deviation of its natural logarithm.
    amplitude
        Typical factor of the shape, in units of the mean flux in r, and standard deviation of its logarithm.
    largest
        The largest factor.
    blue
        Steepness of the factor towards the blue: it goes with the wavelength to minus this power.
    shape
        How it changes with phase.
    """

    share: float
    period_days: tuple[float, float]
    amplitude: tuple[float, float]
    largest: float
    blue: float
    shape: Shape


_PERIODIC_TYPES = {
    # Periods and amplitudes as in the catalogues of Chen et al. 2020, ApJS 249, 18 (ZTF), and Soszynski et al. 2009 to
    # 2015 (OGLE); an amplitude here is half the range.  Pulsation changes the temperature: RR Lyrae have 1.4 times the
    # amplitude in g (Sesar et al. 2010, ApJ 708, 717), that of long-period variables grows with the strength of TiO.
    "RR Lyrae": _PeriodicType(0.16, (0.55, 0.2), (0.3, 0.3), 0.6, 1.1, _pulsation),
    "Cepheid": _PeriodicType(0.04, (6.0, 0.8), (0.3, 0.3), 0.6, 1.1, _pulsation),
    "long-period": _PeriodicType(0.44, (220.0, 0.5), (0.5, 0.6), math.inf, 0.8, _wave),
    "contact binary": _PeriodicType(0.12, (0.36, 0.2), (0.2, 0.3), 0.4, 0.1, _contact),
    "eclipsing binary": _PeriodicType(0.14, (1.5, 0.9), (0.4, 0.5), 0.9, 0.1, _eclipses),
    "delta Scuti": _PeriodicType(0.03, (0.1, 0.4), (0.1, 0.4), 0.3, 1.1, _pulsation),
    "rotating": _PeriodicType(0.07, (6.0, 1.0), (0.06, 0.5), 0.25, 0.5, _wave),
}


@dataclass(frozen=True, slots=True)
class Periodic:
    """A star that pulsates, rotates or is eclipsed.

    Attributes
    ----------
    kind
        Which type it is of.
    period_days, phase
        Period, and phase of the first alert, 0 to 1.
    amplitude
        Factor of the shape, in units of the star's flux in the template, in the band of the first alert.
    band
        That band.
    """

    kind: str
    period_days: float
    phase: float
    amplitude: float
    band: str

    def __call__(self, days: Days, band: str) -> Change:
        common = _PERIODIC_TYPES[self.kind]
        phase = (days / self.period_days + self.phase) % 1.0
        bluer = (WAVELENGTH_NM[self.band] / WAVELENGTH_NM[band]) ** common.blue
        return np.asarray(np.maximum(bluer * self.amplitude * common.shape(phase), DARKEST))


def draw_periodic(first: float, band: str, rng: np.random.Generator) -> Periodic:
    """Draw a periodic star, of a type that can change so much.

    Parameters
    ----------
    first
        Change at the first alert, in units of the star's flux in the template.
    band
        The band of that.
    rng
        Where all randomness comes from.
    """
    phases = rng.random(64)
    reached = {kind: first / _reach(common, first, phases) for kind, common in _PERIODIC_TYPES.items()}
    shares = np.array([common.share * (reached[kind] <= common.largest) for kind, common in _PERIODIC_TYPES.items()])
    kind = str(rng.choice(tuple(_PERIODIC_TYPES), p=shares / shares.sum()))
    common = _PERIODIC_TYPES[kind]
    period, period_scatter = common.period_days
    amplitude, amplitude_scatter = common.amplitude
    wanted = min(amplitude * rng.lognormal(0.0, amplitude_scatter), common.largest)
    # Of all phases, one at which an amplitude near the wanted one makes the change.
    values = common.shape(phases)
    needed = np.divide(first, values, out=np.full_like(values, math.inf), where=values * first > 0.0)
    best = int(np.abs(np.log(needed / wanted)).argmin())
    return Periodic(kind, period * rng.lognormal(0.0, period_scatter), float(phases[best]), float(needed[best]), band)


def _reach(common: _PeriodicType, first: float, phases: Days) -> float:
    """The farthest value of the shape on the side of ``first``."""
    values = common.shape(phases)
    return float(values.max() if first > 0.0 else values.min())


@dataclass(frozen=True, slots=True)
class Outbursts:
    """A dwarf nova: up within a day, bright for days, down within days, and again after weeks.

    Times and their relations: Otulakowska-Hypka et al. 2016, MNRAS 460, 2526; steps of the decline: Warner 1995,
    Cataclysmic Variable Stars, chapter 3.

    Attributes
    ----------
    first
        Change at the first alert, in units of the star's flux in the template.
    age_days
        Days from the onset to the first alert.
    bright_days
        How long it is bright, fading slowly.
    fall_days
        Time in which it fades by a factor of e afterwards.
    recurrence_days
        From one onset to the next.
    """

    first: float
    age_days: float
    bright_days: float
    fall_days: float
    recurrence_days: float

    @property
    def kind(self) -> str:
        return "dwarf nova"

    def __call__(self, days: Days, band: str) -> Change:
        since = (days + self.age_days) % self.recurrence_days
        return np.asarray(self.first * self._shape(since) / self._shape(np.array([self.age_days])))

    def _shape(self, since: Days) -> Change:
        rise = np.clip(since / _OUTBURST_RISE_DAYS, 0.02, 1.0)
        fall = np.clip(since - self.bright_days, 0.0, None) / self.fall_days
        return np.asarray(rise * np.exp(-since / _SLOW_FALL_DAYS - fall))


_OUTBURST_RISE_DAYS = 1.0
_SLOW_FALL_DAYS = 10.0
"""About 0.1 mag a day while it is bright."""


def draw_outbursts(first: float, rng: np.random.Generator) -> Outbursts:
    """Draw outbursts, one of which has made a star brighter by ``first`` (in its own flux) at the first alert."""
    bright_days = rng.lognormal(math.log(6.0), 0.5)
    fall_days = rng.uniform(1.5, 4.0)
    age_days = rng.uniform(0.3, bright_days + 2.0 * fall_days)
    # It comes back to rest between two of them.
    recurrence_days = max(rng.lognormal(math.log(60.0), 0.8), bright_days + 6.0 * fall_days)
    return Outbursts(first, age_days, bright_days, fall_days, recurrence_days)


@dataclass(frozen=True, slots=True)
class Flares:
    """A flaring red dwarf: up within minutes, down within hours, and again whenever chance wants.

    Attributes
    ----------
    first
        Change at the first alert, in units of the star's flux in the template.
    band
        The band of that; a flare is hot, and far brighter in the blue against a red dwarf.
    fall_days
        Time in which a flare fades by a factor of e.
    onsets_days
        When flares begin, days after the first alert, ascending; the one that is met begins at or before zero.
    heights
        Of each, in units of the one that is met as it is then.
    """

    first: float
    band: str
    fall_days: float
    onsets_days: tuple[float, ...]
    heights: tuple[float, ...]

    @property
    def kind(self) -> str:
        return "flaring"

    def __call__(self, days: Days, band: str) -> Change:
        since = days[:, np.newaxis] - np.array(self.onsets_days)
        flares = np.where(since >= 0.0, np.exp(-np.clip(since, 0.0, None) / self.fall_days), 0.0)
        bluer = (WAVELENGTH_NM[self.band] / WAVELENGTH_NM[band]) ** _FLARE_BLUE
        return np.asarray(self.first * bluer * (flares @ np.array(self.heights)))


_FLARE_BLUE = 5.3
"""A spot of 10,000 K (Davenport et al. 2014, ApJ 797, 122) on a star of 3,200 K: five times as strong in g as in r."""

_FLARES_PER_DAY = 0.3
_FLARES_KNOWN_DAYS = 60.0


def draw_flares(first: float, band: str, rng: np.random.Generator) -> Flares:
    """Draw flares, one of which has made a star brighter by ``first`` (in its own flux) at the first alert."""
    fall_days = rng.lognormal(math.log(0.04), 0.6)
    count = rng.poisson(2.0 * _FLARES_PER_DAY * _FLARES_KNOWN_DAYS)
    others = rng.uniform(-_FLARES_KNOWN_DAYS, _FLARES_KNOWN_DAYS, count)
    age_days = fall_days * rng.exponential(0.7)
    onsets = np.sort(np.append(others[np.abs(others) > age_days], -age_days))
    heights = rng.pareto(1.0, onsets.size).clip(0.0, 3.0)
    heights[onsets == -age_days] = math.exp(age_days / fall_days)
    return Flares(first, band, fall_days, tuple(onsets.tolist()), tuple(heights.tolist()))


_FLARING_SHARE = 0.1


def draw_eruptive(first: float, band: str, rng: np.random.Generator) -> Outbursts | Flares:
    """Draw a star that erupts: most are dwarf novae."""
    return draw_flares(first, band, rng) if rng.random() < _FLARING_SHARE else draw_outbursts(first, rng)
