"""Rows of the catalogue in memory, and the nearest of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.crossmatch.columns import ERRORS, MAGNITUDES, PHOTOMETRY, find, lowered
from broker_plugin.crossmatch.counterpart import Counterpart
from broker_plugin.crossmatch.sky import FINEST_ORDER, Cells, Degrees, carried, cells, extra, on_the_sky
from broker_plugin.crossmatch.sky import separation_arcsec as separation

_DAYS_IN_YEAR = 365.25  # Julian
_OVERHEAD_BYTES = 1000  # the objects themselves; most of what an answer without rows takes
_DECIMALS = 4  # AllWISE has three; what single precision adds behind them is cut off


@dataclass(frozen=True, slots=True)
class ProperMotion:
    """Where a catalogue keeps its proper motions.

    Not for AllWISE: what its ``pmra`` and ``pmdec`` hold is the apparent motion over half a year or a year, mostly
    parallax and noise (AllWISE Explanatory Supplement, section II.6).

    Attributes
    ----------
    pmra, pmdec
        Columns in mas/yr, the first with the factor cos(dec).  A missing value is no motion.
    epoch_mjd
        When the sources stood where the catalogue has them.
    max_motion_arcsec
        Sources that have moved farther than this since then are not found.  Every arcsecond costs time.
    """

    pmra: str
    pmdec: str
    epoch_mjd: float
    max_motion_arcsec: float = 30.0


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table hold what.

    Attributes
    ----------
    photometry
        Of W1 to W4, then their errors; None where there is none.
    """

    name: str
    ra: str
    dec: str
    photometry: tuple[str | None, ...]
    index: str | None = None
    motion: ProperMotion | None = None

    @property
    def all(self) -> list[str]:
        """Every column to read, once."""
        wanted = [self.name, self.ra, self.dec, self.index, *self.photometry]
        if self.motion is not None:
            wanted += [self.motion.pmra, self.motion.pmdec]
        return list(dict.fromkeys(column for column in wanted if column is not None))


