"""Synthetic ZTF and Rubin alerts, as the packets that a broker gets.

The images are simple and the metadata follow from them: good for tests, for examples, and for a network to learn from
before and beside the few real alerts that have labels.  Needs ``lsst-alert-packet``, for its schemas.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from broker_plugin.simulation import rubin, ztf
from broker_plugin.simulation.scene import CLASSES

__all__ = ["CLASSES", "LABELS_NAME", "SURVEYS", "SimulatedPacket", "simulate_packets", "write_packets"]

SURVEYS = ("ztf", "rubin")
"""Surveys whose packets can be simulated."""

LABELS_NAME = "labels.csv"
"""What the table of labels is called that stands beside simulated packets."""

_DRAW_PACKET: dict[str, Callable[[str, np.random.Generator], tuple[int, bytes]]] = {
    "ztf": ztf.draw_packet,
    "rubin": rubin.draw_packet,
}


@dataclass(frozen=True, slots=True)
class SimulatedPacket:
    """One synthetic alert.

    Attributes
    ----------
    class_name
        What it was drawn as, one of `CLASSES`.
    alert_id
        ZTF ``candid`` or Rubin ``diaSourceId``.
    payload
        The packet as it would come off the wire.
    """

    class_name: str
    alert_id: int
    payload: bytes


def simulate_packets(survey: str, n: int, seed: int) -> Iterator[SimulatedPacket]:
    """Draw alerts, the classes in turn.

    Parameters
    ----------
    survey
        One of `SURVEYS`.
    n
        How many.
    seed
        The same seed gives the same bytes (with the same versions of Python and numpy), and the i-th alert does not
        depend on ``n``.

    Yields
    ------
    SimulatedPacket

    Raises
    ------
    ValueError
        If there is no such survey.
    """
    if survey not in SURVEYS:
        raise ValueError(f"survey must be one of {', '.join(SURVEYS)}, not {survey!r}")
    for index in range(n):
        rng = np.random.default_rng((seed, SURVEYS.index(survey), index))
        class_name = CLASSES[index % len(CLASSES)]
        alert_id, payload = _DRAW_PACKET[survey](class_name, rng)
        yield SimulatedPacket(class_name, alert_id, payload)


def write_packets(out: Path, survey: str, n: int, seed: int) -> Iterator[SimulatedPacket]:
    """Write alerts to a folder or a tar archive, each as ``ALERT_ID.avro``, and what they were drawn as.

    The table of labels, ``labels.csv`` beside the packets, is one that ``broker-plugin train`` reads: columns
    ``alert_id`` and ``label``.

    Parameters
    ----------
    out
        A folder, made if it does not exist, or a file whose name ends in ``.tar``, made anew.
    survey, n, seed
        As for `simulate_packets`.

    Yields
    ------
    SimulatedPacket
        Each one after it was written; the table comes after the last.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("alert_id", "label"))
    with _archive(out) if out.suffix == ".tar" else _folder(out) as write:
        for packet in simulate_packets(survey, n, seed):
            write(f"{packet.alert_id}.avro", packet.payload)
            writer.writerow((packet.alert_id, packet.class_name))
            yield packet
        write(LABELS_NAME, table.getvalue().encode())


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
