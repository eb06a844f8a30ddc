"""What all light curves have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.float64]
Change = NDArray[np.float64]

DARKEST = -0.98
"""Change that leaves next to nothing of a source, in units of its flux in the template."""

WAVELENGTH_NM = {"u": 365.0, "g": 475.0, "r": 640.0, "i": 770.0, "z": 870.0, "y": 970.0}
"""Middle of each band, between those of ZTF and Rubin."""


class LightCurve(Protocol):
    """How an object changes."""

    @property
    def kind(self) -> str:
        """Which sort of its class has such a light curve."""

    def __call__(self, days: Days, band: str) -> Change:
        """Change of the flux in a band, days after the first alert; arrays of shape (n,)."""


@dataclass(frozen=True, slots=True)
class Steady:
    """What changed once and stays as it is, but for a scatter from exposure to exposure: an artefact."""

    kind: str = "steady"

    def __call__(self, days: Days, band: str) -> Change:
        return np.ones_like(days)
