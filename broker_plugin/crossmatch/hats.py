"""A catalogue in HATS layout: Parquet files, each of one HEALPix cell of the sky.

As ``hats-import`` and this package's own `build_catalogue` write it and LSDB reads it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broker_plugin.crossmatch.counterpart import (
    RADIUS_ARCSEC,
    Match,
    NotLookedUp,
    Position,
    bad_position,
    check_radius,
    none_within,
)
from broker_plugin.crossmatch.fetcher import Failure, Fetcher
from broker_plugin.crossmatch.rows import Columns, ProperMotion, Rows, columns_of, rows_from
from broker_plugin.crossmatch.sky import (
    FINEST_ORDER,
    Cells,
    Degrees,
    arrays,
    cells,
    expand,
    extra,
    first_within,
    order_for,
    with_neighbours,
)

PROPERTIES = ("hats.properties", "properties")
CACHE_BYTES = 1 << 30

_MAX_PROPERTIES_BYTES = 1 << 20
_MAX_TILES = 1_000_000
_MAX_NAME = 100
_ROW_BYTES = 100  # in memory, with its name; rounded up
_PIXELS_IN_DIRECTORY = 10_000  # HATS: Dir is Npix rounded down to this


class CatalogueError(ValueError):
    """A folder that is no catalogue in HATS layout, or none of AllWISE."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Which cells of the sky a catalogue has files of, in the order of their first cell at order 29.

    Attributes
    ----------
    order, pixel
        HEALPix order and number, nested scheme; shape (n,).
    """

    order: Cells
    pixel: Cells

    @property
    def first(self) -> Cells:
        """First cell at order 29 of each tile."""
        return first_within(self.pixel, self.order)

    @property
    def end(self) -> Cells:
        """One more than the last cell at order 29 of each tile."""
        return first_within(self.pixel + 1, self.order)


class HatsCatalogue:
    """AllWISE in a local folder.

    A tile, one Parquet file, is read when a position first falls into it.

    Parameters
    ----------
    folder
        The catalogue, or a collection that names one.
    radius_arcsec
        How far a counterpart may be.
    motion
        For a catalogue with proper motions: it is then searched as the sky was at the time of each position.
    cache_bytes
        Memory for tiles; 80 bytes a row or so.

    Raises
    ------
    CatalogueError
        The folder is no such catalogue.
    ImportError
        The extra ``crossmatch`` isn't installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        radius_arcsec: float = RADIUS_ARCSEC,
        motion: ProperMotion | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        extra("astropy_healpix")
        self._radius_arcsec = check_radius(radius_arcsec)
        self._folder, self._properties = _open(folder)
        self._suffix = self._properties.get("hats_npix_suffix", ".parquet")
        self._source = f"hats:{self._properties.get('obs_collection', self._folder.name)[:_MAX_NAME]}"
        self._tiling = _read_tiling(self._folder)
        self._columns = self._find_columns(motion)
        self._order = order_for(radius_arcsec + (motion.max_motion_arcsec if motion else 0.0))
        self._max_tile_rows = cache_bytes // _ROW_BYTES
        self._first, self._end = self._tiling.first, self._tiling.end
        self._tiles: Fetcher[int, Rows] = Fetcher(self._read_tiles, max_bytes=cache_bytes)

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self._first)

    @property
    def cached_bytes(self) -> int:
        """Memory that the tiles take that were read, in bytes."""
        return self._tiles.nbytes

    def match(self, positions: Sequence[Position], *, timeout_s: float | None = None) -> list[Match]:
        """Look up a batch; see `Crossmatch.match`.

        A position outside all tiles, and near no source, is not looked up: a part of the sky that the catalogue doesn't
        have and one where AllWISE has nothing are different things.
        """
        ra_deg, dec_deg, mjd, good = arrays(positions)
        matches = [bad_position(position) for position in positions]
        which = np.flatnonzero(good)
        for place, match in zip(which, self._match(ra_deg[good], dec_deg[good], mjd[good], timeout_s), strict=True):
            matches[place] = match
        return matches

    def _match(
        self, ra_deg: Degrees, dec_deg: Degrees, mjd: NDArray[np.float64], timeout_s: float | None
    ) -> list[Match]:
        if not len(ra_deg):
            return []
        near = self._near(ra_deg, dec_deg)
        tiles = self._tiles.get(near.tiles, timeout_s)
        read = {tile: rows for tile, rows in tiles.items() if isinstance(rows, Rows)}
        nearest = _Nearest(len(ra_deg), self._radius_arcsec)
        unread: dict[int, Match] = {}
        for tile in near.tiles:
            of_tile = near.of(tile)
            if tile in read:
                nearest.consider(tile, read[tile], of_tile, ra_deg, dec_deg, mjd)
            else:
                unread |= dict.fromkeys(of_tile.position.tolist(), self._unread(tile, tiles.get(tile)))
        answers = [self._nothing(is_covered) for is_covered in near.is_covered.tolist()]
        for tile, which in nearest.by_tile():
            found = read[tile].counterparts(nearest.row[which], nearest.separation_arcsec[which], self._source)
            for place, counterpart in zip(which.tolist(), found, strict=True):
                answers[place] = Match(counterpart)
        # Even where another tile has a source: a nearer one may stand in the tile that wasn't read.
        for place, match in unread.items():
            answers[place] = match
        return answers

    def _near(self, ra_deg: Degrees, dec_deg: Degrees) -> _Near:
        """Where the sources are that could be within the radius: ranges of cells at order 29, and their tiles."""
        block = with_neighbours(cells(ra_deg, dec_deg, self._order), self._order)
        first, end = first_within(block, self._order), first_within(block + 1, self._order)
        first_tile = np.searchsorted(self._end, first, side="right")
        tiles = np.maximum(np.searchsorted(self._first, end, side="left") - first_tile, 0)
        tiles[block < 0] = 0
        entry, tile = expand(first_tile.ravel(), tiles.ravel())
        return _Near(
            position=entry % len(ra_deg),
            tile=tile,
            first=first.ravel()[entry],
            end=end.ravel()[entry],
            is_covered=tiles[0] > 0,
        )

    def _nothing(self, is_covered: bool) -> Match:
        if is_covered:
            return none_within(self._radius_arcsec, self._source)
        return Match(not_looked_up=NotLookedUp.ABSENT, detail=f"{self._source} has no tile of that part of the sky")

    def _unread(self, tile: int, answer: Rows | Failure | None) -> Match:
        if not isinstance(answer, Failure):
            return Match(not_looked_up=NotLookedUp.TOO_SLOW, detail=f"{self._source} was still being read")
        where = f"{self._source}, {self._path(tile).relative_to(self._folder)}"
        return Match(not_looked_up=NotLookedUp.FAILED, detail=f"failed: {where}: {answer.detail}")

    def _path(self, tile: int) -> Path:
        order, pixel = int(self._tiling.order[tile]), int(self._tiling.pixel[tile])
        return self._folder / tile_path(order, pixel, self._suffix)

    def _files(self, tile: int) -> list[Path]:
        path = self._path(tile)
        return sorted(path.glob("*.parquet")) if self._suffix == "/" else [path]

    def _read_tiles(self, tiles: Sequence[int]) -> dict[int, Rows]:
        return {tile: self._read_tile(tile) for tile in tiles}

    def _read_tile(self, tile: int) -> Rows:
        tables, rows = [], 0
        for path in self._files(tile):
            with extra("pyarrow.parquet").ParquetFile(path) as file:
                rows += file.metadata.num_rows
                if rows > self._max_tile_rows:
                    raise ValueError(f"a tile of {rows} rows is more than the cache may hold, {self._max_tile_rows}")
                tables.append(file.read(columns=self._columns.all, use_threads=False))
        return rows_from(extra("pyarrow").concat_tables(tables), self._columns)

    def _find_columns(self, motion: ProperMotion | None) -> Columns:
        common = self._folder / "dataset" / "_common_metadata"
        schema_file = common if common.is_file() else self._files(0)[0]
        try:
            names = extra("pyarrow.parquet").read_schema(schema_file).names
        except (OSError, ValueError) as problem:
            raise CatalogueError(f"{schema_file}: {problem}") from problem
        has_index = self._properties.get("hats_col_healpix_order", str(FINEST_ORDER)) == str(FINEST_ORDER)
        try:
            return columns_of(
                names,
                ra=self._properties.get("hats_col_ra"),
                dec=self._properties.get("hats_col_dec"),
                index=self._properties.get("hats_col_healpix", "_healpix_29") if has_index else None,
                motion=motion,
            )
        except ValueError as problem:
            raise CatalogueError(f"{self._folder}: {problem}") from problem


