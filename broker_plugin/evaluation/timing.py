"""How long an answer takes, and on what."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from broker_plugin.evaluation.answers import Features, Predict, Stamps

BATCHES = (1, 8, 32, 128, 512)
_SECONDS = 0.5
_FEWEST_RUNS = 5


@dataclass(frozen=True, slots=True)
class BatchTime:
    """The median time for a batch of tensors, reading and preprocessing not included.

    Attributes
    ----------
    batch
        Alerts in it.
    milliseconds
        For the batch.
    microseconds_per_alert
        The same for each of its alerts.
    """

    batch: int
    milliseconds: float
    microseconds_per_alert: float


def time_batches(predict: Predict, stamps: Stamps, features: Features) -> list[BatchTime]:
    """The median over half a second of runs, five at least, for each size of `BATCHES`."""
    times = []
    for batch in BATCHES:
        rows = np.arange(batch) % len(stamps)
        inputs = (stamps[rows], features[rows])
        predict(*inputs)  # the first run at a new size costs up to 100 ms
        runs: list[float] = []
        while len(runs) < _FEWEST_RUNS or sum(runs) < _SECONDS:
            begun = time.perf_counter()
            predict(*inputs)
            runs.append(time.perf_counter() - begun)
        median = float(np.median(runs))
        times.append(BatchTime(batch, 1e3 * median, 1e6 * median / batch))
    return times


def processor() -> str:
    """The name of this machine's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
