"""What ZTF has seen of an object before: thirty days of epochs in each packet, and the counts over all years."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from broker_plugin.simulation.cadence import Visit
from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.measure import magnitude_error
from broker_plugin.simulation.psf import gaussian_sigma
from broker_plugin.simulation.targets import Target
from broker_plugin.simulation.ztf.candidate import FILTERS, JD_MINUS_MJD, candidate_id, processing_id
from broker_plugin.simulation.ztf.exposure import CADENCE, MJD_OF_FIRST_NIGHT
from broker_plugin.simulation.ztf.schema import prv_candidate_names

Row = dict[str, Any]

_WINDOW_DAYS = 30.0
_JD_OF_SURVEY = MJD_OF_FIRST_NIGHT + 440.0 + JD_MINUS_MJD
"""The survey began in March 2018."""

_DETECTION_SHARE = {"AGN": 0.85, "SN": 0.9, "VS": 0.7, "asteroid": 0.0, "bogus": 0.6}
"""How many of the exposures that show it have become alerts."""

_RECURRENCE = {"AGN": 1.0, "SN": 1.0, "VS": 1.0, "asteroid": 0.0, "bogus": 0.15}
"""How many objects are there in earlier exposures at all."""

_LOG_OLDER_DETECTIONS = {"AGN": (6.2, 1.1), "VS": (5.4, 1.2)}
"""Mean and standard deviation of the logarithm of the number of detections before the window."""

_OLDER_DAYS = 2000.0


@dataclass
class History:
    """The epochs before an alert.

    Attributes
    ----------
    first_jd
        Julian date of the object's first detection.
    """

    first_jd: float
    _rows: list[Row]
    _detections: int
    _coverage: int

    @classmethod
    def drawn(cls, target: Target, candidate: Mapping[str, Any], rng: np.random.Generator) -> History:
        """Draw the history that an object has at its first packet, from its light curve and the survey's limits."""
        jd = candidate["jd"]
        recurs = rng.random() < _RECURRENCE[target.class_name]
        visits = CADENCE.before(jd - JD_MINUS_MJD, _WINDOW_DAYS, rng)
        days = np.array([visit.mjd for visit in visits]) + JD_MINUS_MJD - jd
        is_g = np.array([visit.band == "g" for visit in visits], dtype=bool)
        changes_njy = np.where(is_g, target.change_njy(days, "g"), target.change_njy(days, "r"))
        seen = rng.random(len(visits)) < _DETECTION_SHARE[target.class_name] * recurs
        rows = []
        for visit, change_njy, shown in zip(visits, changes_njy.tolist(), seen.tolist(), strict=True):
            row = _upper_limit(candidate, visit, candidate["diffmaglim"] + rng.normal(0.0, 0.3))
            magnitude = _magnitude(change_njy)
            if shown and magnitude < row["diffmaglim"]:
                row |= _detection(candidate, row, magnitude, change_njy > 0.0, rng)
            rows.append(row)
        in_window = sum(row["candid"] is not None for row in rows)
        older, older_days = _older_detections(target, jd, candidate["diffmaglim"], rng)
        first = next((row["jd"] for row in rows if row["candid"] is not None), jd)
        coverage = len(rows) + older + int(rng.lognormal(6.2, 1.0))
        return cls(jd - older_days if older else first, rows, older + in_window, coverage)

    def counts(self, jd: float) -> Row:
        """The candidate's fields that count detections, this one included, and exposures."""
        return {
            "ndethist": self._detections + 1,
            "ncovhist": self._coverage + 1,
            "jdstarthist": self.first_jd,
            "jdendhist": jd,
        }

    def rows(self, jd: float) -> list[Row]:
        """The rows of the packet: the thirty days before it, oldest first."""
        return [row for row in self._rows if jd - _WINDOW_DAYS <= row["jd"] < jd]

    def add(self, candidate: Mapping[str, Any]) -> None:
        """Remember a detection for the packets after it."""
        self._rows.append({name: candidate[name] for name in prv_candidate_names()})
        self._detections += 1
        self._coverage += 1

    def add_misses(self, candidate: Mapping[str, Any], exposures: Sequence[Exposure]) -> None:
        """Remember the exposures since the last detection that did not show the object, as upper limits."""
        for exposure in exposures:
            self._rows.append(_upper_limit(candidate, Visit(exposure.mjd, exposure.band), exposure.limit_mag))
        self._coverage += len(exposures)


