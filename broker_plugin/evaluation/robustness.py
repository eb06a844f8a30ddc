"""Whether an answer holds when the stamps are turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rotate

from broker_plugin.evaluation.answers import Features, Predict, Stamps

ANGLES = 12
"""Random angles that each alert is turned by."""


@dataclass(frozen=True, slots=True)
class Turned:
    """What became of the answers.

    Attributes
    ----------
    trials
        Alerts times ways of turning.
    changed
        Share of the trials in which the class with the highest probability is another than before.
    largest_change
        Of any probability.
    """

    how: str
    trials: int
    changed: float
    largest_change: float


def turn(predict: Predict, stamps: Stamps, features: Features, seed: int = 1) -> list[Turned]:
    """Turn the stamps by quarters, mirror them, and turn them by angles uniform in the circle.

    The latter are interpolated (linear and cubic splines) around the middle of the stamp.  What comes in at the corners
    is zero, which is what the steps of a manifest make of pixels that a stamp does not have.
    """
    before = predict(stamps, features)
    rng = np.random.default_rng(seed)
    angles_deg = rng.uniform(0.0, 360.0, (ANGLES, len(stamps)))

    def interpolated(order: int) -> list[Stamps]:
        return [
            np.stack(
                [
                    rotate(one, angle, reshape=False, order=order, mode="constant", cval=0.0)
                    for one, angle in zip(stamps, turns, strict=True)
                ]
            )
            for turns in angles_deg
        ]

    ways = {
        "quarter turns": [np.rot90(stamps, quarters, axes=(1, 2)).copy() for quarters in (1, 2, 3)],
        "mirrors": [stamps[:, ::-1].copy(), stamps[:, :, ::-1].copy()],
        "any angle, linear interpolation": interpolated(1),
        "any angle, cubic interpolation": interpolated(3),
    }
    return [_turned(how, before, [predict(each, features) for each in turned]) for how, turned in ways.items()]


def _turned(how: str, before: NDArray[np.float64], after: list[NDArray[np.float64]]) -> Turned:
    changed = np.concatenate([each.argmax(axis=1) != before.argmax(axis=1) for each in after])
    largest = max(float(np.abs(each - before).max()) for each in after)
    return Turned(how, len(changed), float(changed.mean()), largest)
