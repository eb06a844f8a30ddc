"""How the pixels of a stamp become a brightness to look at, in the terminal and in a figure alike."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import STAMP_NAMES

SIGNED = STAMP_NAMES[2]
"""The stamp whose zero means something: it is drawn around it, with one colour for more and one for less."""

_MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Stretch:
    """An inverse hyperbolic sine between two pixel values: linear in the noise, logarithmic above it.

    Attributes
    ----------
    low, high
        Pixel values that become 0 and 1.
    zero
        The pixel value around which it is linear.
    width
        Half of the linear range, in the pixels' unit.
    """

    low: float
    high: float
    zero: float
    width: float

    def __call__(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Pixels from 0 to 1; NaN stays."""
        low, high = self._ends()
        scaled = np.arcsinh((np.asarray(pixels, dtype=np.float64) - self.zero) / self.width)
        return np.asarray(np.clip((scaled - low) / (high - low), 0.0, 1.0))

    def inverse(self, shares: NDArray[np.floating]) -> NDArray[np.float64]:
        """The pixel values that become these numbers from 0 to 1."""
        low, high = self._ends()
        values = np.sinh(low + np.asarray(shares, dtype=np.float64) * (high - low))
        return np.asarray(self.zero + self.width * values)

    def _ends(self) -> tuple[float, float]:
        return math.asinh((self.low - self.zero) / self.width), math.asinh((self.high - self.zero) / self.width)


def stretch_of(pixels: NDArray[np.floating], name: str) -> Stretch | None:
    """The stretch for one stamp; None where it has no two different finite pixels.

    The lower end is that of the zscale algorithm (`astropy.visualization.ZScaleInterval`), which finds the sky; the
    upper end is the brightest pixel.  The difference is drawn symmetrically around zero.
    """
    from astropy.visualization import ZScaleInterval

    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    if finite.size == 0 or finite.min() == finite.max():
        return None
    sky = float(np.median(finite))
    noise = _MAD_TO_SIGMA * float(np.median(np.abs(finite - sky))) or float(finite.std())
    if name == SIGNED:
        reach = float(np.abs(finite).max())
        return Stretch(-reach, reach, 0.0, 2.0 * noise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit through few or equal pixels is told as a RankWarning
        low = float(ZScaleInterval().get_limits(finite)[0])
    high = float(finite.max())
    return Stretch(min(low, sky - noise), high, sky, 3.0 * noise)
