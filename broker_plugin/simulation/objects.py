"""Draws an object and its detections: the same place, host and neighbours, seen in one exposure after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from broker_plugin.simulation import infrared, sky
from broker_plugin.simulation.cadence import Cadence, Visit
from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.packets import SimulatedObject, SimulatedPacket
from broker_plugin.simulation.scene import Scene, draw_scene
from broker_plugin.simulation.targets import Target, draw_target

_ATTEMPTS = 12
"""How many visits are tried for one further detection, before another object is drawn."""

_HOPELESS = 0.5
"""A change of less than this, in units of the limit, is several sigma from being detected: its image is not drawn."""


class Writer(Protocol):
    """Writes the detections of one object as packets, earliest first."""

    object_id: str

    def write(self, scene: Scene, rng: np.random.Generator) -> tuple[int, bytes]:
        """The id of the alert, and the packet."""

    def miss(self, exposure: Exposure) -> None:
        """Take note of an exposure that did not show the object."""


class Survey(Protocol):
    """A module that knows a survey: where it looks, under which conditions, and what its packets are like."""

    DEC_RANGE_DEG: tuple[float, float]
    CADENCE: Cadence

    @staticmethod
    def draw_exposure(ra_deg: float, dec_deg: float, rng: np.random.Generator, visit: Visit | None = None) -> Exposure:
        """Conditions of one exposure."""

    @staticmethod
    def PacketWriter(target: Target, ra_deg: float, dec_deg: float, rng: np.random.Generator) -> Writer:
        """What writes an object's packets."""


def draw_object(
    survey: Survey,
    class_name: str,
    detections: int,
    rng: np.random.Generator,
    infrared_rng: np.random.Generator,
    epochs_days: Sequence[float] | None = None,
) -> SimulatedObject:
    """Draw an object that is detected as often as wanted; an asteroid is met once.

    Parameters
    ----------
    survey
        One of the packages of this part that write packets.
    class_name
        One of `targets.CLASSES`.
    detections
        How many packets.
    rng
        Where all randomness of its packets comes from.
    infrared_rng
        Where that of its entries in AllWISE comes from, so that they leave the packets as they are.
    epochs_days
        Days after the first detection at which the others are tried, ascending; one that shows nothing gives no
        packet.  None for as many visits as it takes, when the survey would make them.
    """
    if class_name == "asteroid":
        detections, epochs_days = 1, None
    while True:
        position = sky.draw_position(class_name, survey.DEC_RANGE_DEG, rng)
        first = survey.draw_exposure(*position, rng)
        if epochs_days is None:
            visits: Iterator[Visit] = islice(survey.CADENCE.after(first.mjd, rng), _ATTEMPTS * (detections - 1))
            fewest, most = detections, detections
        else:
            visits = _visits_at(survey.CADENCE, first.mjd, epochs_days, rng)
            fewest, most = 1, 1 + len(epochs_days)
        target = draw_target(class_name, first, most > 1, rng)
        epochs = list(_epochs(survey, target, position, first, visits, most, rng))
        if sum(scene is not None for _, scene in epochs) >= fewest:
            break
    writer = survey.PacketWriter(target, *position, rng)
    written = []
    for exposure, scene in epochs:
        if scene is None:
            writer.miss(exposure)
        else:
            written.append(writer.write(scene, rng))
    packets = (SimulatedPacket(class_name, alert_id, payload, writer.object_id) for alert_id, payload in written)
    entries = infrared.draw_allwise(target, *position, infrared_rng)
    match = infrared.nearest(entries, *position)
    return SimulatedObject(class_name, writer.object_id, tuple(packets), match, entries)


def _epochs(
    survey: Survey,
    target: Target,
    position: tuple[float, float],
    first: Exposure,
    visits: Iterator[Visit],
    most: int,
    rng: np.random.Generator,
) -> Iterator[tuple[Exposure, Scene | None]]:
    """Each exposure with what it shows of the object, or None, up to so many detections; nothing if the first fails."""
    scene = _detection(target, first, 0.0, rng)
    if scene is None:
        return
    yield first, scene
    found = 1
    while found < most and (visit := next(visits, None)) is not None:
        exposure = survey.draw_exposure(*position, rng, visit)
        scene = _detection(target, exposure, exposure.mjd - first.mjd, rng)
        yield exposure, scene
        found += scene is not None


def _detection(target: Target, exposure: Exposure, days: float, rng: np.random.Generator) -> Scene | None:
    """What an exposure shows of an object, days after its first alert; None where it is below the limit."""
    change_njy = float(target.change_njy(np.array([days]), exposure.band)[0])
    if abs(exposure.from_njy(change_njy)) < _HOPELESS * exposure.limit_flux:
        return None
    scene = draw_scene(target, exposure, days, rng)
    return scene if scene.is_detected else None


def _visits_at(cadence: Cadence, mjd: float, epochs_days: Sequence[float], rng: np.random.Generator) -> Iterator[Visit]:
    """A visit in each of the nights so many days after a time; none before that time, nor before another."""
    last = mjd
    for days in epochs_days:
        visit = cadence.in_night(math.floor(mjd + days), rng)[-1]
        if visit.mjd > last:
            yield visit
            last = visit.mjd
