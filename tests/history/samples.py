"""Detections and batches of them for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from broker_plugin.history import ObjectKey, ObjectStore, RememberedDetection
from broker_plugin.history.detection import encode

FORM = "form-1"
SN = ObjectKey("ztf", "ZTF21abcdefg")
AGN = ObjectKey("ztf", "ZTF18agnagna")
RUBIN = ObjectKey("rubin", "313853499872346134")


def detection(
    alert_id: int, mjd: float = 59000.0, *, stamped: bool = False, band: str | None = "g", size: int = 3, seed: int = 0
) -> RememberedDetection:
    rng = np.random.default_rng([seed, alert_id])
    values = rng.normal(size=4).astype(np.float32)
    values[1] = np.nan
    stamps = rng.random((size, size, 3)).astype(np.float16) if stamped else None
    return RememberedDetection(alert_id, mjd, band, stamps, values)


def encoded(detections: Sequence[RememberedDetection]) -> list[bytes]:
    return [encode(one).data for one in detections]


def ids(store: ObjectStore, key: ObjectKey) -> list[int]:
    return [one.alert_id for one in store.recall([key])[0]]


def size_bytes(*detections: RememberedDetection) -> int:
    return sum(map(len, encoded(detections)))
