"""Simulated packets, decoded without any code of the project."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
from astropy.io import fits
from lsst.alert.packet import Schema, get_schema_path

from broker_plugin.simulation import simulate_packets

SEED = 11
PER_SURVEY = 100


@dataclass(frozen=True)
class Decoded:
    """A packet's class, its record and its science, template and difference stamp."""

    class_name: str
    alert_id: int
    record: dict[str, Any]
    stamps: tuple[np.ndarray, np.ndarray, np.ndarray]


@cache
def rubin_schema() -> Schema:
    return Schema.from_file(str(Path(get_schema_path(11, 1)) / "lsst.v11_1.alert.avsc"))


def open_fits(content: bytes) -> fits.HDUList:
    hdus = fits.open(io.BytesIO(content))
    hdus.verify("exception")
    return hdus


def _image(content: bytes) -> np.ndarray:
    return np.asarray(open_fits(content)[0].data)


def _decode_ztf(payload: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    (record,) = fastavro.reader(io.BytesIO(payload))
    names = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
    return record, [_image(gzip.decompress(record[name]["stampData"])) for name in names]


def _decode_rubin(payload: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    record = rubin_schema().deserialize(payload[5:])
    names = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
    return record, [_image(record[name]) for name in names]


def _decoded(survey: str) -> list[Decoded]:
    decode = {"ztf": _decode_ztf, "rubin": _decode_rubin}[survey]
    alerts = []
    for packet in simulate_packets(survey, PER_SURVEY, SEED):
        record, stamps = decode(packet.payload)
        alerts.append(Decoded(packet.class_name, packet.alert_id, record, tuple(stamps)))
    return alerts


@pytest.fixture(scope="session")
def ztf_alerts() -> list[Decoded]:
    return _decoded("ztf")


@pytest.fixture(scope="session")
def rubin_alerts() -> list[Decoded]:
    return _decoded("rubin")
