"""Counterparts that the broker found before us, in the fields that it hands over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from broker_plugin.crossmatch.columns import ERRORS, MAGNITUDES, find, lowered
from broker_plugin.crossmatch.counterpart import (
    RADIUS_ARCSEC,
    Counterpart,
    Match,
    NotLookedUp,
    Position,
    bad_position,
    none_within,
    number,
)
from broker_plugin.crossmatch.sky import arrays, separation_arcsec

_CONTAINERS = ("allwise", "xmatch", "crossmatch", "cross_matches", "crossmatches")
_PREFIXES = ("allwise__", "allwise_", "allwise.")
_DISTANCES = ("angdist", "separation_arcsec", "dist_arcsec", "_dist_arcsec")
_MAX_ROWS = 100
_MAX_DEPTH = 2
_MAX_NAME = 100
_MAX_MAG = 50.0


def match_given(fields: Mapping[str, Any] | None, position: Position, radius_arcsec: float = RADIUS_ARCSEC) -> Match:
    """The counterpart that a broker gave with an alert, or in it.

    Parameters
    ----------
    fields
        AllWISE's columns by any of their names (``columns.NAMES``), whatever their case: in a mapping, or a list of
        mappings, under ``allwise`` (itself perhaps under ``xmatch`` or ``cross_matches``); with ``AllWISE__`` in
        front; or as they are.  An empty list says that the broker looked and found nothing.
    position
        Of the alert.
    radius_arcsec
        How far a counterpart may be.  One whose distance the broker doesn't give is taken as it is.
    """
    rows = _rows(fields) if isinstance(fields, Mapping) else None
    if rows is None:
        return Match(not_looked_up=NotLookedUp.ABSENT, detail="the broker gave no AllWISE fields")
    if not rows:
        return none_within(radius_arcsec, "the broker's fields")
    if not arrays([position])[-1][0]:
        return bad_position(position)
    try:
        found = [_counterpart(row, position) for row in rows]
    except ValueError as problem:
        return Match(not_looked_up=NotLookedUp.FAILED, detail=f"failed: the broker's fields: {problem}")
    nearest = min(found, key=_distance_arcsec)
    if _distance_arcsec(nearest) > radius_arcsec:
        return none_within(radius_arcsec, "the broker's fields")
    return Match(nearest)


def _distance_arcsec(counterpart: Counterpart) -> float:
    return 0.0 if counterpart.separation_arcsec is None else counterpart.separation_arcsec


def _rows(fields: Mapping[str, Any], depth: int = 0) -> list[Mapping[str, Any]] | None:
    """The AllWISE sources in a broker's fields, or None where it says nothing of them."""
    for key, value in fields.items():
        if not isinstance(key, str) or key.lower() not in _CONTAINERS:
            continue
        if isinstance(value, Mapping):
            if _has_photometry(value):
                return [value]
            if depth < _MAX_DEPTH and (inner := _rows(value, depth + 1)) is not None:
                return inner
        elif isinstance(value, list | tuple) and key.lower() == "allwise":
            found = [row for row in islice(value, _MAX_ROWS) if isinstance(row, Mapping) and _has_photometry(row)]
            # Things of another shape are not the same as nothing.
            return found if found or not value else None
    prefixed = {
        key[len(prefix) :]: value
        for key, value in fields.items()
        for prefix in _PREFIXES
        if isinstance(key, str) and key.lower().startswith(prefix)
    }
    if _has_photometry(prefixed):
        return [prefixed]
    if _has_photometry(fields):
        # ``ra`` and ``dec`` beside an alert's own fields are the alert's.
        return [{key: value for key, value in fields.items() if str(key).lower() not in ("ra", "dec")}]
    return None


def _has_photometry(row: Mapping[str, Any]) -> bool:
    known = _columns(row)
    return any(find(magnitude, known) is not None for magnitude in MAGNITUDES)


def _columns(row: Mapping[str, Any]) -> dict[str, str]:
    return lowered(key for key in row if isinstance(key, str))


def _counterpart(row: Mapping[str, Any], position: Position) -> Counterpart:
    """One row as a counterpart.

    Raises
    ------
    ValueError
        A field holds what it can't.
    """
    known = _columns(row)
    magnitudes: list[float | None] = []
    errors: list[float | None] = []
    for magnitude_name, error_name in zip(MAGNITUDES, ERRORS, strict=True):
        error_column = find(error_name, known)
        magnitude = _magnitude(row, find(magnitude_name, known))
        error = _magnitude(row, error_column)
        # A null error marks an upper limit; a broker that hands on no errors at all hands on no upper limits either.
        if error is None and error_column is not None:
            magnitude = None
        magnitudes.append(magnitude)
        errors.append(None if magnitude is None else error)
    name_column = find("designation", known)
    name = None if name_column is None or row[name_column] is None else str(row[name_column])[:_MAX_NAME]
    return Counterpart.of(name, _separation(row, known, position), [*magnitudes, *errors], "broker")


def _magnitude(row: Mapping[str, Any], column: str | None) -> float | None:
    value = None if column is None else row[column]
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    magnitude = number(value)
    if not abs(magnitude) <= _MAX_MAG:
        raise ValueError(f"{column} is {value!r:.60}, not a magnitude")
    return magnitude


def _separation(row: Mapping[str, Any], known: Mapping[str, str], position: Position) -> float | None:
    ra, dec = find("ra", known), find("dec", known)
    if ra is not None and dec is not None:
        ra_deg, dec_deg, _, good = arrays([position, Position(row[ra], row[dec])])
        if not good.all():
            raise ValueError(f"{ra} and {dec} are no position")
        return float(separation_arcsec(ra_deg[0], dec_deg[0], ra_deg[1], dec_deg[1]))
    distance = next((number(row[known[name]]) for name in _DISTANCES if name in known), math.nan)
    return distance if distance >= 0.0 else None
