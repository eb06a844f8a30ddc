"""Synthetic ZTF and Rubin alerts, as the packets that a broker gets.

The images are simple and the metadata follow from them: good for tests, for examples, and for a network to learn from
before and beside the few real alerts that have labels.  Needs ``lsst-alert-packet``, for its schemas.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from broker_plugin.simulation import rubin, ztf
from broker_plugin.simulation.scene import CLASSES

__all__ = ["CLASSES", "SURVEYS", "SimulatedPacket", "simulate_packets", "write_examples"]

SURVEYS = ("ztf", "rubin")
"""Surveys whose packets can be simulated."""

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


def write_examples(folder: str | Path, seed: int, per_class: int = 4) -> None:
    """Write packets of each survey and class to ``folder/SURVEY/ALERT_ID.avro``, and ``folder/truth.csv``.

    Parameters
    ----------
    folder
        Made if it does not exist.
    seed
        As for `simulate_packets`.
    per_class
        Packets of each class and survey.
    """
    root = Path(folder)
    rows = []
    for survey in SURVEYS:
        (root / survey).mkdir(parents=True, exist_ok=True)
        for packet in simulate_packets(survey, per_class * len(CLASSES), seed):
            (root / survey / f"{packet.alert_id}.avro").write_bytes(packet.payload)
            rows.append((survey, packet.alert_id, packet.class_name))
    with (root / "truth.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("survey", "alert_id", "class"))
        writer.writerows(rows)
