"""Making a catalogue in HATS layout out of tables, however large.

An external merge sort by HEALPix cell: chunks of the input are sorted and put aside, counted cell by cell, and then
read side by side in the order of the sky.  Memory holds one chunk, or one tile and a little of each chunk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin._version import __version__
from broker_plugin.crossmatch.columns import PHOTOMETRY, find, lowered
from broker_plugin.crossmatch.hats import PROPERTIES, tile_path
from broker_plugin.crossmatch.sky import FINEST_ORDER, Cells, cells, extra, first_within, on_the_sky

ROWS_PER_TILE = 1_000_000
CHUNK_ROWS = 2_000_000

_INDEX = "_healpix_29"
_COUNTING_ORDER = 9
"""Cells 7 arcmin wide, in which rows are counted; no tile is smaller."""

_BATCH_ROWS = 16_384
_CSV_BLOCK_BYTES = 16 << 20
_FITS_ROWS = 200_000
SUFFIXES = (".csv", ".csv.gz", ".csv.bz2", ".fits", ".fit", ".parquet")

Report = Callable[[str], None]


class InputError(ValueError):
    """A table that no catalogue can be made of; the message names the file."""


@dataclass(frozen=True, slots=True)
class Built:
    """What was made.

    Attributes
    ----------
    rows, tiles
        Numbers of them.
    left_out
        Rows without a position on the sky.
    nbytes
        Size of the Parquet files.
    """

    rows: int
    tiles: int
    left_out: int
    nbytes: int


def build_catalogue(
    inputs: Sequence[Path],
    out: Path,
    *,
    columns: Mapping[str, str] | None = None,
    rows_per_tile: int = ROWS_PER_TILE,
    chunk_rows: int = CHUNK_ROWS,
    report: Report = lambda _: None,
) -> Built:
    """Make a catalogue of the columns that crossmatching needs.

    Parameters
    ----------
    inputs
        Tables: CSV (also ``.gz`` and ``.bz2``), FITS, Parquet, or folders of them.
    out
        Folder of the catalogue.  It must not be there; it appears when the catalogue is whole.
    columns
        What IRSA's columns are called in the input, where they have a name that isn't known.
    rows_per_tile
        A cell of the sky with more rows than this is cut into four.
    chunk_rows
        How many rows to hold in memory.
    report
        Told what is going on.

    Raises
    ------
    InputError
        The input can't be read, or lacks a column.
    FileExistsError
        There is something at ``out``.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already")
    files = _files(inputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:
        runs = _Runs(Path(work), chunk_rows, report)
        for file in files:
            runs.add(file, columns or {})
        runs.close()
        if not runs.rows:
            raise InputError("the input has no row with a position")
        made = Path(work, "catalogue")
        tiles = tiles_for(runs.counts, rows_per_tile)
        nbytes = _write_tiles(made, tiles, runs, report)
        _write_properties(made, out.name, tiles, runs.rows, rows_per_tile, nbytes)
        made.rename(out)
    return Built(runs.rows, len(tiles), runs.left_out, nbytes)


def tiles_for(counts: NDArray[np.int64], rows_per_tile: int) -> list[tuple[int, int]]:
    """Divide the sky into cells that hold at most so many rows, as far as there are cells so small.

    Parameters
    ----------
    counts
        Rows in each cell of one order, nested scheme; shape (12 * 4**order,).

    Returns
    -------
    list of (order, pixel)
        In the order of the sky, none empty.
    """
    pyramid = [counts]
    while len(pyramid[0]) > 12:
        pyramid.insert(0, pyramid[0].reshape(-1, 4).sum(axis=1))
    finest = len(pyramid) - 1
    tiles, pixels = [], np.arange(12)
    for order, count in enumerate(pyramid):
        is_tile = (count[pixels] > 0) & ((count[pixels] <= rows_per_tile) | (order == finest))
        tiles += [(order, pixel) for pixel in pixels[is_tile].tolist()]
        split = pixels[~is_tile & (count[pixels] > 0)]
        pixels = (4 * split[:, np.newaxis] + np.arange(4)).ravel()
    return sorted(tiles, key=lambda tile: first_within(tile[1], tile[0]))


class _Runs:
    """Sorted chunks of the input on disk, and how many rows there are in each cell."""

    def __init__(self, folder: Path, chunk_rows: int, report: Report) -> None:
        self._folder = folder
        self._chunk_rows = chunk_rows
        self._report = report
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self.paths: list[Path] = []
        self.counts = np.zeros(12 * 4**_COUNTING_ORDER, np.int64)
        self.rows = 0
        self.left_out = 0

    def add(self, file: Path, columns: Mapping[str, str]) -> None:
        """Take the rows of a file."""
        for batch in _read(file, columns):
            kept = _with_index(batch)
            self.left_out += len(batch) - len(kept)
            self._waiting.append(kept)
            self._waiting_rows += len(kept)
            if self._waiting_rows >= self._chunk_rows:
                self.close()

    def close(self) -> None:
        """Write what waits."""
        if not self._waiting_rows:
            return
        chunk = extra("pyarrow").concat_tables(self._waiting).sort_by(_INDEX)
        self._waiting, self._waiting_rows = [], 0
        index = chunk.column(_INDEX).to_numpy() >> (2 * (FINEST_ORDER - _COUNTING_ORDER))
        which, counts = np.unique(index, return_counts=True)
        self.counts[which] += counts
        self.rows += len(chunk)
        self.paths.append(self._folder / f"run-{len(self.paths)}.parquet")
        extra("pyarrow.parquet").write_table(
            chunk, self.paths[-1], row_group_size=_BATCH_ROWS, compression="lz4", use_dictionary=False
        )
        self._report(f"{self.rows:,} rows read")


class _Cursor:
    """Reads one run from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._batches: Iterator[Any] = _open_parquet(path).iter_batches(_BATCH_ROWS, use_threads=False)
        self._rest: Any = next(self._batches, None)

    def take_below(self, end: int) -> list[Any]:
        """The next rows, as far as their cell comes before ``end``."""
        taken = []
        while self._rest is not None:
            cut = int(np.searchsorted(self._rest.column(_INDEX).to_numpy(), end))
            taken.append(self._rest.slice(0, cut))
            if cut < len(self._rest):
                self._rest = self._rest.slice(cut)
                break
            self._rest = next(self._batches, None)
        return taken


def _write_tiles(out: Path, tiles: Sequence[tuple[int, int]], runs: _Runs, report: Report) -> int:
    pa, pq = extra("pyarrow"), extra("pyarrow.parquet")
    cursors = [_Cursor(path) for path in runs.paths]
    dataset, collected, nbytes = out / "dataset", [], 0
    for done, (order, pixel) in enumerate(tiles, start=1):
        end = first_within(pixel + 1, order)
        batches = [batch for cursor in cursors for batch in cursor.take_below(end)]
        table = pa.Table.from_batches(batches, schema=_schema()).sort_by(_INDEX)
        path = out / tile_path(order, pixel)
        path.parent.mkdir(parents=True, exist_ok=True)
        written: list[Any] = []
        pq.write_table(table, path, compression="zstd", metadata_collector=written)
        written[0].set_file_path(path.relative_to(dataset).as_posix())
        collected += written
        nbytes += path.stat().st_size
        report(f"tile {done:,} of {len(tiles):,}")
    pq.write_metadata(_schema(), dataset / "_metadata", metadata_collector=collected)
    pq.write_metadata(_schema(), dataset / "_common_metadata")
    return nbytes


def _write_properties(
    out: Path, name: str, tiles: Sequence[tuple[int, int]], rows: int, rows_per_tile: int, nbytes: int
) -> None:
    lines = ["Norder,Npix", *(f"{order},{pixel}" for order, pixel in tiles)]
    (out / "partition_info.csv").write_text("\n".join(lines) + "\n", encoding="ascii")
    properties = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": rows,
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": _INDEX,
        "hats_col_healpix_order": FINEST_ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_max_rows": rows_per_tile,
        "hats_estsize": nbytes // 1024,
        "hats_order": max(order for order, _ in tiles),
        "moc_sky_fraction": f"{sum(4.0**-order for order, _ in tiles) / 12:.5f}",
        "hats_builder": f"broker-plugin v{__version__}",
        "hats_creation_date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%MUTC"),
        "hats_version": "v1.0",
    }
    text = "#HATS catalog\n" + "".join(f"{key}={value}\n" for key, value in properties.items())
    for file in PROPERTIES:
        (out / file).write_text(text, encoding="utf-8")


def _schema() -> Any:
    pa = extra("pyarrow")
    return pa.schema(
        [
            (_INDEX, pa.int64()),
            ("designation", pa.string()),
            ("ra", pa.float64()),
            ("dec", pa.float64()),
            *((name, pa.float32()) for name in PHOTOMETRY),
        ]
    )


def _with_index(batch: Any) -> Any:
    """Rows that have a position, with its cell."""
    pa = extra("pyarrow")
    ra_deg, dec_deg = batch.column("ra").to_numpy(), batch.column("dec").to_numpy()
    good = np.flatnonzero(on_the_sky(ra_deg, dec_deg))
    index: Cells = cells(ra_deg[good], dec_deg[good], FINEST_ORDER)
    kept = batch.take(pa.array(good))
    return kept.add_column(0, _INDEX, pa.array(index)).cast(_schema())


def _files(inputs: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.name.lower().endswith(SUFFIXES) and p.is_file())
            if not inside:
                raise InputError(f"{path} holds no file named {', '.join(SUFFIXES)}")
            files += inside
        else:
            files.append(path)
    return files


def _read(file: Path, renamed: Mapping[str, str]) -> Iterator[Any]:
    """What `_batches` gives, with one kind of error for all that can be wrong with a file."""
    try:
        yield from _batches(file, renamed)
    except InputError:
        raise
    except (extra("pyarrow").ArrowException, OSError, ValueError, TypeError, KeyError) as problem:
        raise InputError(f"{file}: {problem}") from problem


def _batches(file: Path, renamed: Mapping[str, str]) -> Iterator[Any]:
    """Tables of the columns that are needed, under IRSA's names, a part of the file at a time."""
    name = file.name.lower()
    if name.endswith((".fits", ".fit")):
        return _fits_batches(file, renamed)
    if name.endswith(".parquet"):
        return _parquet_batches(file, renamed)
    if name.endswith(SUFFIXES):
        return _csv_batches(file, renamed)
    raise InputError(f"{file}: not a file named {', '.join(SUFFIXES)}")


def _names_in(file: Path, names: Sequence[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """The input's name of each column, by IRSA's name; bands that it doesn't have are left out."""
    found, known = {}, lowered(names)
    for column in ("designation", "ra", "dec", *PHOTOMETRY):
        theirs = renamed.get(column) or find(column, known)
        if theirs is not None and theirs in names:
            found[column] = theirs
        elif column not in PHOTOMETRY or column in renamed:
            raise InputError(f"{file} has no column {theirs or column}, it has {', '.join(names)[:200]}")
    if not any(column in found for column in PHOTOMETRY):
        raise InputError(f"{file} has no column of magnitudes, such as {PHOTOMETRY[0]}: {', '.join(names)[:200]}")
    return found


def _standard(columns: Mapping[str, Any], length: int) -> Any:
    """A table with every column of the schema but the index, nulls where the input has none."""
    pa = extra("pyarrow")
    fields = [field for field in _schema() if field.name != _INDEX]
    filled = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(length, field.type)
        for field in fields
    ]
    return pa.table(filled, names=[field.name for field in fields])


def _open_parquet(path: Path) -> Any:
    # With the buffer it would hold all that was read so far.
    return extra("pyarrow.parquet").ParquetFile(path, pre_buffer=False)


def _parquet_batches(file: Path, renamed: Mapping[str, str]) -> Iterator[Any]:
    parquet = _open_parquet(file)
    names = _names_in(file, parquet.schema_arrow.names, renamed)
    for batch in parquet.iter_batches(columns=list(names.values())):
        yield _standard({ours: batch.column(theirs) for ours, theirs in names.items()}, len(batch))


def _csv_batches(file: Path, renamed: Mapping[str, str]) -> Iterator[Any]:
    pa, pacsv = extra("pyarrow"), extra("pyarrow.csv")
    read = pacsv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
    with pacsv.open_csv(file, read_options=read) as head:
        names = _names_in(file, head.schema.names, renamed)
    types = {theirs: pa.string() if ours == "designation" else pa.float64() for ours, theirs in names.items()}
    convert = pacsv.ConvertOptions(include_columns=list(types), column_types=types, strings_can_be_null=True)
    with pacsv.open_csv(file, read_options=read, convert_options=convert) as reader:
        for batch in reader:
            yield _standard({ours: batch.column(theirs) for ours, theirs in names.items()}, len(batch))


def _fits_batches(file: Path, renamed: Mapping[str, str]) -> Iterator[Any]:
    fits = extra("astropy.io.fits")
    with fits.open(file, memmap=True) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        if not tables:
            raise InputError(f"{file} has no table")
        names = _names_in(file, tables[0].columns.names, renamed)
        data = tables[0].data
        for start in range(0, len(data), _FITS_ROWS):
            part = data[start : start + _FITS_ROWS]
            yield _standard({ours: _from_fits(part[theirs]) for ours, theirs in names.items()}, len(part))


def _from_fits(column: Any) -> Any:
    pa = extra("pyarrow")
    values = np.asarray(column)
    if values.dtype.kind in "SU":
        return pa.array(values.astype(str), pa.string())
    native = values.astype(values.dtype.newbyteorder("="))
    return pa.array(native, from_pandas=True)  # NaN, FITS's way of saying nothing, as null
