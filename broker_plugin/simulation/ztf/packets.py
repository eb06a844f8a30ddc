"""Writes the detections of one object as ZTF alert packets: Avro containers of one record each, schema 4.02."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from isal import igzip

from broker_plugin.simulation import fits
from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.measure import position_error_arcsec
from broker_plugin.simulation.scene import Scene
from broker_plugin.simulation.subtraction import Stamp
from broker_plugin.simulation.targets import Target
from broker_plugin.simulation.ztf import candidate as detection
from broker_plugin.simulation.ztf import catalogues
from broker_plugin.simulation.ztf.candidate import QUADRANT, STAMP_PIXELS, candidate_id
from broker_plugin.simulation.ztf.history import History
from broker_plugin.simulation.ztf.schema import VERSION, encode

_JD_OF_2017 = 2457754.5


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
        self._letters = "".join(chr(97 + letter) for letter in rng.integers(0, 26, 7))
        self._catalogue_seed = int(rng.integers(2**63))
        self._history: History | None = None
        self._misses: list[Exposure] = []
        self.object_id = ""

    def write(self, scene: Scene, rng: np.random.Generator) -> tuple[int, bytes]:
        """Write one detection.

        Returns
        -------
        tuple of int and bytes
            Its ``candid``, and the packet.
        """
        alert = self._alert(scene, rng)
        return alert["candid"], encode(alert)

    def miss(self, exposure: Exposure) -> None:
        """Remember an exposure after the first detection that did not show the object."""
        self._misses.append(exposure)

    def _alert(self, scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
        """The record: what the image determines is measured on it or follows from its truth, the rest is drawn."""
        candidate = self._candidate(scene, rng)
        if self._history is None:
            self._history = History.drawn(self._target, candidate, rng)
            # Objects are named after the year of their first detection.
            name_year = 17 + int((self._history.first_jd - _JD_OF_2017) / 365.25)
            self.object_id = f"ZTF{name_year:02d}{self._letters}"
        else:
            self._history.add_misses(candidate, self._misses)
            self._misses.clear()
        candidate |= self._history.counts(candidate["jd"])
        rows = self._history.rows(candidate["jd"])
        self._history.add(candidate)
        candid = candidate["candid"]
        files = f"candid{candid}_pid{candidate['pid']}_targ"
        positive = candidate["isdiffpos"] == "t"
        return {
            "schemavsn": VERSION,
            "publisher": "simulated (broker_plugin.simulation)",
            "objectId": self.object_id,
            "candid": candid,
            "candidate": candidate,
            "prv_candidates": rows or None,
            "fp_hists": None,
            "cutoutScience": _cutout(f"{files}_sci.fits.gz", scene.science, candidate),
            "cutoutTemplate": _cutout(f"candid{candid}_ref.fits.gz", scene.template, candidate),
            # ZTF subtracts the other way round for a source that faded: the detection is bright either way.
            "cutoutDifference": _cutout(
                f"{files}_scimref.fits.gz", scene.difference if positive else -scene.difference, candidate
            ),
        }

    def _candidate(self, scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
        error_deg = position_error_arcsec(scene.exposure.psf_sigma_arcsec, scene.photometry.snr) / 3600.0
        dra, ddec = rng.normal(0.0, error_deg, 2).tolist()
        ra = (self._ra_deg + dra / math.cos(math.radians(self._dec_deg))) % 360.0
        dec = self._dec_deg + ddec
        # A catalogue says the same of the place at each detection.
        catalogue = np.random.default_rng(self._catalogue_seed)
        candidate: dict[str, Any] = {
            **detection.epoch_fields(scene, rng),
            "ra": ra,
            "dec": dec,
            **detection.detection_fields(scene, rng),
            **detection.shape_fields(scene, rng),
            **detection.stamp_fields(scene),
            **detection.score_fields(scene, rng),
            **catalogues.reference_fields(scene, ra, dec, rng),
            **catalogues.panstarrs_fields(scene, catalogue),
            **catalogues.gaia_fields(scene, catalogue),
            **catalogues.solar_system_fields(scene, rng),
            **detection.calibration_fields(scene, rng),
        }
        candidate["candid"] = candidate_id(candidate["pid"], candidate["isdiffpos"] == "t", candidate["tblid"])
        candidate["magfromlim"] = candidate["diffmaglim"] - candidate["magap"]
        return candidate


def _cutout(file_name: str, stamp: Stamp, candidate: Mapping[str, Any]) -> dict[str, Any]:
    rows, columns = _within(candidate["ypos"], QUADRANT[1]), _within(candidate["xpos"], QUADRANT[0])
    image = fits.primary_hdu(stamp[rows, columns], [("BUNIT", "DN")])
    # No time stamp in the gzip header: it would make each run's bytes different.  Noise hardly compresses.
    return {"fileName": file_name, "stampData": igzip.compress(image, compresslevel=1, mtime=0)}


def _within(position: float, length: int) -> slice:
    """The part of a stamp's axis that is on the quadrant: the survey cuts the rest off."""
    half = STAMP_PIXELS // 2
    centre = round(position - 1.0)
    return slice(max(0, half - centre), STAMP_PIXELS - max(0, centre + half - (length - 1)))
