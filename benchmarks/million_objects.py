"""Fills a store with a million objects and says what each alert cost, and what the store has become.

    taskset -c 0 python benchmarks/million_objects.py sqlite:/scratch/objects.db
    taskset -c 0 python benchmarks/million_objects.py memory: --stamped 0.1

Objects have 1 to 3 detections each, which arrive shuffled, in batches, through `remember_and_recall`.  Stamps are
33 x 33 x 3 of noise; there are 40 values.  ``docs/history.md`` has the figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from broker_plugin.history import Limits, ObjectKey, RememberedDetection, open_store

POOL = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--stamped", type=float, default=1.0, help="share of detections that have stamps")
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()

    rng = np.random.default_rng(1)
    objects = np.repeat(np.arange(options.objects), rng.integers(1, 4, options.objects))
    rng.shuffle(objects)
    alerts = detections(objects, options.stamped, rng)
    before = resident_bytes()
    per_alert_us = []
    with open_store(options.url, "benchmark", Limits(max_bytes=10**12)) as store:
        started = time.perf_counter()
        while batch := list(islice(alerts, options.batch)):
            start = time.perf_counter()
            store.remember_and_recall(batch)
            per_alert_us.append((time.perf_counter() - start) / len(batch) * 1e6)
        print(f"{time.perf_counter() - started:.0f} s, {store.stats()}")
        print(f"resident memory: {resident_bytes() / 1e6:.0f} MB, of which {before / 1e6:.0f} MB were there before")
    print("remember_and_recall, us an alert:")
    for name, part in (("all", per_alert_us), ("the last tenth", per_alert_us[-len(per_alert_us) // 10 :])):
        low, median, high = np.percentile(part, [5, 50, 95])
        print(f"  {name}: median {median:.0f}, 5% {low:.0f}, 95% {high:.0f}, mean {np.mean(part):.0f}")
    path = Path(options.url.removeprefix("sqlite:"))
    if path.is_file():
        print(f"file: {path.stat().st_size / 1e6:.0f} MB")


def detections(
    objects: np.ndarray, stamped: float, rng: np.random.Generator
) -> Iterator[tuple[ObjectKey, RememberedDetection]]:
    """One detection for each of the objects, in their order."""
    noise = rng.random((POOL, 33, 33, 3)).astype(np.float16)
    values = rng.normal(size=(POOL, 40)).astype(np.float32)
    has_stamps = rng.random(len(objects)) < stamped
    for number, of in enumerate(objects):
        yield (
            ObjectKey("ztf", f"ZTF{of:012d}"),
            RememberedDetection(
                10**18 + number,
                58000.0 + number / 1000,
                "gr"[number % 2],
                noise[number % POOL] if has_stamps[number] else None,
                values[number * 7 % POOL],
            ),
        )


def resident_bytes() -> int:
    """Of this process, as Linux counts it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
