"""Draws an object and its detections: the same place, host and neighbours, seen in one exposure after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from broker_plugin.simulation import sky
from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.packets import SimulatedObject, SimulatedPacket
from broker_plugin.simulation.scene import Scene, draw_scene
from broker_plugin.simulation.targets import Target, draw_target

_TYPICAL_GAP_DAYS = 3.0
_ATTEMPTS = 8
"""How many exposures are tried for one further detection, before another object is drawn."""


class Writer(Protocol):
    """Writes the detections of one object as packets, earliest first."""

    object_id: str

    def write(self, scene: Scene, rng: np.random.Generator) -> tuple[int, bytes]:
        """The id of the alert, and the packet."""


class Survey(Protocol):
    """A module that knows a survey: where it looks, under which conditions, and what its packets are like."""

    DEC_RANGE_DEG: tuple[float, float]

    @staticmethod
    def draw_exposure(ra_deg: float, dec_deg: float, rng: np.random.Generator, mjd: float | None = None) -> Exposure:
        """Conditions of one exposure."""

    @staticmethod
    def PacketWriter(target: Target, ra_deg: float, dec_deg: float, rng: np.random.Generator) -> Writer:
        """What writes an object's packets."""


def draw_object(
    survey: Survey,
    class_name: str,
    detections: int,
    rng: np.random.Generator,
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
        Where all randomness comes from.
    epochs_days
        Days after the first detection at which the others are tried, ascending; one that shows nothing gives no
        packet.  None for as many epochs as it takes, of a few days each.
    """
    if class_name == "asteroid":
        detections, epochs_days = 1, None
    while True:
        position = sky.draw_position(class_name, survey.DEC_RANGE_DEG, rng)
        first = survey.draw_exposure(*position, rng)
        target = draw_target(class_name, first, detections > 1 or bool(epochs_days), rng)
        scenes = list(_detected(survey, target, position, first, detections, epochs_days, rng))
        if scenes and (epochs_days is not None or len(scenes) == detections):
            break
    writer = survey.PacketWriter(target, *position, rng)
    written = [writer.write(scene, rng) for scene in scenes]
    packets = (SimulatedPacket(class_name, alert_id, payload, writer.object_id) for alert_id, payload in written)
    return SimulatedObject(class_name, writer.object_id, tuple(packets))


def _detected(
    survey: Survey,
    target: Target,
    position: tuple[float, float],
    first: Exposure,
    detections: int,
    epochs_days: Sequence[float] | None,
    rng: np.random.Generator,
) -> Iterator[Scene]:
    """The exposures that show the object, none at all where the first does not."""
    scene = draw_scene(target, first, 0.0, rng)
    if not scene.is_detected:
        return
    yield scene
    found = 1
    last = first.mjd
    for days in _drawn_epochs(detections, rng) if epochs_days is None else epochs_days:
        if epochs_days is None and found == detections:
            return
        exposure = survey.draw_exposure(*position, rng, mjd=max(first.mjd + days, last))
        if exposure.mjd <= last:
            continue
        scene = draw_scene(target, exposure, exposure.mjd - first.mjd, rng)
        if scene.is_detected:
            yield scene
            found, last = found + 1, exposure.mjd


def _drawn_epochs(detections: int, rng: np.random.Generator) -> Iterator[float]:
    """Days after the first detection, a few for each further one."""
    days = 0.0
    for _ in range(_ATTEMPTS * (detections - 1)):
        days += _TYPICAL_GAP_DAYS * rng.lognormal(0.0, 0.7)
        yield days
