"""ZTF alerts, schema 2.0 to 4.02: field names and their meaning.

Schema: Zwicky Transient Facility, "ztf-avro-alert"; Masci et al. 2019, PASP 131, 018003.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from broker_plugin.alert import STAMP_NAMES, Alert, AlertError, Detection, Identity, Reason
from broker_plugin.packets.fields import (
    Fields,
    as_rows,
    finite,
    plain_bytes,
    schema_label,
    shown,
    whole_id,
)
from broker_plugin.packets.schemas import Wanted

NAME = "ztf"
_MJD_ORIGIN_JD = 2400000.5
_BANDS: dict[float, str] = {1: "g", 2: "r", 3: "i"}
_CUTOUTS = {name: f"cutout{name.capitalize()}" for name in STAMP_NAMES}
_MISSING = -999.0
# t and f in ZTF's own packets; 1 and 0, True and False in what others hand on.
_POSITIVE = {"t": True, "1": True, "true": True, "f": False, "0": False, "false": False}

STAMP_PIXELS = 63
"""A whole cutout, on a side; 1 arcsec (1.01) a pixel."""
_QUADRANT_COLUMNS, _QUADRANT_ROWS = 3072, 3080  # Dekany et al. 2020, PASP 132, 038001

_IDENTITY_FIELDS = {"jd", "fid", "candid", "ra", "dec", "xpos", "ypos"}
_HISTORY_IDENTITY_FIELDS = {"jd", "fid", "candid"}
_HISTORY_FIELDS = _HISTORY_IDENTITY_FIELDS | {"magpsf", "sigmapsf", "diffmaglim", "isdiffpos", "ra", "dec", "distnr"}


def claims(schema_name: str, record: Mapping[str, Any]) -> bool:
    """Whether a record is ZTF's: by its schema's name, or by its ids where a broker rewrote the schema."""
    if schema_name.startswith("ztf."):
        return True
    object_id = record.get("objectId")
    return isinstance(object_id, str) and object_id.startswith("ZTF") and ("candid" in record or "candidate" in record)


def wanted(fields: Iterable[str] | None, history: bool) -> Wanted:
    """What to read of a packet for these fields of the candidate (None: all), and of the history, if that is wanted."""
    tree: dict[str, Any] = {
        "objectId": True,
        "candid": True,
        "schemavsn": True,
        "candidate": True if fields is None else dict.fromkeys(_IDENTITY_FIELDS | set(fields), True),
    }
    tree |= {name: {"stampData": True} for name in _CUTOUTS.values()}
    if history:
        of_each = _HISTORY_FIELDS if fields is None else _HISTORY_IDENTITY_FIELDS | (_HISTORY_FIELDS & set(fields))
        tree["prv_candidates"] = dict.fromkeys(of_each, True)
    return tree


def identify(record: Mapping[str, Any], schema_name: str, source: str | None) -> tuple[Identity, AlertError | None]:
    """Who the alert is, as far as it can be told, and what is wrong with that if anything is."""
    top = Fields(record)
    candidate = Fields(record.get("candidate"), "candidate.")
    alert_id = top.optional_id("candid")
    if alert_id is None:  # some early packets name it in the candidate alone
        alert_id = candidate.optional_id("candid")
    object_id = top.optional_text("objectId")
    version = top.optional_text("schemavsn")
    jd = candidate.number("jd")
    top.adopt(candidate)
    top.require(alert_id, "candid")
    identity = Identity(
        survey=NAME,
        alert_id=alert_id,
        object_id=object_id,
        object_id_kind=None if object_id is None else "ztf_object_id",
        mjd=None if jd is None else jd - _MJD_ORIGIN_JD,
        mjd_scale=None if jd is None else "utc",
        ra_deg=candidate.number("ra", 0.0, 360.0),
        dec_deg=candidate.number("dec", -90.0, 90.0),
        band=_band(candidate.optional_id("fid")),
        input_schema=schema_label(schema_name, version),
        source=source,
    )
    top.adopt(candidate)
    return identity, top.problem


def read(record: Mapping[str, Any], identity: Identity) -> Alert:
    """The alert of a record whose identity is whole.

    Raises
    ------
    AlertError
        ``invalid_field``: a cutout is not bytes.
    """
    history: tuple[Detection, ...] = ()
    non_detections = history_problem = None
    if "prv_candidates" in record:
        try:
            history, non_detections = _history(record["prv_candidates"])
        except AlertError as problem:
            history_problem = problem.detail
    return Alert(
        identity=identity,
        values={name: _clean(name, value) for name, value in record["candidate"].items()},
        cutouts={name: plain_bytes(record.get(field), field) for name, field in _CUTOUTS.items()},
        history=history,
        non_detections=non_detections,
        history_problem=history_problem,
    )


def cutout_field(name: str) -> str:
    """The survey's name of a stamp: ``science`` is ``cutoutScience``."""
    return _CUTOUTS[name]


