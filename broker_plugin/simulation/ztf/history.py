"""What ZTF has seen of an object before: thirty days of epochs in each packet, and the counts over all years."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from broker_plugin.simulation.measure import magnitude_error
from broker_plugin.simulation.psf import gaussian_sigma
from broker_plugin.simulation.targets import Target
from broker_plugin.simulation.ztf.candidate import JD_MINUS_MJD, candidate_id, processing_id
from broker_plugin.simulation.ztf.exposure import MJD_OF_FIRST_NIGHT
from broker_plugin.simulation.ztf.schema import prv_candidate_names

Row = dict[str, Any]

_WINDOW_DAYS = 30.0
_JD_OF_SURVEY = MJD_OF_FIRST_NIGHT + 440.0 + JD_MINUS_MJD
"""The survey began in March 2018."""

_EPOCHS_PER_WINDOW = 18.0
"""Typical number of exposures in thirty days."""

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
        count = min(int(_EPOCHS_PER_WINDOW * rng.lognormal(0.0, 0.7)), 80)
        ages = np.sort(rng.uniform(0.01, _WINDOW_DAYS, count))[::-1]
        recurs = rng.random() < _RECURRENCE[target.class_name]
        ages = ages[jd - ages > _JD_OF_SURVEY]
        fids = rng.integers(1, 3, ages.size)
        changes_njy = np.where(fids == 1, target.change_njy(-ages, "g"), target.change_njy(-ages, "r"))
        seen = rng.random(ages.size) < _DETECTION_SHARE[target.class_name] * recurs
        rows = []
        for age, fid, change_njy, shown in zip(
            ages.tolist(), fids.tolist(), changes_njy.tolist(), seen.tolist(), strict=True
        ):
            row = _upper_limit(candidate, jd - age, fid, rng)
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

    def pass_time(self, candidate: Mapping[str, Any], rng: np.random.Generator) -> None:
        """Fill the time since the last detection with exposures too shallow to show the object."""
        start, jd = self._rows[-1]["jd"], candidate["jd"]
        for when in np.sort(rng.uniform(start, jd, rng.poisson(0.15 * (jd - start)))).tolist():
            row = _upper_limit(candidate, when, int(rng.integers(1, 3)), rng)
            row["diffmaglim"] = min(row["diffmaglim"], candidate["magpsf"] - rng.uniform(0.05, 0.5))
            self._rows.append(row)
            self._coverage += 1


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


def _upper_limit(candidate: Mapping[str, Any], jd: float, fid: int, rng: np.random.Generator) -> Row:
    mjd = jd - JD_MINUS_MJD
    copied = ("programpi", "programid", "rcid", "field", "magzpsci", "magzpscirms", "clrcoeff", "clrcounc", "rbversion")
    return {
        # The first of a record's nullable fields have no default; the rest fall back to theirs.
        **dict.fromkeys(("candid", "isdiffpos", "ra", "dec", "magpsf", "sigmapsf", "ranr", "decnr")),
        **{name: candidate[name] for name in copied},
        "jd": round(jd, 7),
        "fid": fid,
        "pid": processing_id(mjd, candidate["rcid"]),
        "nid": int(mjd - MJD_OF_FIRST_NIGHT),
        "diffmaglim": candidate["diffmaglim"] + rng.normal(0.0, 0.3),
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
