"""How long an answer takes, and on what."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BATCHES = (1, 8, 32, 128, 512)
_SECONDS = 0.5
_FEWEST_RUNS = 5


@dataclass(frozen=True, slots=True)
class BatchTime:
    """The median time for a batch.

    Attributes
    ----------
    batch
        Alerts in it, or objects.
    milliseconds
        For the batch.
    microseconds_per_alert
        The same for each of them.
    """

    batch: int
    milliseconds: float
    microseconds_per_alert: float


@dataclass(frozen=True)
class Timing:
    """What answers cost, and where that was measured."""

    times: tuple[BatchTime, ...]
    processor: str
    device: str
    threads: str
    tensorflow: str


def time_batches(ready: Callable[[NDArray[np.int64]], Callable[[], object]], available: int, device: str) -> Timing:
    """The median over half a second of runs, five at least, for each size of `BATCHES`.

    Parameters
    ----------
    ready
        Takes row numbers, and gives what runs a batch of these rows: only the running is timed.
    available
        Number of rows; larger batches have them several times.
    device
        Where it runs, as TensorFlow names it.
    """
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return Timing(
        times=tuple(_timed(ready(np.arange(batch) % available), batch) for batch in BATCHES),
        processor=_hardware(device),
        device=device,
        threads=str(threads) if threads else "all",
        tensorflow=tf.__version__,
    )


def _timed(run: Callable[[], object], batch: int) -> BatchTime:
    run()  # the first run at a new size costs up to 100 ms
    runs: list[float] = []
    while len(runs) < _FEWEST_RUNS or sum(runs) < _SECONDS:
        begun = time.perf_counter()
        run()
        runs.append(time.perf_counter() - begun)
    median = float(np.median(runs))
    return BatchTime(batch, 1e3 * median, 1e6 * median / batch)


def _hardware(device: str) -> str:
    """The name of the GPU or processor that TensorFlow calls ``/GPU:1`` or ``/CPU:0``."""
    import tensorflow as tf

    kind, _, number = device.strip("/").partition(":")
    if kind == "CPU":
        return _processor()
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices(kind)[int(number)])
    return str(details.get("device_name", device))


def _processor() -> str:
    """The name of this machine's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
