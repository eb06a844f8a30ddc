"""Rubin alerts, schema 7.0 to 11.1 and newer minor versions of these.

Schema: the Rubin Observatory's ``lsst-alert-packet``; fields are of its Data Products Definition
Document, LSE-163.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from broker_plugin.alert import STAMP_NAMES, Alert, AlertError, Detection, Identity, Reason
from broker_plugin.packets.fields import Fields, as_rows, plain_bytes, schema_label, whole_id
from broker_plugin.packets.schemas import Wanted

NAME = "rubin"
KNOWN_MAJORS = range(7, 12)
_CUTOUTS = {name: f"cutout{name.capitalize()}" for name in STAMP_NAMES}
_VERSION = re.compile(r"lsst\.v(\d+)_(\d+)")

_IDENTITY_FIELDS = {"diaSourceId", "diaObjectId", "ssObjectId", "midpointMjdTai", "midPointTai", "ra", "dec"}
_IDENTITY_FIELDS |= {"band", "filterName"}
_HISTORY_IDENTITY_FIELDS = {"diaSourceId", "midpointMjdTai", "midPointTai", "band"}
_HISTORY_FIELDS = _HISTORY_IDENTITY_FIELDS | {"psfFlux", "psfFluxErr", "ra", "dec", "snr"}
_SUB_RECORDS = ("diaObject", "ssSource")


def claims(schema_name: str, record: Mapping[str, Any]) -> bool:
    """Whether a record is in Rubin's format: by its schema's name, or where a broker rewrote the schema, its fields."""
    if schema_name.startswith("lsst."):
        return True
    return "diaSource" in record and ("diaSourceId" in record or "alertId" in record)


def wanted(fields: Iterable[str] | None, history: bool) -> Wanted:
    """What to read of a packet for these fields of the diaSource (None: all), and of the history, if that is wanted.

    ``diaObject.x`` is of the diaObject.
    """
    tree: dict[str, Any] = {"diaSourceId": True, "alertId": True, "lsst_schema_version": True}
    tree |= dict.fromkeys(_CUTOUTS.values(), True)
    if fields is None:
        tree |= {"diaSource": True, "diaObject": True, "ssSource": True}
    else:
        tree["diaSource"] = dict.fromkeys(_IDENTITY_FIELDS | {f for f in fields if "." not in f}, True)
        for sub_record in _SUB_RECORDS:
            prefix = f"{sub_record}."
            names = {f.removeprefix(prefix) for f in fields if f.startswith(prefix)}
            if names:
                tree[sub_record] = dict.fromkeys(names, True)
    if history:
        of_each = _HISTORY_FIELDS if fields is None else _HISTORY_IDENTITY_FIELDS | (_HISTORY_FIELDS & set(fields))
        tree["prvDiaSources"] = dict.fromkeys(of_each, True)
    return tree


def identify(record: Mapping[str, Any], schema_name: str, source: str | None) -> tuple[Identity, AlertError | None]:
    """Who the alert is, as far as it can be told, and what is wrong with that if anything is."""
    top = Fields(record)
    dia_source = Fields(record.get("diaSource"), "diaSource.")
    alert_id = top.optional_id("diaSourceId")  # from 8.0 on; before, the alert had an id of its own as well
    if alert_id is None:
        alert_id = dia_source.optional_id("diaSourceId")
    dia_object_id = dia_source.optional_id("diaObjectId") or None  # 0 means none
    ss_object_id = dia_source.optional_id("ssObjectId") or None
    object_id = dia_object_id or ss_object_id
    time_field = "midPointTai" if _lacks_new_time(record.get("diaSource")) else "midpointMjdTai"
    mjd = dia_source.number(time_field)
    band = dia_source.optional_text("band") or dia_source.optional_text("filterName")
    identity = Identity(
        survey=NAME,
        alert_id=alert_id,
        object_id=None if object_id is None else str(object_id),
        object_id_kind=None if object_id is None else "dia_object_id" if dia_object_id else "ss_object_id",
        mjd=mjd,
        mjd_scale=None if mjd is None else "tai",
        ra_deg=dia_source.number("ra", 0.0, 360.0),
        dec_deg=dia_source.number("dec", -90.0, 90.0),
        band=band,
        input_schema=schema_label(schema_name, top.optional_text("lsst_schema_version")),
        source=source,
    )
    top.adopt(dia_source)
    top.require(alert_id, "diaSourceId")
    return identity, _version_problem(schema_name, record) or top.problem


def read(record: Mapping[str, Any], identity: Identity) -> Alert:
    """The alert of a record whose identity is whole.

    Raises
    ------
    AlertError
        ``invalid_field``: a cutout is not bytes.
    """
    history: tuple[Detection, ...] = ()
    non_detections = history_problem = None
    if "prvDiaSources" in record:
        try:
            history, non_detections = _history(record["prvDiaSources"]), 0
        except AlertError as problem:
            history_problem = problem.detail
    values = {name: _clean(value) for name, value in record["diaSource"].items()}
    for sub_record in _SUB_RECORDS:
        content = record.get(sub_record)
        if isinstance(content, Mapping):
            values |= {f"{sub_record}.{name}": _clean(value) for name, value in content.items()}
    return Alert(
        identity=identity,
        values=values,
        cutouts={name: plain_bytes(record.get(field), field) for name, field in _CUTOUTS.items()},
        history=history,
        non_detections=non_detections,
        history_problem=history_problem,
    )


def cutout_field(name: str) -> str:
    """The survey's name of a stamp: ``science`` is ``cutoutScience``."""
    return _CUTOUTS[name]


def _version_problem(schema_name: str, record: Mapping[str, Any]) -> AlertError | None:
    """What keeps a major version that this code has not seen from being read: a field may have changed its unit."""
    version = _VERSION.search(schema_name) or _VERSION.search(str(record.get("lsst_schema_version") or ""))
    if version is None or int(version[1]) in KNOWN_MAJORS:
        return None
    known = f"majors {KNOWN_MAJORS[0]} to {KNOWN_MAJORS[-1]} are known"
    return AlertError(Reason.UNSUPPORTED_SCHEMA, f"Rubin schema {version[1]}.{version[2]}: {known}")


def _lacks_new_time(dia_source: Any) -> bool:
    return isinstance(dia_source, Mapping) and "midPointTai" in dia_source and "midpointMjdTai" not in dia_source


def _history(rows: Any) -> tuple[Detection, ...]:
    detections = []
    for index, row in enumerate(as_rows(rows, "prvDiaSources")):
        fields = Fields(row, f"prvDiaSources[{index}].")
        mjd = fields.number("midPointTai" if _lacks_new_time(row) else "midpointMjdTai")
        band = fields.optional_text("band")
        fields.check()
        values = {name: _clean(value) for name, value in row.items()}
        detections.append(Detection(mjd or 0.0, band, values, whole_id(values.get("diaSourceId"))))
    detections.sort(key=lambda detection: detection.mjd)
    return tuple(detections)


def _clean(value: Any) -> Any:
    """A field's value, with NaN as None and numpy's scalars as Python's."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value
