"""How the brightness of each class changes: smooth functions of time, drawn once for each object.

A light curve gives the change against the template at a number of days after the object's first alert, in units of a
flux of reference that its target names.  The shapes are the simplest that look right: they decide which detections of
an object lie above the survey's limit, and what the later ones of a sequence look like.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.float64]
Change = NDArray[np.float64]
LightCurve = Callable[[Days, str], Change]
"""Change of the flux in a band, days after the first alert; arrays of shape (n,)."""


@dataclass(frozen=True, slots=True)
class Explosion:
    """A supernova: the function of Bazin et al. 2009, A&A 499, 653, eq. 1; zero before it began.

    Attributes
    ----------
    age_days
        Days from the explosion to the first alert.
    rise_days
        Time scale of the rise.
    fall_days
        Time scale of the decline in r; bluer bands decline faster.
    band
        The band of the first alert, whose flux then is the unit.
    """

    age_days: float
    rise_days: float
    fall_days: float
    band: str

    def __call__(self, days: Days, band: str) -> Change:
        return self._flux(days, band) / self._flux(np.zeros(1), self.band)

    def _flux(self, days: Days, band: str) -> Change:
        # Relative brightness at maximum and pace of the decline, round numbers after type Ia and II templates.
        peak, pace = _SUPERNOVA_BANDS[band]
        since = days + self.age_days
        from_middle = np.clip(since - 3.0 * self.rise_days, -50.0 * self.rise_days, 1000.0)
        flux = np.exp(-from_middle / (self.fall_days * pace)) / (1.0 + np.exp(-from_middle / self.rise_days))
        return np.where(since > 0.0, peak * flux, 0.0)


_SUPERNOVA_BANDS = {
    "u": (0.5, 0.5),
    "g": (1.0, 0.7),
    "r": (1.0, 1.0),
    "i": (0.8, 1.2),
    "z": (0.7, 1.3),
    "y": (0.6, 1.4),
}


def draw_explosion(band: str, rng: np.random.Generator) -> Explosion:
    """Draw a supernova: every second one is met as it rises, the others up to three months later."""
    rise_days = rng.uniform(2.0, 5.0)
    long_plateau = rng.random() < 0.25
    fall_days = rng.uniform(60.0, 100.0) if long_plateau else rng.uniform(18.0, 35.0)
    middle_days = 3.0 * rise_days
    age_days = middle_days * rng.uniform(0.6, 1.3) if rng.random() < 0.5 else middle_days + rng.exponential(25.0)
    return Explosion(age_days, rise_days, fall_days, band)


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """An active nucleus: a sum of waves whose power falls with frequency as that of a damped random walk.

    Kelly et al. 2009, ApJ 698, 895: power is flat below 1 / (2 pi tau) and falls with the square of the frequency
    above.  What is known of the first alert fades into the walk with tau.

    Attributes
    ----------
    first
        Change at the first alert, in units of the nucleus's flux in the template.
    tau_days
        The damping time.
    frequencies_per_day, amplitudes, phases_rad
        Of the waves.
    """

    first: float
    tau_days: float
    frequencies_per_day: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    phases_rad: NDArray[np.float64]

    def __call__(self, days: Days, band: str) -> Change:
        offset = self.first - self._walk(np.zeros(1))
        return np.maximum(self._walk(days) + offset * np.exp(-np.abs(days) / self.tau_days), -0.98)

    def _walk(self, days: Days) -> Change:
        angles = 2.0 * math.pi * np.outer(days, self.frequencies_per_day) + self.phases_rad
        walk: Change = np.cos(angles) @ self.amplitudes
        return walk


def draw_random_walk(first: float, rng: np.random.Generator) -> RandomWalk:
    """Draw the variability of an active nucleus that has changed by ``first`` (in its own flux) at the first alert."""
    tau_days = rng.lognormal(math.log(100.0), 0.8)
    frequencies = np.geomspace(1e-3, 1.0, 24)
    # Waves evenly spaced in log frequency f stand for a power of f times the spectral density each.
    power = frequencies / (1.0 + (2.0 * math.pi * frequencies * tau_days) ** 2)
    amplitudes = abs(first) * np.sqrt(2.0 * power / power.sum())
    return RandomWalk(first, tau_days, frequencies, amplitudes, rng.uniform(0.0, 2.0 * math.pi, 24))


@dataclass(frozen=True, slots=True)
class Periodic:
    """A star that pulsates or is eclipsed.

    Attributes
    ----------
    period_days, phase
        Period, and phase of the first alert, 0 to 1.
    amplitude
        Factor of the shape, in units of the star's flux in the template.
    shape
        Change from the mean brightness at each phase, between about -1 and 1.
    """

    period_days: float
    phase: float
    amplitude: float
    shape: Callable[[Days], Change]

    def __call__(self, days: Days, band: str) -> Change:
        phase = (days / self.period_days + self.phase) % 1.0
        return np.maximum(self.amplitude * self.shape(phase), -0.98)


def _pulsation(phase: Days) -> Change:
    """RR Lyrae and Cepheids: a fast rise and a slow decline."""
    return np.where(phase < 0.15, -1.0 + phase / 0.075, 1.0 - (phase - 0.15) / 0.425)


def _wave(phase: Days) -> Change:
    """Long-period variables."""
    return np.asarray(np.sin(2.0 * math.pi * phase))


def _eclipses(phase: Days) -> Change:
    """Eclipsing binaries: two dips of different depth below a brightness a little above the mean."""
    primary = np.exp(-0.5 * ((phase - 0.25) / 0.04) ** 2)
    secondary = np.exp(-0.5 * ((phase - 0.75) / 0.04) ** 2)
    return np.asarray(0.25 - 1.25 * primary - 0.6 * secondary)


_PERIODIC = (
    # (shape, typical period in days): RR Lyrae, long-period variables, eclipsing binaries.
    (_pulsation, 0.55),
    (_wave, 250.0),
    (_eclipses, 1.5),
)


def draw_periodic(first: float, rng: np.random.Generator) -> Periodic:
    """Draw a periodic star that has changed by ``first`` (in its own flux) at the first alert."""
    shape, typical_period_days = _PERIODIC[rng.integers(len(_PERIODIC))]
    period_days = typical_period_days * rng.lognormal(0.0, 0.3)
    # A phase at which the shape has the sign of the change, and enough of it to keep the amplitude within reason.
    phases = rng.random(64)
    values = shape(phases)
    fit = np.flatnonzero(np.sign(values) * np.sign(first) * np.abs(values) > 0.2)
    index = int(fit[0]) if fit.size else int(np.argmax(values * np.sign(first)))
    return Periodic(period_days, float(phases[index]), first / float(values[index]), shape)


@dataclass(frozen=True, slots=True)
class Outburst:
    """A cataclysmic variable: up within a day, down within weeks.

    Attributes
    ----------
    first
        Change at the first alert, in units of the star's flux in the template.
    age_days
        Days from the onset to the first alert.
    fall_days
        Time scale of the decline.
    """

    first: float
    age_days: float
    fall_days: float

    def __call__(self, days: Days, band: str) -> Change:
        since = days + self.age_days
        return np.where(since > 0.0, self.first * np.exp(-np.clip(days, -self.age_days, None) / self.fall_days), 0.0)


def draw_outburst(first: float, rng: np.random.Generator) -> Outburst:
    """Draw an outburst that has made the star brighter by ``first`` (in its own flux) at the first alert."""
    return Outburst(first, rng.exponential(6.0), rng.uniform(4.0, 15.0))


@dataclass(frozen=True, slots=True)
class Steady:
    """What changed once and stays as it is, but for a scatter from exposure to exposure: an artefact."""

    def __call__(self, days: Days, band: str) -> Change:
        return np.ones_like(days)