@dataclass(frozen=True, slots=True)
class _Near:
    """Ranges of cells around positions: of which position, in which tile; shape (m,).  And which are in a tile."""

    position: NDArray[np.intp]
    tile: Cells
    first: Cells
    end: Cells
    is_covered: NDArray[np.bool_]

    @property
    def tiles(self) -> list[int]:
        """Each tile once."""
        return [int(tile) for tile in np.unique(self.tile)]

    def of(self, tile: int) -> _Near:
        """What is in one tile."""
        here = self.tile == tile
        return _Near(self.position[here], self.tile[here], self.first[here], self.end[here], self.is_covered)


class _Nearest:
    """The nearest row so far of each of n positions; -1 where there is none within the radius."""

    def __init__(self, n: int, radius_arcsec: float) -> None:
        self.separation_arcsec = np.full(n, np.nextafter(radius_arcsec, np.inf))
        self.tile = np.full(n, -1)
        self.row = np.full(n, -1)

    def consider(
        self, tile: int, rows: Rows, near: _Near, ra_deg: Degrees, dec_deg: Degrees, mjd: NDArray[np.float64]
    ) -> None:
        start = np.searchsorted(rows.index, near.first)
        which, row = expand(start, np.searchsorted(rows.index, near.end) - start)
        position = near.position[which]
        separation = rows.separations_arcsec(row, ra_deg[position], dec_deg[position], mjd[position])
        nearer = separation < self.separation_arcsec[position]
        position, row, separation = position[nearer], row[nearer], separation[nearer]
        order = np.argsort(-separation, kind="stable")  # of several assignments to one place the last, nearest, stays
        position = position[order]
        self.separation_arcsec[position], self.row[position] = separation[order], row[order]
        self.tile[position] = tile

    def by_tile(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Each tile that has a nearest row, and of which positions."""
        for tile in np.unique(self.tile[self.tile >= 0]).tolist():
            yield tile, np.flatnonzero(self.tile == tile)


def _open(folder: Path) -> tuple[Path, dict[str, str]]:
    collection = folder / "collection.properties"
    if collection.is_file():
        table = _read_properties(collection).get("hats_primary_table_url", "")
        if Path(table).name != table or not table:
            raise CatalogueError(f"{collection}: hats_primary_table_url is {table!r}, not the name of a folder in it")
        folder = folder / table
    path = next((folder / name for name in PROPERTIES if (folder / name).is_file()), None)
    if path is None:
        raise CatalogueError(f"{folder} is no HATS catalogue: it has no {' or '.join(PROPERTIES)}")
    properties = _read_properties(path)
    kind = properties.get("dataproduct_type")
    if kind not in ("object", "source"):
        raise CatalogueError(f"{path}: dataproduct_type is {kind!r}, neither object nor source")
    return folder, properties


def _read_properties(path: Path) -> dict[str, str]:
    """A file of lines ``key=value``, as HATS writes it."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read(_MAX_PROPERTIES_BYTES).splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith(("#", "!")))
    return {key.strip(): value.strip() for key, value in pairs}


def _read_tiling(folder: Path) -> Tiling:
    path = folder / "partition_info.csv"
    try:
        with path.open(encoding="ascii", newline="") as file:
            lines = islice(csv.DictReader(file), _MAX_TILES + 1)
            rows = [(int(row["Norder"]), int(row["Npix"])) for row in lines]
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise CatalogueError(f"{path} can't be read: {type(problem).__name__}: {problem}") from problem
    if not 0 < len(rows) <= _MAX_TILES:
        raise CatalogueError(f"{path} must have 1 to {_MAX_TILES} tiles, not {len(rows)}")
    if any(not (0 <= order <= FINEST_ORDER and 0 <= pixel < 12 * 4**order) for order, pixel in rows):
        raise CatalogueError(f"{path} has a tile that is not on the sky")
    order, pixel = np.array(rows, dtype=np.int64).T
    sort = np.argsort(first_within(pixel, order), kind="stable")
    tiling = Tiling(order[sort], pixel[sort])
    if np.any(tiling.end[:-1] > tiling.first[1:]):
        raise CatalogueError(f"{path} has tiles that overlap")
    return tiling


def tile_path(order: int, pixel: int, suffix: str = ".parquet") -> Path:
    """Where a tile stands in a catalogue."""
    directory = pixel // _PIXELS_IN_DIRECTORY * _PIXELS_IN_DIRECTORY
    return Path("dataset", f"Norder={order}", f"Dir={directory}", f"Npix={pixel}{suffix}")
