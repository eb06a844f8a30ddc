"""Catalogues made of tables: well formed, complete, whatever the table's kind and size."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra crossmatch")
pytest.importorskip("astropy_healpix", reason="needs astropy-healpix, of the extra crossmatch")

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from broker_plugin.crossmatch import HatsCatalogue, Position
from broker_plugin.crossmatch.build import Built, InputError, build_catalogue, tiles_for

from .samples import all_sky, names, positions, table

SKY = all_sky(np.random.default_rng(1), 3000)
ROWS = table(*SKY)


def made(folder: Path) -> pa.Table:
    """All rows of a catalogue, tile by tile in the order of the sky."""
    text = (folder / "partition_info.csv").read_text().splitlines()[1:]
    tiles = [tuple(map(int, line.split(","))) for line in text]
    return pa.concat_tables(
        pq.read_table(folder / "dataset" / f"Norder={order}" / "Dir=0" / f"Npix={pixel}.parquet", partitioning=None)
        for order, pixel in tiles
    )


def write_csv(path: Path) -> None:
    pacsv.write_csv(ROWS, path)


def write_gz(path: Path) -> None:
    write_csv(path.with_suffix(""))
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))


def write_bz2(path: Path) -> None:
    write_csv(path.with_suffix(""))
    path.write_bytes(bz2.compress(path.with_suffix("").read_bytes()))


def write_fits(path: Path) -> None:
    Table({name: np.array(ROWS[name].to_pylist()) for name in ROWS.column_names}).write(path)


WRITERS = {
    "rows.csv": write_csv,
    "rows.csv.gz": write_gz,
    "rows.csv.bz2": write_bz2,
    "rows.fits": write_fits,
    "rows.parquet": lambda path: pq.write_table(ROWS, path),
}


@pytest.mark.parametrize("file", WRITERS)
def test_every_kind_of_table_gives_the_same_catalogue(tmp_path: Path, file: str) -> None:
    WRITERS[file](tmp_path / file)
    built = build_catalogue([tmp_path / file], tmp_path / "out", rows_per_tile=200)
    assert (built.rows, built.left_out) == (3000, 0)
    rows = made(tmp_path / "out").sort_by("ra")
    expected = ROWS.sort_by("ra")
    assert rows.column("ra").equals(expected.column("ra"))
    assert rows.column("designation").to_pylist() == expected.column("designation").to_pylist()
    assert rows.column("w3mpro").to_numpy() == pytest.approx(expected.column("w3mpro").to_numpy(), abs=1e-5)


def test_chunks_make_no_difference(tmp_path: Path) -> None:
    """An input larger than memory gives the catalogue that it would give at once."""
    pq.write_table(ROWS, tmp_path / "rows.parquet", row_group_size=70)
    for chunk_rows in (70, 1_000_000):
        build_catalogue(
            [tmp_path / "rows.parquet"], tmp_path / str(chunk_rows), rows_per_tile=200, chunk_rows=chunk_rows
        )
    assert made(tmp_path / "70").equals(made(tmp_path / "1000000"))


def test_rows_stand_in_their_tile_sorted_and_no_tile_is_too_large(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    built = build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out", rows_per_tile=200)
    tiles = list((tmp_path / "out").glob("dataset/*/*/*.parquet"))
    assert built.tiles == len(tiles) > 12
    for path in tiles:
        order, pixel = int(path.parts[-3].removeprefix("Norder=")), int(path.stem.removeprefix("Npix="))
        index = pq.read_table(path, partitioning=None).column("_healpix_29").to_numpy()
        assert 0 < len(index) <= 200
        assert np.all(index >> (2 * (29 - order)) == pixel)
        assert np.all(np.diff(index) >= 0)


def test_every_row_is_found_again(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out", rows_per_tile=200)
    assert names(HatsCatalogue(tmp_path / "out").match(positions(*SKY))) == [str(row) for row in range(3000)]


def test_hats_calls_it_valid(tmp_path: Path) -> None:
    hats = pytest.importorskip("hats", reason="needs hats, which comes with hats-import of the extra test")
    validation = pytest.importorskip("hats.io.validation")
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out", rows_per_tile=200)
    assert validation.is_valid_catalog(tmp_path / "out", strict=True, verbose=False)
    catalogue = hats.read_hats(tmp_path / "out")
    assert catalogue.catalog_info.total_rows == 3000
    assert len(catalogue.get_healpix_pixels()) == HatsCatalogue(tmp_path / "out").tiles


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_lsdb_finds_the_same(tmp_path: Path) -> None:
    lsdb = pytest.importorskip("lsdb", reason="needs lsdb, which is in no extra")
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out", rows_per_tile=200)
    cone = lsdb.open_catalog(tmp_path / "out").cone_search(float(SKY[0][7]), float(SKY[1][7]), 3.0).compute()
    assert list(cone["designation"]) == ["7"]


def test_columns_of_other_names(tmp_path: Path) -> None:
    renamed = ROWS.rename_columns(["id", "alpha", "delta", *ROWS.column_names[3:]])
    pq.write_table(renamed, tmp_path / "rows.parquet")
    columns = {"designation": "id", "ra": "alpha", "dec": "delta"}
    build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out", columns=columns)
    found = HatsCatalogue(tmp_path / "out").match([Position(float(SKY[0][5]), float(SKY[1][5]))])
    assert names(found) == ["5"]


def test_bands_that_the_input_lacks_are_unknown(tmp_path: Path) -> None:
    pq.write_table(ROWS.drop_columns(["w4mpro", "w4sigmpro"]), tmp_path / "rows.parquet")
    build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out")
    [match] = HatsCatalogue(tmp_path / "out").match([Position(float(SKY[0][5]), float(SKY[1][5]))])
    assert match.counterpart is not None
    assert (match.counterpart.w4_mag, match.counterpart.w3_mag is None) == (None, False)


def test_rows_without_a_position_are_left_out_and_counted(tmp_path: Path) -> None:
    bad = table(np.array([1.0, np.nan, 400.0, 5.0, np.inf]), np.array([1.0, 1.0, 1.0, -91.0, 0.0]))
    pq.write_table(bad, tmp_path / "rows.parquet")
    built = build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out")
    assert (built.rows, built.left_out) == (1, 4)


def test_several_tables_and_folders(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    pq.write_table(ROWS.slice(0, 1000), tmp_path / "a.parquet")
    pacsv.write_csv(ROWS.slice(1000, 1000), tmp_path / "in" / "b.csv")
    pq.write_table(ROWS.slice(2000), tmp_path / "in" / "deep" / "c.parquet")
    (tmp_path / "in" / "README").write_text("not a table")
    assert build_catalogue([tmp_path / "a.parquet", tmp_path / "in"], tmp_path / "out").rows == 3000


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("rows.csv", b"designation,ra,w1mpro\na,1,2\n", "no column dec"),
        ("rows.csv", b"designation,ra,dec\na,1,2\n", "no column of magnitudes"),
        ("rows.csv", b"designation,ra,dec,w1mpro\na,one,2,3\n", "rows.csv"),
        ("rows.csv", b"designation,ra,dec,w1mpro\na,1\n", "rows.csv"),
        ("rows.csv", b"designation,ra,dec,w1mpro\n", "no row with a position"),
        ("rows.csv", b"", "rows.csv"),
        ("rows.parquet", b"PAR1 and so on", "rows.parquet"),
        ("rows.fits", b"SIMPLE  =                    T", "rows.fits"),
        ("rows.txt", b"", "not a file named"),
    ],
)
def test_what_cannot_be_read_is_named_and_leaves_nothing(
    tmp_path: Path, file: str, content: bytes, problem: str
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        build_catalogue([tmp_path / file], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    with pytest.raises(FileExistsError):
        build_catalogue([tmp_path / "rows.parquet"], tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        build_catalogue([tmp_path / "in"], tmp_path / "out")


@pytest.mark.parametrize("rows_per_tile", [1, 10, 1000])
def test_tiles_cover_each_row_once(rows_per_tile: int) -> None:
    counts = np.random.default_rng(2).poisson(0.4, 12 * 4**4)
    tiles = tiles_for(counts, rows_per_tile)
    covered = np.zeros_like(counts)
    for order, pixel in tiles:
        width = 4 ** (4 - order)
        inside = slice(pixel * width, (pixel + 1) * width)
        covered[inside] += 1
        assert 0 < counts[inside].sum() <= rows_per_tile or order == 4
        if order:
            parent = slice(pixel // 4 * 4 * width, (pixel // 4 + 1) * 4 * width)
            assert counts[parent].sum() > rows_per_tile, "no tile is smaller than it has to be"
    assert np.all(covered[counts > 0] == 1)
    assert covered.max() == 1


def test_the_report_tells_what_goes_on(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    told: list[Any] = []
    built = build_catalogue([tmp_path / "rows.parquet"], tmp_path / "out", rows_per_tile=2000, report=told.append)
    assert isinstance(built, Built)
    assert told[0] == "3,000 rows read"
    assert told[-1] == f"tile {built.tiles} of {built.tiles}"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """Five times the rows, and less than 100 MB more."""
    rng = np.random.default_rng(4)
    part = table(*all_sky(rng, 500_000))
    peaks_mb = []
    for parts in (2, 10):
        path = tmp_path / f"{parts}.parquet"
        with pq.ParquetWriter(path, part.schema) as writer:
            for _ in range(parts):
                writer.write_table(part)
        code = (
            "import resource; from pathlib import Path; from broker_plugin.crossmatch.build import build_catalogue;"
            f"build_catalogue([Path({str(path)!r})], Path({str(path) + '-out'!r}),"
            "chunk_rows=250_000, rows_per_tile=50_000);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks_mb.append(int(run.stdout))
    assert peaks_mb[1] < peaks_mb[0] + 100
