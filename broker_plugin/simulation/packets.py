"""What a simulation gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from broker_plugin.crossmatch.counterpart import Match


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


class AllwiseSource(NamedTuple):
    """An entry of AllWISE.

    Attributes
    ----------
    name
        Its designation, which says where it is.
    ra_deg, dec_deg
        ICRS, degrees.
    photometry
        W1 to W4 (Vega) and their four errors, magnitudes; None where there is an upper limit only.
    """

    name: str
    ra_deg: float
    dec_deg: float
    photometry: tuple[float | None, ...]


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
    allwise
        Its counterpart in AllWISE within 3 arcsec of its true position, if there is one.
    allwise_sources
        What AllWISE has within some 20 arcsec, the counterpart among it.
    """

    class_name: str
    object_id: str
    packets: tuple[SimulatedPacket, ...]
    allwise: Match
    allwise_sources: tuple[AllwiseSource, ...]
