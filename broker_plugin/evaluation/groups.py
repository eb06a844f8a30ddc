"""Accuracy of parts of the alerts: by who labelled them, by night, by place on the sky."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from broker_plugin.alert import Identity
from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.intervals import Interval, share
from broker_plugin.tensors.coordinates import galactic

_NOON_MJD_FRACTION = {"ztf": 20.0 / 24.0, "rubin": 0.5}
"""Where a night ends and the next begins, as part of the UTC day: noon at Palomar; noon at UTC-12, as Rubin counts its
days (day_obs: LSST Systems Engineering, LSE-400)."""

_LATITUDE_EDGES_DEG = (0.0, 10.0, 20.0, 40.0, 60.0, 90.0)
_MJD_EPOCH = datetime(1858, 11, 17)
_TRUST = {1: "1 (strong)", 2: "2 (catalogue)", 3: "3 (weak)"}


@dataclass(frozen=True)
class GroupScore:
    """The accuracy of some of the alerts.

    Attributes
    ----------
    classes
        How many of them are of each class.
    """

    name: str
    alerts: int
    objects: int
    accuracy: Interval
    classes: Mapping[str, int]


def tables(answers: Answers) -> dict[str, list[GroupScore]]:
    """By title, a table of parts.  What the labels do not tell, such as their source, has no table."""
    labels, alerts = answers.examples.labels, answers.examples.alerts
    latitudes = _latitude_bins(answers)
    keys: dict[str, list[str]] = {
        "By trust in the label": [_TRUST.get(label.trust, str(label.trust)) for label in labels],
        "By data set": [label.dataset for label in labels],
        "By source of the label": [label.source for label in labels],
        "By metadata": ["changed by somebody" if label.doctored_metadata else "as sent" for label in labels],
        "By Galactic latitude": latitudes,
        "By night": [_night(alert.identity) for alert in alerts],
    }
    told = {title: names for title, names in keys.items() if any(names) and len(set(names)) > 1}
    return {title: _scores(answers, names) for title, names in told.items()}


def _scores(answers: Answers, names: list[str]) -> list[GroupScore]:
    column, objects = np.array(names), np.array(answers.objects)
    scores = []
    for name in sorted(set(names)):
        rows = column == name
        classes = Counter(answers.classes[number] for number in answers.truth[rows])
        accuracy = share(answers.right[rows], objects[rows].tolist())
        scores.append(
            GroupScore(
                name or "not told", int(rows.sum()), len(set(objects[rows])), accuracy, dict(classes.most_common())
            )
        )
    return scores


def _night(identity: Identity) -> str:
    """The date of the night's evening."""
    if identity.mjd is None:
        return ""
    noon = _NOON_MJD_FRACTION.get(identity.survey or "", 0.0)
    return f"{_MJD_EPOCH + timedelta(days=math.floor(identity.mjd - noon)):%Y-%m-%d}"


def _latitude_bins(answers: Answers) -> list[str]:
    identities = [alert.identity for alert in answers.examples.alerts]
    ra_deg, dec_deg = (
        np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        for values in ([i.ra_deg for i in identities], [i.dec_deg for i in identities])
    )
    latitude_deg = np.abs(galactic(ra_deg, dec_deg)[1])
    bins = np.searchsorted(_LATITUDE_EDGES_DEG, latitude_deg, side="right") - 1
    bins = np.clip(bins, 0, len(_LATITUDE_EDGES_DEG) - 2)
    return [
        "" if np.isnan(latitude) else f"|b| {_LATITUDE_EDGES_DEG[i]:.0f} to {_LATITUDE_EDGES_DEG[i + 1]:.0f} deg"
        for i, latitude in zip(bins, latitude_deg, strict=True)
    ]
