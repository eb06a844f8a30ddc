"""Intervals that say how far a share may be off, where alerts of one object count together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z_95 = 1.959964  # the standard normal's 97.5% quantile
_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value and its 95% interval."""

    value: float
    low: float
    high: float


def share(right: NDArray[np.bool_], objects: Sequence[str]) -> Interval:
    """The share that is true, with Wilson's 95% interval (Wilson 1927, JASA 22, 209).

    Alerts of one object resemble each other, so the interval is that of as many trials as there are objects.  Unlike
    a bootstrap it stays honest where all are right.

    Parameters
    ----------
    right
        (n,), at least one.
    objects
        Of each of them, the object.
    """
    value, trials = float(right.mean()), len(set(objects))
    spread = _Z_95**2 / trials
    middle = (value + spread / 2.0) / (1.0 + spread)
    half = _Z_95 * math.sqrt(value * (1.0 - value) / trials + spread / (4.0 * trials)) / (1.0 + spread)
    return Interval(value, max(middle - half, 0.0), min(middle + half, 1.0))


def bootstrap(statistic: Callable[[NDArray[np.int64]], float], objects: Sequence[str], seed: int = 1) -> Interval:
    """A statistic of all rows, with the 95% interval of the percentile bootstrap over objects.

    Parameters
    ----------
    statistic
        Takes row numbers, some of them repeatedly; NaN where it has no value for these.
    objects
        Of each row, the object: its rows are drawn together.
    """
    _, member = np.unique(np.asarray(objects), return_inverse=True)
    order = np.argsort(member, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(member[order])) + 1)
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))]))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Interval(statistic(np.arange(len(member))), float(low), float(high))
