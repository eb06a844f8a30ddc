"""Active nuclei: a damped random walk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.simulation.light_curves.curve import DARKEST, WAVELENGTH_NM, Change, Days

# MacLeod et al. 2010, ApJ 721, 1014, eq. 7 and table 1, at 400 nm in the frame of a quasar of M_i = -23 and 10^9 solar
# masses.
_LOG_STRUCTURE_MAG = -0.51
_LOG_TAU_DAYS = 2.4
_STRUCTURE_SLOPE = -0.479
"""The asymptotic structure function falls with wavelength to this power."""

_STRUCTURE_SCATTER_DEX = 0.2
_TAU_SCATTER_DEX = 0.35
"""How much quasars differ: luminosity, mass, redshift, and what the relations leave over."""

_RAREST_EXCURSION = 2.0
"""A change of more standard deviations than this means that the nucleus varies more than others, as blazars do."""

_FLUX_PER_MAG = 0.4 * math.log(10.0)
_FREQUENCIES_PER_DAY = np.geomspace(1e-4, 1.0, 32)


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """An active nucleus: a sum of waves whose power falls with frequency as that of a damped random walk.

    Kelly et al. 2009, ApJ 698, 895: power is flat below 1 / (2 pi tau) and falls with the square of the frequency
    above.  What is known of the first alert fades into the walk with tau; how far the template is from the mean stays.
    All bands move together, bluer ones more.

    Attributes
    ----------
    first
        Change at the first alert, in units of the nucleus's flux in the template.
    band
        The band of that.
    tau_days
        The damping time.
    amplitudes, phases_rad
        Of the waves.
    """

    first: float
    band: str
    tau_days: float
    amplitudes: NDArray[np.float64]
    phases_rad: NDArray[np.float64]

    @property
    def kind(self) -> str:
        return "nucleus"

    def __call__(self, days: Days, band: str) -> Change:
        # Template and alert have an equal share in the change between them; the template's stays.
        half = 0.5 * self.first
        offset = half - self._walk(np.zeros(1))
        change = half + self._walk(days) + offset * np.exp(-np.abs(days) / self.tau_days)
        bluer = (WAVELENGTH_NM[band] / WAVELENGTH_NM[self.band]) ** _STRUCTURE_SLOPE
        return np.asarray(np.maximum(bluer * change, DARKEST))

    def _walk(self, days: Days) -> Change:
        angles = 2.0 * math.pi * np.outer(days, _FREQUENCIES_PER_DAY) + self.phases_rad
        walk: Change = np.cos(angles) @ self.amplitudes
        return walk


def draw_random_walk(first: float, band: str, rng: np.random.Generator) -> RandomWalk:
    """Draw the variability of an active nucleus.

    Parameters
    ----------
    first
        Change at the first alert, in units of the nucleus's flux in the template.
    band
        The band of that.
    rng
        Where all randomness comes from.
    """
    tau_days = 10.0 ** rng.normal(_LOG_TAU_DAYS, _TAU_SCATTER_DEX)
    reddened = (WAVELENGTH_NM[band] / 400.0) ** _STRUCTURE_SLOPE
    structure_mag = reddened * 10.0 ** rng.normal(_LOG_STRUCTURE_MAG, _STRUCTURE_SCATTER_DEX)
    # The structure function is of the difference of two epochs, as that of template and alert is.
    scatter = max(_FLUX_PER_MAG * structure_mag, abs(first) / _RAREST_EXCURSION) / math.sqrt(2.0)
    # Waves evenly spaced in log frequency f stand for a power of f times the spectral density each.
    frequencies = _FREQUENCIES_PER_DAY
    power = frequencies / (1.0 + (2.0 * math.pi * frequencies * tau_days) ** 2)
    amplitudes = scatter * np.sqrt(2.0 * power / power.sum())
    return RandomWalk(first, band, tau_days, amplitudes, rng.uniform(0.0, 2.0 * math.pi, frequencies.size))