def columns_of(
    names: list[str],
    *,
    ra: str | None = None,
    dec: str | None = None,
    index: str | None = None,
    motion: ProperMotion | None = None,
) -> Columns:
    """Tell the columns of a table by their names.

    Parameters
    ----------
    names
        Of all columns.
    ra, dec, index, motion
        What is known of them already.

    Raises
    ------
    ValueError
        One that is needed isn't there.
    """
    known = lowered(names)

    def needed(column: str | None, what: str) -> str:
        if column is None or column not in names:
            raise ValueError(f"there is no {what} among the columns {', '.join(names)[:300]}")
        return column

    photometry = tuple(find(column, known) for column in PHOTOMETRY)
    needed(next(filter(None, photometry[: len(MAGNITUDES)]), None), f"magnitude, such as {MAGNITUDES[0]},")
    if motion is not None:
        needed(motion.pmra, motion.pmra)
        needed(motion.pmdec, motion.pmdec)
    return Columns(
        name=needed(find("designation", known), "designation"),
        ra=needed(ra or find("ra", known), "right ascension"),
        dec=needed(dec or find("dec", known), "declination"),
        photometry=photometry,
        index=index if index in names else None,
        motion=motion,
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the catalogue, sorted by their cell at order 29.

    Attributes
    ----------
    index
        Cell of each row; int64, shape (n,).
    ra_deg, dec_deg
        Shape (n,).
    photometry
        W1 to W4 and their errors, magnitudes, NaN where there is none; float32, shape (n, 8).
    names
        A ``pyarrow.StringArray``.
    motion
        pmra and pmdec, mas/yr; shape (n, 2).  None where positions are not carried to another epoch.
    """

    index: Cells
    ra_deg: Degrees
    dec_deg: Degrees
    photometry: NDArray[np.float32]
    names: Any
    motion: NDArray[np.float64] | None = None
    epoch_mjd: float = np.nan

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        held = (self.index, self.ra_deg, self.dec_deg, self.photometry, self.names, self.motion)
        return _OVERHEAD_BYTES + sum(part.nbytes for part in held if part is not None)

    def separations_arcsec(
        self, rows: NDArray[np.integer[Any]], ra_deg: Degrees, dec_deg: Degrees, mjd: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Distance of each row from the position beside it, at that position's time; all of shape (n,)."""
        row_ra_deg, row_dec_deg = self.ra_deg[rows], self.dec_deg[rows]
        if self.motion is not None:
            years = np.nan_to_num((mjd - self.epoch_mjd) / _DAYS_IN_YEAR)
            pmra_mas_yr, pmdec_mas_yr = self.motion[rows].T
            row_ra_deg, row_dec_deg = carried(row_ra_deg, row_dec_deg, pmra_mas_yr, pmdec_mas_yr, years)
        return separation(ra_deg, dec_deg, row_ra_deg, row_dec_deg)

    def counterparts(
        self, rows: NDArray[np.integer[Any]], separations_arcsec: NDArray[np.float64], source: str
    ) -> list[Counterpart]:
        """Rows as they are handed out."""
        photometry = np.round(self.photometry[rows].astype(np.float64), _DECIMALS)
        known: list[list[float | None]] = [
            [None if math.isnan(value) else value for value in of_row] for of_row in photometry.tolist()
        ]
        names = [self.names[row].as_py() for row in rows.tolist()]
        return [
            Counterpart.of(name, distance, values, source)
            for name, distance, values in zip(names, separations_arcsec.tolist(), known, strict=True)
        ]


def rows_from(table: Any, columns: Columns) -> Rows:
    """Take rows from a ``pyarrow.Table``; those without a position are left out.

    Raises
    ------
    ValueError, ArithmeticError
        A column is not of the type that it should be (``pyarrow.ArrowInvalid`` is a ValueError).
    """
    ra_deg, dec_deg = _floats(table, columns.ra), _floats(table, columns.dec)
    good = np.flatnonzero(on_the_sky(ra_deg, dec_deg))
    ra_deg, dec_deg = ra_deg[good], dec_deg[good]
    if columns.index is None:
        index = cells(ra_deg, dec_deg, FINEST_ORDER)
    else:
        index = table.column(columns.index).to_numpy()[good].astype(np.int64)
    if np.any(np.diff(index) < 0):
        order = np.argsort(index, kind="stable")
        good, index, ra_deg, dec_deg = good[order], index[order], ra_deg[order], dec_deg[order]
    motion = columns.motion
    return Rows(
        index=index,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        photometry=_photometry(table, columns)[good],
        names=_names(table, columns.name, good),
        motion=None
        if motion is None
        else np.nan_to_num(np.stack([_floats(table, motion.pmra), _floats(table, motion.pmdec)], axis=1)[good]),
        epoch_mjd=np.nan if motion is None else motion.epoch_mjd,
    )


def _names(table: Any, column: str, rows: NDArray[np.intp]) -> Any:
    pa = extra("pyarrow")
    names = table.column(column).cast(pa.string()).combine_chunks()
    return names.take(pa.array(rows))


def _photometry(table: Any, columns: Columns) -> NDArray[np.float32]:
    photometry = np.full((len(table), len(PHOTOMETRY)), np.nan, np.float32)
    for place, column in enumerate(columns.photometry):
        if column is not None:
            photometry[:, place] = _floats(table, column)
    magnitudes, errors = photometry[:, : len(MAGNITUDES)], photometry[:, len(MAGNITUDES) :]
    photometry[~np.isfinite(photometry)] = np.nan
    has_errors = np.array([column is not None for column in columns.photometry[-len(ERRORS) :]])
    # Without an error it is a 95% upper limit: AllWISE Explanatory Supplement, section II.1.a, w1sigmpro.
    magnitudes[np.isnan(errors) & has_errors] = np.nan
    errors[np.isnan(magnitudes)] = np.nan
    return photometry


def _floats(table: Any, column: str) -> NDArray[np.float64]:
    pa = extra("pyarrow")
    values: NDArray[np.float64] = table.column(column).cast(pa.float64()).to_numpy()
    return values
