"""Writes the detections of one object as Rubin alert packets: Confluent wire format around one Avro record each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.measure import position_error_arcsec
from broker_plugin.simulation.rubin.cutouts import cutouts
from broker_plugin.simulation.rubin.history import Row, dia_object, draw_previous_sources
from broker_plugin.simulation.rubin.schema import encode
from broker_plugin.simulation.rubin.solar_system import solar_system_source
from broker_plugin.simulation.rubin.source import dia_source
from broker_plugin.simulation.scene import Scene
from broker_plugin.simulation.targets import Target


class PacketWriter:
    """Writes the detections of one object, earliest first: each packet knows those before it.

    Parameters
    ----------
    target
        The object.
    ra_deg, dec_deg
        Where it is, ICRS.
    rng
        Where all randomness comes from.
    """

    def __init__(self, target: Target, ra_deg: float, dec_deg: float, rng: np.random.Generator) -> None:
        self._target = target
        self._ra_deg, self._dec_deg = ra_deg, dec_deg
        self._history: list[Row] | None = None
        self.object_id = ""

    def write(self, scene: Scene, rng: np.random.Generator) -> tuple[int, bytes]:
        """Write one detection.

        Returns
        -------
        tuple of int and bytes
            Its ``diaSourceId``, and the packet.
        """
        alert = self._alert(scene, rng)
        return alert["diaSourceId"], encode(alert)

    def miss(self, exposure: Exposure) -> None:
        """Nothing: packets of schemas from 8.0 on don't tell of non-detections."""

    def _alert(self, scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
        error_deg = position_error_arcsec(scene.exposure.psf_sigma_arcsec, scene.photometry.snr) / 3600.0
        dra, ddec = rng.normal(0.0, error_deg, 2).tolist()
        ra = (self._ra_deg + dra / math.cos(math.radians(self._dec_deg))) % 360.0
        source = dia_source(scene, ra, self._dec_deg + ddec, rng)
        alert: dict[str, Any] = {
            "diaSourceId": source["diaSourceId"],
            "observation_reason": "simulated",
            "target_name": None,
            "diaSource": source,
            "prvDiaSources": None,
            "prvDiaForcedSources": None,
            "diaObject": None,
            "ssSource": None,
            "mpc_orbits": None,
            **cutouts(scene, ra, self._dec_deg + ddec),
        }
        if scene.class_name == "asteroid":
            alert["ssSource"] = solar_system_source(scene, source, rng)
            source["ssObjectId"] = alert["ssSource"]["ssObjectId"]
            self.object_id = str(source["ssObjectId"])
        else:
            alert |= self._association(source, rng)
        return alert

    def _association(self, source: Row, rng: np.random.Generator) -> dict[str, Any]:
        """Earlier detections of the object, and its record."""
        if self._history is None:
            self._history = draw_previous_sources(self._target, source, rng)
            # An object has the id of its first source.
            self.object_id = str((self._history or [source])[0]["diaSourceId"])
        for detection in (*self._history, source):
            detection["diaObjectId"] = int(self.object_id)
        before = list(self._history)
        self._history.append(source)
        return {"prvDiaSources": before or None, "diaObject": dia_object(int(self.object_id), before, source)}