def place(pixels: np.ndarray, values: Mapping[str, Any]) -> np.ndarray:
    """A stamp with its source in the centre, (63, 63), NaN where the detector quadrant ended.

    Cutouts near an edge of the quadrant come cut off, so that the source is not in their centre.
    ``xpos`` and ``ypos``, the source's 1-based position on the 3072 x 3080 quadrant, say which edge it was.

    Raises
    ------
    AlertError
        ``corrupt_cutout``: the shape fits no edge at that position.
    """
    if pixels.shape == (STAMP_PIXELS, STAMP_PIXELS):
        return pixels
    whole = np.full((STAMP_PIXELS, STAMP_PIXELS), np.nan, dtype=np.float32)
    row = _first_index(pixels.shape[0], values.get("ypos"), _QUADRANT_ROWS)
    column = _first_index(pixels.shape[1], values.get("xpos"), _QUADRANT_COLUMNS)
    whole[row : row + pixels.shape[0], column : column + pixels.shape[1]] = pixels
    return whole


def _first_index(length: int, position: Any, quadrant_length: int) -> int:
    """Where the pixels of a cut-off axis begin within the whole stamp."""
    if length == STAMP_PIXELS:
        return 0
    number = finite(position)
    if number is not None:
        half = STAMP_PIXELS // 2
        centre = round(number - 1.0)
        before = max(0, half - centre)
        after = max(0, centre + half - (quadrant_length - 1))
        if before + length + after == STAMP_PIXELS:
            return before
    raise AlertError(
        Reason.CORRUPT_CUTOUT, f"a cutout {length} pixels long is not one cut by the edge at pixel {shown(position)}"
    )


def _history(rows: Any) -> tuple[tuple[Detection, ...], int]:
    """The detections among the rows, oldest first, and the number of upper limits, which have no ``candid``.

    Packets that others redistribute have a row's ``candid`` as a double: it then says only that there is one.
    """
    detections = []
    rows = as_rows(rows, "prv_candidates")
    for index, row in enumerate(rows):
        values = {name: _clean(name, value) for name, value in row.items()}
        if values.get("candid") is not None:
            fields = Fields(values, f"prv_candidates[{index}].")
            jd = fields.number("jd")
            fields.check()
            mjd = (jd or 0.0) - _MJD_ORIGIN_JD
            detections.append(Detection(mjd, _band(values.get("fid")), values, whole_id(values["candid"])))
    detections.sort(key=lambda detection: detection.mjd)
    return tuple(detections), len(rows) - len(detections)


def _band(fid: Any) -> str | None:
    return _BANDS.get(fid) if isinstance(fid, (int, float)) else None


def _clean(name: str, value: Any) -> Any:
    """A field's value with the survey's ways of saying "missing" as None."""
    if type(value) is float:
        return None if value == _MISSING or value != value else value
    if isinstance(value, np.generic):
        plain = value.item()
        return plain if isinstance(plain, np.generic) else _clean(name, plain)  # Python has no longdouble
    if isinstance(value, (int, str)) and value in (_MISSING, "null"):
        return None
    return _POSITIVE.get(value.lower(), value) if name == "isdiffpos" and isinstance(value, str) else value
