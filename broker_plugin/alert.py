"""What the rest of the code knows of an alert, whatever survey it came from.

This module is a leaf: it imports nothing of the package, and every part may import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

STAMP_NAMES = ("science", "template", "difference")
"""The three cutouts of an alert, in the order in which every bundle and figure lists them."""


class Status(str, Enum):
    """What became of an alert."""

    OK = "ok"
    SKIPPED = "skipped"
    ERROR = "error"


class Reason(str, Enum):
    """Why an alert has no classification.  ``docs/records.md`` says what each one means to a reader."""

    # Nothing is wrong, and nothing can be said.
    UNSUPPORTED_SURVEY = "unsupported_survey"
    UNSUPPORTED_SCHEMA = "unsupported_schema"
    UNSUPPORTED_CUTOUT = "unsupported_cutout"
    NO_CUTOUTS = "no_cutouts"
    TOO_FEW_DETECTIONS = "too_few_detections"
    NO_OBJECT = "no_object"
    # Something is wrong with the packet.
    EMPTY_PACKET = "empty_packet"
    UNREADABLE = "unreadable"
    UNKNOWN_SCHEMA = "unknown_schema"
    MULTIPLE_ALERTS = "multiple_alerts"
    TOO_LARGE = "too_large"
    MISSING_FIELD = "missing_field"
    INVALID_FIELD = "invalid_field"
    MISSING_CUTOUT = "missing_cutout"
    CORRUPT_CUTOUT = "corrupt_cutout"
    BLANK_CUTOUT = "blank_cutout"
    # Something is wrong on our side.
    HISTORY_UNAVAILABLE = "history_unavailable"
    NON_FINITE_OUTPUT = "non_finite_output"
    PLUGIN_FAILED = "plugin_failed"

    @property
    def status(self) -> Status:
        """``skipped`` where nothing is wrong with the packet, ``error`` where something is."""
        return Status.SKIPPED if self in _SKIPS else Status.ERROR


_SKIPS = frozenset(
    {
        Reason.UNSUPPORTED_SURVEY,
        Reason.UNSUPPORTED_SCHEMA,
        Reason.UNSUPPORTED_CUTOUT,
        Reason.NO_CUTOUTS,
        Reason.TOO_FEW_DETECTIONS,
        Reason.NO_OBJECT,
    }
)


class AlertError(Exception):
    """Something in one alert that keeps it from being classified.

    Parameters
    ----------
    reason
        One of the documented reasons.
    detail
        One sentence that names the field and what is wrong with it.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Detection:
    """One earlier measurement of the object, from the packet's own history.  It has no stamps.

    Attributes
    ----------
    mjd
        Modified Julian Date of the exposure, in the alert's time scale.
    band
        Name of the passband (``g``, ``r``, ``i``, ... as the survey calls it).
    values
        The survey's own fields, under the survey's names.
    alert_id
        Id of the alert that it was; None where the packet has it as a double, which has lost digits of it.
    """

    mjd: float
    band: str | None
    values: Mapping[str, Any]
    alert_id: int | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Which alert this is, as far as the packet says.  Every part of it may be missing.

    Attributes
    ----------
    survey
        ``"ztf"``, ``"rubin"``, or None where it is neither or can't be told.
    alert_id
        ZTF ``candid``, Rubin ``diaSourceId``.  Has up to 19 digits: never let it pass through a double.
    object_id, object_id_kind
        The object and which catalogue it is of: ``ztf_object_id``, ``dia_object_id``, ``ss_object_id``.
    mjd, mjd_scale
        Mid-exposure (Rubin, ``tai``) or start of exposure (ZTF, ``utc``), Modified Julian Date in days.
    ra_deg, dec_deg
        ICRS, degrees.
    input_schema
        Name and version of the schema that the packet was written with, e.g. ``ztf.alert 4.02``.
    source
        Where the packet was read from (``night.tar/123.avro``), where that is known.
    """

    survey: str | None = None
    alert_id: int | None = None
    object_id: str | None = None
    object_id_kind: str | None = None
    mjd: float | None = None
    mjd_scale: str | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    band: str | None = None
    input_schema: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """A readable alert.

    Attributes
    ----------
    identity
        Survey, ids, time and position; for an alert, all of them but the object are present.
    values
        The survey's own fields of the detection that triggered the alert, under the survey's names.
        Fields of sub-records carry their name in front: ``diaObject.nDiaSources``.  Values that the
        survey marks as missing (null, NaN, -999) are None.
    cutouts
        Raw bytes of each cutout by stamp name (``science``, ``template``, ``difference``), None where
        the packet has none.
    history
        Earlier detections of the object, oldest first; upper limits are not among them.
    non_detections
        Number of upper limits in the packet's history; None where the history was not read.
    history_problem
        What keeps the history from being read, where something does; the rest of the alert is good.
    """

    identity: Identity
    values: Mapping[str, Any] = field(default_factory=dict)
    cutouts: Mapping[str, bytes | None] = field(default_factory=dict)
    history: tuple[Detection, ...] = ()
    non_detections: int | None = None
    history_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A packet that can't become an `Alert`: what is known of it, and what is wrong.

    Attributes
    ----------
    digest
        SHA-256 of the packet, hexadecimal, where the packet has no id to be told by.
    """

    identity: Identity
    reason: Reason
    detail: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectUpdate:
    """An object that gained a detection; ``alerts`` are its packets, in any order, where the broker keeps them."""

    object_id: str
    survey: str
    alerts: Sequence[bytes | Mapping[str, Any] | Alert] | None = None
