"""What a look-up costs.  `make bench` runs it; one core, one thread.

A catalogue of a million rows over 5 square degrees, as dense as the Galactic plane in AllWISE, in tiles of up to a
million; batches of 128 alerts, one in two beside a source.  The time of each line is of one batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from broker_plugin.crossmatch import HatsCatalogue, Position, match_given
from broker_plugin.crossmatch.build import build_catalogue

ROWS = 1_000_000
BATCH = 128


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dense")
    rng = np.random.default_rng(1)
    ra, dec = _places(rng, ROWS)
    columns = {"designation": [f"J{i:019d}" for i in range(ROWS)], "ra": ra, "dec": dec}
    for band in (1, 2, 3, 4):
        columns[f"w{band}mpro"] = np.round(rng.normal(15.0, 1.0, ROWS), 3)
        columns[f"w{band}sigmpro"] = np.round(rng.uniform(0.02, 0.5, ROWS), 3)
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    build_catalogue([folder / "rows.parquet"], folder / "dense")
    return folder / "dense"


def _places(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return 281.0 + rng.uniform(0.0, 2.236, n), rng.uniform(-2.0, 0.236, n)


def _batch(rng: np.random.Generator) -> list[Position]:
    return [Position(ra, dec, 60000.0) for ra, dec in zip(*_places(rng, BATCH), strict=True)]


@pytest.mark.parametrize("radius_arcsec", [3.0, 20.0])
def test_128_alerts_in_a_warm_tile(benchmark: BenchmarkFixture, catalogue: Path, radius_arcsec: float) -> None:
    warm = HatsCatalogue(catalogue, radius_arcsec=radius_arcsec)
    rng = np.random.default_rng(2)
    warm.match(_batch(rng))
    batches = [_batch(rng) for _ in range(50)]
    benchmark.pedantic(warm.match, setup=lambda: ((batches.pop(),), {}), rounds=50)


def test_128_alerts_in_a_warm_tile_with_a_deadline(benchmark: BenchmarkFixture, catalogue: Path) -> None:
    warm = HatsCatalogue(catalogue)
    batch = _batch(np.random.default_rng(2))
    warm.match(batch)
    benchmark(warm.match, batch, timeout_s=0.05)


def test_1_alert_in_a_warm_tile(benchmark: BenchmarkFixture, catalogue: Path) -> None:
    warm = HatsCatalogue(catalogue)
    one = _batch(np.random.default_rng(2))[:1]
    warm.match(one)
    benchmark(warm.match, one)


def test_128_alerts_in_cold_tiles(benchmark: BenchmarkFixture, catalogue: Path) -> None:
    """All million rows are read."""
    batch = _batch(np.random.default_rng(2))
    benchmark(lambda: HatsCatalogue(catalogue).match(batch))


def test_128_alerts_that_the_broker_has_matched(benchmark: BenchmarkFixture) -> None:
    row = {"ra": 10.0, "dec": 20.0, "designation": "J004000.00+200000.0"}
    row |= {f"w{band}mpro": 15.0 for band in (1, 2, 3, 4)} | {f"w{band}sigmpro": 0.1 for band in (1, 2, 3, 4)}
    benchmark(lambda: [match_given({"allwise": row}, Position(10.0, 20.0)) for _ in range(BATCH)])
