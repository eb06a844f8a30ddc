"""Packets of one object of ZTF, one for each of its detections."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import fastavro

from .packets import samples

OBJECT = "ZTF21abcdefg"
RA_DEG, DEC_DEG = 190.3811, 26.0427
FIRST_ID = 1_700_000_000_000_000_001
HISTORY = ("jd", "fid", "pid", "programid", "candid", "magpsf", "sigmapsf", "diffmaglim", "isdiffpos", "ra", "dec")
HISTORY += ("distnr", "ranr", "decnr", "rbversion")


@cache
def _decoded(index: int) -> dict[str, Any]:
    (record,) = fastavro.reader(io.BytesIO(samples.payloads("ztf")[index]))
    return record


def packet(
    number: int, *, history: int = 0, stamps: bool = True, object_id: str = OBJECT, **candidate: Any
) -> dict[str, Any]:
    """The packet of an object's detection ``number``, with so many earlier ones in its history."""
    record = dict(_decoded(number % 10))
    fields = {
        "candid": FIRST_ID + number,
        "jd": 2_459_000.5 + 3.125 * number,
        "fid": 1 + number % 2,
        "magpsf": 19.0 - 0.25 * number,
        "sigmapsf": 0.1,
        "isdiffpos": "t",
        "distnr": 0.5,
        "ra": RA_DEG,
        "dec": DEC_DEG,
    }
    record |= {"objectId": object_id, "candid": fields["candid"]}
    record["candidate"] = record["candidate"] | fields | candidate
    earlier = [packet(other, stamps=False)["candidate"] for other in range(number - history, number)]
    record["prv_candidates"] = [{name: row[name] for name in HISTORY} for row in earlier]
    if not stamps:
        record |= dict.fromkeys(samples.CUTOUTS)
    return record


def packets(n: int) -> list[dict[str, Any]]:
    """The packets of an object's first detections, earliest first; the third has lost its stamps."""
    return [packet(number, history=min(number, 2), stamps=number != 2) for number in range(n)]


def write(folder: Path, n: int) -> list[Path]:
    """The packets of an object's first detections as files, in a folder for each."""
    paths = []
    for raw in packets(n):
        path = folder / str(raw["candid"]) / "packet.avro"
        path.parent.mkdir(parents=True)
        path.write_bytes(samples.container(samples.ztf_schema(), [raw]))
        paths.append(path)
    return paths
