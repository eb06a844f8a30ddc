"""Skies to search, made from a seed, and catalogues of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from broker_plugin.crossmatch import Match, Position
from broker_plugin.crossmatch.build import build_catalogue

ARCSEC = 1.0 / 3600.0

# Where grids of the sphere go wrong: both poles, RA 0/360, the corners and edges of HEALPix base cells.
DELICATE = [
    (0.0, 90.0),
    (123.0, -90.0),
    (0.0, 0.0),
    (359.9999999, 12.0),
    (45.0, 0.0),
    (45.0, 41.8103149),
    (90.0, 41.8103149),
    (0.0, 41.8103149),
    (90.0, 66.4435),
    (180.0, -41.8103149),
    (315.0, -66.4435),
]


def patch(
    rng: np.random.Generator, ra_deg: float, dec_deg: float, radius_arcsec: float, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions spread evenly over a disc, on the sphere: right at the poles too."""
    distance = np.radians(radius_arcsec * ARCSEC) * np.sqrt(rng.uniform(size=n))
    angle = rng.uniform(0, 2 * np.pi, n)
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    centre = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    tangent = np.outer(np.cos(angle), north) + np.outer(np.sin(angle), east)
    x, y, z = (np.outer(np.cos(distance), centre) + np.sin(distance)[:, np.newaxis] * tangent).T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def all_sky(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions spread evenly over the sphere."""
    return rng.uniform(0.0, 360.0, n), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n)))


def table(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], **more: Any) -> pa.Table:
    """Rows under IRSA's names; the designation is the row's number."""
    n = len(ra_deg)
    columns = {"designation": [str(i) for i in range(n)], "ra": ra_deg, "dec": dec_deg}
    for band in (1, 2, 3, 4):
        columns[f"w{band}mpro"] = np.round(10.0 + band + np.arange(n) % 1000 / 1000.0, 3)
        columns[f"w{band}sigmpro"] = np.full(n, 0.02 * band)
    return pa.table(columns | more)


def catalogue(folder: Path, rows: pa.Table, rows_per_tile: int = 100_000) -> Path:
    """A catalogue of some rows."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / "rows.parquet")
    build_catalogue([folder / "rows.parquet"], folder / "catalogue", rows_per_tile=rows_per_tile)
    return folder / "catalogue"


def positions(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> list[Position]:
    return [Position(ra, dec) for ra, dec in zip(ra_deg.tolist(), dec_deg.tolist(), strict=True)]


def names(matches: list[Match]) -> list[str | None]:
    """Designation of each counterpart, None where none is there; fails where it wasn't looked up."""
    assert not [match for match in matches if match.not_looked_up is not None]
    return [None if match.counterpart is None else match.counterpart.name for match in matches]