def _older_detections(target: Target, jd: float, limit_mag: float, rng: np.random.Generator) -> tuple[int, float]:
    """How often it was detected before the window, and how many days ago first."""
    longest = min(jd - _JD_OF_SURVEY, _OLDER_DAYS)
    if target.class_name in _LOG_OLDER_DETECTIONS and longest > 2.0 * _WINDOW_DAYS:
        older = int(rng.lognormal(*_LOG_OLDER_DETECTIONS[target.class_name]))
        return min(older, int(2.0 * longest)), rng.uniform(_WINDOW_DAYS + 1.0, longest)
    if target.class_name != "SN":
        return 0, 0.0
    ages = np.arange(_WINDOW_DAYS + 1.0, max(min(longest, 150.0), _WINDOW_DAYS + 2.0), 1.5)
    limit_njy = 10.0 ** (0.4 * (31.4 - limit_mag))
    seen = ages[target.change_njy(-ages, "r") > limit_njy]
    return (0, 0.0) if seen.size == 0 else (int(seen.size), float(seen.max()))


def _magnitude(change_njy: float) -> float:
    return 31.4 - 2.5 * math.log10(max(abs(change_njy), 1e-3))


def _upper_limit(candidate: Mapping[str, Any], visit: Visit, limit_mag: float) -> Row:
    copied = ("programpi", "programid", "rcid", "field", "magzpsci", "magzpscirms", "clrcoeff", "clrcounc", "rbversion")
    return {
        # The first of a record's nullable fields have no default; the rest fall back to theirs.
        **dict.fromkeys(("candid", "isdiffpos", "ra", "dec", "magpsf", "sigmapsf", "ranr", "decnr")),
        **{name: candidate[name] for name in copied},
        "jd": round(visit.mjd + JD_MINUS_MJD, 7),
        "fid": FILTERS[visit.band],
        "pid": processing_id(visit.mjd, candidate["rcid"]),
        "nid": int(visit.mjd - MJD_OF_FIRST_NIGHT),
        "diffmaglim": limit_mag,
    }


def _detection(
    candidate: Mapping[str, Any], limit: Mapping[str, Any], true_mag: float, positive: bool, rng: np.random.Generator
) -> Row:
    """What a detection has and an upper limit lacks."""
    snr = 5.0 * 10.0 ** (0.4 * (limit["diffmaglim"] - true_mag))
    magpsf = min(true_mag + rng.normal(0.0, magnitude_error(snr)), limit["diffmaglim"])
    tblid = int(rng.integers(60))
    constant = ("distnr", "magnr", "sigmagnr", "chinr", "sharpnr", "ssdistnr", "ssmagnr", "ssnamenr", "ranr", "decnr")
    like_now = ("nbad", "nneg", "sumrat", "classtar", "rb", "xpos", "ypos")
    scattered = ("chipsf", "fwhm", "aimage", "bimage", "seeratio")
    error_deg = gaussian_sigma(2.2) / 5.0 / 3600.0
    return {
        **{name: candidate[name] for name in (*constant, *like_now)},
        **{name: candidate[name] * rng.lognormal(0.0, 0.1) for name in scattered},
        "isdiffpos": "t" if positive else "f",
        "candid": candidate_id(limit["pid"], positive, tblid),
        "tblid": tblid,
        "ra": candidate["ra"] + rng.normal(0.0, error_deg) / math.cos(math.radians(candidate["dec"])),
        "dec": candidate["dec"] + rng.normal(0.0, error_deg),
        "magpsf": magpsf,
        "sigmapsf": magnitude_error(snr),
        "scorr": snr,
    }
