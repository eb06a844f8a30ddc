"""What Rubin says of a known solar-system object: the ``ssSource`` record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from broker_plugin.simulation import sky
from broker_plugin.simulation.rubin.schema import blank
from broker_plugin.simulation.rubin.source import bearing_rad
from broker_plugin.simulation.scene import Scene


def solar_system_source(scene: Scene, source: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The record of an asteroid that was drawn at random, at the place of a ``diaSource``."""
    ecliptic_longitude, ecliptic_latitude = sky.to_ecliptic(source["ra"], source["dec"])
    galactic_longitude, galactic_latitude = sky.to_galactic(source["ra"], source["dec"])
    object_id, designation = _designation(rng)
    # The trail is the motion during the exposure; degrees per day.
    rate = scene.trail_arcsec / 3600.0 / (scene.exposure.duration_s / 86400.0)
    bearing = bearing_rad(scene.trail_angle_rad, scene.exposure.rotation_rad)
    # Beyond the main belt's inner edge, seen near opposition.
    distance_au = rng.uniform(1.0, 2.5)
    return {
        **blank("ssSource"),
        "diaSourceId": source["diaSourceId"],
        "ssObjectId": object_id,
        "designation": designation,
        "eclLambda": ecliptic_longitude,
        "eclBeta": ecliptic_latitude,
        "galLon": galactic_longitude,
        "galLat": galactic_latitude,
        "elongation": rng.uniform(120.0, 180.0),
        "phaseAngle": rng.uniform(0.0, 25.0),
        "topoRange": distance_au,
        "helioRange": distance_au + rng.uniform(0.85, 1.0),
        "ephRa": source["ra"],
        "ephDec": source["dec"],
        "ephVmag": scene.exposure.magnitude(abs(scene.photometry.flux)) + rng.normal(0.2, 0.3),
        "ephRate": rate,
        "ephRateRa": rate * math.sin(bearing),
        "ephRateDec": rate * math.cos(bearing),
        "ephOffset": 0.0,
        "diaDistanceRank": 1,
    }


def _designation(rng: np.random.Generator) -> tuple[int, str]:
    """A provisional designation, and the id that the survey makes of the characters of its packed form.

    https://www.minorplanetcenter.net/iau/info/PackedDes.html
    """
    year = int(rng.integers(0, 25))
    half_month = "ABCDEFGHJKLMNOPQRSTUVWXY"[rng.integers(24)]
    order = "ABCDEFGHJKLMNOPQRSTUVWXYZ"[rng.integers(25)]
    cycle = int(rng.integers(0, 100))
    packed = f"K{year:02d}{half_month}{cycle:02d}{order}"
    return int.from_bytes(packed.encode("ascii"), "big"), f"20{year:02d} {half_month}{order}{cycle or ''}"
