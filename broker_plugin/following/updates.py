"""What a broker hands over of an object, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker_plugin.alert import Alert, Identity, ObjectUpdate, Reason, Rejected
from broker_plugin.history import ObjectKey, RememberedDetection
from broker_plugin.packets import PacketReader
from broker_plugin.packets.fields import one_line
from broker_plugin.packets.reader import digest_of

Fields = Mapping[str, Any] | None
"""What a broker knows of an alert, its AllWISE counterpart perhaps: see `broker_plugin.crossmatch.match_given`."""

KIND_AND_SCALE = {"ztf": ("ztf_object_id", "utc"), "rubin": ("dia_object_id", "tai")}
"""Of each survey the catalogue that its objects are of, and the scale of its times."""


@dataclass(frozen=True, slots=True)
class ReadUpdate:
    """An `ObjectUpdate` whose packets have been read.

    Attributes
    ----------
    fields
        Of each packet, what the broker knows of it.
    """

    key: ObjectKey
    packets: Sequence[Alert | Rejected]
    fields: Sequence[Fields]

    @property
    def identity(self) -> Identity:
        """Of the object; none of its alerts is known."""
        kind, _ = KIND_AND_SCALE.get(self.key.survey, (None, None))
        return Identity(survey=self.key.survey, object_id=self.key.object_id, object_id_kind=kind)


def known_as(key: ObjectKey, newest: RememberedDetection) -> Identity:
    """An object of which only what is remembered is known: it is named by its newest detection."""
    kind, scale = KIND_AND_SCALE.get(key.survey, (None, None))
    return Identity(
        survey=key.survey,
        # Below zero it stands for one that is not known: see `tensors.sequences`.
        alert_id=newest.alert_id if newest.alert_id >= 0 else None,
        object_id=key.object_id,
        object_id_kind=kind,
        mjd=newest.mjd,
        mjd_scale=scale,
        band=newest.band,
    )


def read_update(update: ObjectUpdate, reader: PacketReader) -> ReadUpdate | Rejected:
    """An update with its packets read.  Nothing raises, whatever a broker gives."""
    try:
        if not (isinstance(update.survey, str) and isinstance(update.object_id, str)):
            raise TypeError("survey and object_id must be texts")
        key = ObjectKey(update.survey, update.object_id)
        packets = list(update.alerts) if update.alerts is not None else []
    except Exception as problem:  # noqa: BLE001 - the last line: it may be any object
        detail = f"not an update of an object: {one_line(problem)}"
        return Rejected(Identity(), Reason.INVALID_FIELD, detail, digest=digest_of(update))
    return ReadUpdate(key, [reader.read(packet) for packet in packets], [fields_in(packet) for packet in packets])


def fields_in(packet: object) -> Fields:
    """What a packet itself may say of its counterpart: a broker puts its own fields into a decoded one."""
    return packet if isinstance(packet, Mapping) else None
