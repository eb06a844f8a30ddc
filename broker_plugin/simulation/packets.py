"""What a simulation gives."""

from __future__ import annotations

from dataclasses import dataclass


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
    object_id
        ZTF ``objectId``, Rubin ``diaObjectId`` or, of an asteroid, ``ssObjectId``.
    """

    class_name: str
    alert_id: int
    payload: bytes
    object_id: str


@dataclass(frozen=True, slots=True)
class SimulatedObject:
    """One synthetic object.

    Attributes
    ----------
    class_name
        What it was drawn as, one of `CLASSES`.
    object_id
        As in its packets.
    packets
        Its detections, earliest first.
    """

    class_name: str
    object_id: str
    packets: tuple[SimulatedPacket, ...]
