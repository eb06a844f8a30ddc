"""Synthetic ZTF and Rubin alerts, as the packets that a broker gets.

What is in the sky is drawn first, then what an exposure makes of it; the metadata are measured on the images or follow
from the same truth.  Good for tests, for examples, and for a network to learn from before and beside the few real
alerts that have labels; ``docs/simulation.md`` describes the model.  Needs GalSim, which the extra ``train`` brings.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from broker_plugin.crossmatch.columns import PHOTOMETRY
from broker_plugin.simulation.packets import SimulatedObject, SimulatedPacket

__all__ = [
    "ALLWISE_NAME",
    "CLASSES",
    "LABELS_NAME",
    "SURVEYS",
    "SimulatedObject",
    "SimulatedPacket",
    "simulate_objects",
    "simulate_packets",
    "write_packets",
]

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
"""The classes drawn, in the order in which a simulation cycles through them."""

SURVEYS = ("ztf", "rubin")
"""Surveys whose packets can be simulated."""

LABELS_NAME = "labels.csv"
"""What the table of labels is called that stands beside simulated packets."""

ALLWISE_NAME = "allwise.csv"
"""What the table of AllWISE sources is called that stands beside simulated packets."""

_INFRARED_KEY = 1


def simulate_packets(survey: str, n: int, seed: int) -> Iterator[SimulatedPacket]:
    """Draw single alerts of as many objects, the classes in turn.

    Each comes with the history that its object would have: an AGN or a variable star is met after many detections, a
    supernova often at one of its first, an asteroid for the only time.

    Parameters
    ----------
    survey
        One of `SURVEYS`.
    n
        How many.
    seed
        The same seed gives the same bytes (with the same versions of Python, numpy and GalSim), and the i-th alert
        does not depend on ``n``.

    Yields
    ------
    SimulatedPacket

    Raises
    ------
    ValueError
        If there is no such survey.
    ImportError
        GalSim is not installed.
    """
    for drawn in simulate_objects(survey, n, seed, detections=(1, 1)):
        yield from drawn.packets


def simulate_objects(
    survey: str,
    n: int,
    seed: int,
    detections: tuple[int, int] = (2, 5),
    epochs_days: Sequence[float] | None = None,
    classes: Sequence[str] = CLASSES,
) -> Iterator[SimulatedObject]:
    """Draw objects with several detections each, the classes in turn; an asteroid is met once.

    Host, star, neighbours and place of an object stay; seeing, band and noise are new in each exposure, and its
    brightness follows a light curve of its class.  Each packet knows the detections before it.

    Parameters
    ----------
    survey, n, seed
        As for `simulate_packets`; ``n`` counts objects.
    detections
        Fewest and most detections; how many an object has is drawn.
    epochs_days
        Days after the first detection at which the others are tried, ascending, in place of ``detections``; an epoch
        that shows nothing gives no packet.
    classes
        Those to draw, of `CLASSES`, in the order in which they come in turn.

    Yields
    ------
    SimulatedObject
        With its counterpart in AllWISE.

    Raises
    ------
    ValueError
        If there is no such survey or class, or the numbers of detections make no range.
    ImportError
        GalSim is not installed.
    """
    if survey not in SURVEYS:
        raise ValueError(f"survey must be one of {', '.join(SURVEYS)}, not {survey!r}")
    fewest, most = detections
    if not 1 <= fewest <= most:
        raise ValueError(f"detections must be a range from 1 up, not {fewest}:{most}")
    if not classes or not set(classes) <= set(CLASSES):
        raise ValueError(f"classes must be of {', '.join(CLASSES)}, not {', '.join(classes) or 'none'}")
    draw_object, module = _drawing(survey)
    for index in range(n):
        key = (seed, SURVEYS.index(survey), index)
        rng, infrared_rng = np.random.default_rng(key), np.random.default_rng((*key, _INFRARED_KEY))
        wanted = int(rng.integers(fewest, most + 1))
        yield draw_object(module, classes[index % len(classes)], wanted, rng, infrared_rng, epochs_days)


def _drawing(survey: str) -> tuple[Callable[..., SimulatedObject], Any]:
    """What draws an object, and the package that knows the survey; GalSim is imported here."""
    try:
        import_module("galsim")
    except ImportError as problem:
        raise ImportError("simulating needs GalSim: pip install 'broker-plugin[train]'") from problem
    from broker_plugin.simulation.objects import draw_object

    return draw_object, import_module(f"broker_plugin.simulation.{survey}")


def write_packets(
    out: Path,
    survey: str,
    n: int,
    seed: int,
    detections: tuple[int, int] = (1, 1),
    classes: Sequence[str] = CLASSES,
) -> Iterator[SimulatedPacket]:
    """Write alerts to a folder or a tar archive, each as ``ALERT_ID.avro``, and what they were drawn as.

    The table of labels, ``labels.csv`` beside the packets, is one that ``broker-plugin train`` reads: columns
    ``alert_id``, ``label`` and ``object_id``.  ``allwise.csv`` holds what AllWISE has around the objects, under IRSA's
    names of its columns: ``broker-plugin crossmatch build`` makes a catalogue of it.

    Parameters
    ----------
    out
        A folder, made if it does not exist, or a file whose name ends in ``.tar``, made anew.
    survey, n, seed, detections, classes
        As for `simulate_objects`.

    Yields
    ------
    SimulatedPacket
        Each one after it was written; the tables come after the last.
    """
    labels = _Table("alert_id", "label", "object_id")
    allwise = _Table("designation", "ra", "dec", *PHOTOMETRY)
    with _archive(out) if out.suffix == ".tar" else _folder(out) as write:
        for drawn in simulate_objects(survey, n, seed, detections, classes=classes):
            for entry in drawn.allwise_sources:
                allwise.add(entry.name, entry.ra_deg, entry.dec_deg, *entry.photometry)
            for packet in drawn.packets:
                write(f"{packet.alert_id}.avro", packet.payload)
                labels.add(packet.alert_id, packet.class_name, packet.object_id)
                yield packet
        write(LABELS_NAME, labels.encode())
        write(ALLWISE_NAME, allwise.encode())


class _Table:
    """A CSV table in memory."""

    def __init__(self, *columns: str) -> None:
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(columns)

    def add(self, *values: object) -> None:
        self._writer.writerow(values)

    def encode(self) -> bytes:
        return self._text.getvalue().encode()


@contextmanager
def _folder(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    path.mkdir(parents=True, exist_ok=True)

    def write(name: str, content: bytes) -> None:
        (path / name).write_bytes(content)

    yield write


@contextmanager
def _archive(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    with tarfile.open(path, "w") as archive:

        def write(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)  # its time is 1970, so that equal seeds give equal bytes
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

        yield write
