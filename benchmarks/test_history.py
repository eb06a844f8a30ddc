"""What it costs to remember and recall a batch of alerts.  `make bench` runs it; one core.

Each round adds a stamped detection to each of 128 objects, or of one, that hold five, as many as the limit lets them,
and recalls them.  ``benchmarks/million_objects.py`` fills a store.  That of Redis needs a server whose address
``REDIS_URL`` holds, and leaves its objects in it.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from broker_plugin.history import Limits, ObjectKey, ObjectStore, RememberedDetection, open_store
from broker_plugin.history.detection import decode, encode, row_of

STAMPS = np.random.default_rng(0).random((33, 33, 3)).astype(np.float16)
VALUES = np.zeros(40, np.float32)


def detection(number: int) -> RememberedDetection:
    return RememberedDetection(number, float(number), "g", STAMPS, VALUES)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    urls = {"memory": "memory:", "sqlite": f"sqlite:{tmp_path}/objects.db", "redis": os.environ.get("REDIS_URL")}
    url = urls[request.param]
    if url is None:
        pytest.skip("needs REDIS_URL, the address of a Redis server that may be written to")
    with open_store(url, "benchmark", Limits(max_detections=5)) as store:
        yield store


@pytest.mark.parametrize("size", [1, 128])
def test_remember_and_recall(benchmark: BenchmarkFixture, store: ObjectStore, size: int) -> None:
    numbers = itertools.count()

    def remember() -> None:
        number = next(numbers)
        store.remember_and_recall([(ObjectKey("ztf", str(i)), detection(number)) for i in range(size)])

    for _ in range(5):
        remember()
    benchmark(remember)


def test_encode(benchmark: BenchmarkFixture) -> None:
    benchmark(encode, detection(1))


def test_check_and_decode(benchmark: BenchmarkFixture) -> None:
    data = encode(detection(1)).data
    benchmark(lambda: decode(row_of(data)))
