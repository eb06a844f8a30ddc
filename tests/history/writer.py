"""A process that writes into a store, and says what it has written.  Run as a program; imports no TensorFlow.

``writer.py killed URL``
    For each line of its input, the number of a first batch, forks a child, which prints its process id and writes
    batches, printing the number of each one that is committed, until it is killed; then prints ``dead``.
``writer.py races URL FIRST COUNT``
    Waits for a line; then adds COUNT detections, each a batch of its own, to one object.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys

import numpy as np

from broker_plugin.history import Limits, ObjectKey, RememberedDetection, open_store

FORM = "form-1"
LIMITS = Limits(max_detections=1000, max_bytes=None)
SHARED = ObjectKey("ztf", "shared")
IN_BATCH = 24  # enough that a good part of the time goes into writing
_STAMPS = np.random.default_rng(0).random((33, 33, 3)).astype(np.float16)
_BATCHES_OPEN = 3  # closing moves SQLite's log into its file: a moment to be killed in, too


def batch(number: int) -> list[tuple[ObjectKey, RememberedDetection]]:
    """A detection of each of many objects; three batches in turn have the same ones."""
    return [(ObjectKey("ztf", f"{number // 3}-{i}"), detection(number * IN_BATCH + i)) for i in range(IN_BATCH)]


def detection(alert_id: int) -> RememberedDetection:
    return RememberedDetection(alert_id, float(alert_id), "g", _STAMPS, np.zeros(40, np.float32))


def write_until_killed(url: str, first: int) -> None:
    _say(str(os.getpid()))
    numbers = itertools.count(first)
    while True:
        with open_store(url, FORM, LIMITS) as store:
            for number in itertools.islice(numbers, _BATCHES_OPEN):
                store.remember(batch(number))
                _say(str(number))


def write_for_each_line(url: str) -> None:
    if url.startswith("redis:"):
        importlib.import_module("redis")  # once, not in each child
    for line in sys.stdin:
        child = os.fork()
        if not child:
            write_until_killed(url, int(line))
        os.waitpid(child, 0)
        _say("dead")


def race(url: str, first: int, count: int) -> None:
    _say("ready")
    sys.stdin.readline()
    with open_store(url, FORM, LIMITS) as store:
        for alert_id in range(first, first + count):
            store.remember([(SHARED, detection(alert_id))])


def _say(word: str) -> None:
    os.write(1, f"{word}\n".encode())  # past every buffer: what is said of a killed process must arrive


if __name__ == "__main__":
    if sys.argv[1] == "killed":
        write_for_each_line(sys.argv[2])
    else:
        race(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
