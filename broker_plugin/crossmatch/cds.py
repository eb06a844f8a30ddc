"""The X-Match service of the CDS in Strasbourg, which knows AllWISE as ``vizier:II/328/allwise``.

Pineau, F.-X. et al.; http://cdsxmatch.u-strasbg.fr.  The CDS bans those who send it many requests at a time: there is
never more than one from here, and none for a while after one that failed.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.crossmatch.columns import PHOTOMETRY, find, lowered
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
from broker_plugin.crossmatch.rows import Rows, columns_of, rows_from
from broker_plugin.crossmatch.sky import arrays, cell_width_arcsec, cells, centres, extra

URL = "http://cdsxmatch.u-strasbg.fr/xmatch/api/v1/sync"
TABLE = "vizier:II/328/allwise"

_COLUMNS = "AllWISE,RAJ2000,DEJ2000,W1mag,W2mag,W3mag,W4mag,e_W1mag,e_W2mag,e_W3mag,e_W4mag"
_SOURCE = "cds"

# Names of what is sent: none that the table at the other end has.
_KEY, _RA, _DEC = "asked_row", "asked_ra", "asked_dec"

_CELL_ORDER = 16
"""Positions within one cell, 3.2 arcsec wide, are asked for once; detections of one object mostly are."""

_CELL_REACH = 1.25
"""No point of a cell is farther from its middle, in cell widths."""

_MAX_ANSWER_BYTES = 64 << 20
_MAX_ROWS_OF_CELL = 1000
_CHUNK_BYTES = 1 << 16
_RETRIES_FOR = (429, 500, 502, 503, 504)


class CdsXMatch:
    """AllWISE at the CDS.

    What is asked for is kept, also that nothing is there: for cells of the sky 3.2 arcsec wide, so that the next
    detection of the same object costs nothing.  Make it after a fork: connections are not shared between processes.

    Parameters
    ----------
    radius_arcsec
        How far a counterpart may be.
    request_timeout_s
        How long to wait for the service to connect, and then for each answer as a whole.
    retries
        How often to ask again where the service is not there, is slow, or says that it is busy.
    backoff_s
        It is asked again at once, then after 2, 4, 8 times this.
    pause_s
        How long to leave the service alone after a request that failed for good.
    batch
        How many positions to send at a time.
    cache_bytes
        Memory for answers: about 1 kB each.
    url
        Of the service, or of a mirror.

    Raises
    ------
    ImportError
        The extra ``crossmatch`` isn't installed.
    """

    def __init__(
        self,
        *,
        radius_arcsec: float = RADIUS_ARCSEC,
        request_timeout_s: float = 30.0,
        retries: int = 2,
        backoff_s: float = 1.0,
        pause_s: float = 60.0,
        batch: int = 1000,
        cache_bytes: int = 64 << 20,
        url: str = URL,
    ) -> None:
        for module in ("astropy_healpix", "pyarrow"):
            extra(module)
        self._radius_arcsec = check_radius(radius_arcsec)
        self._reach_arcsec = radius_arcsec + _CELL_REACH * cell_width_arcsec(_CELL_ORDER)
        self._pause_s = pause_s
        self._paused_until_s = -np.inf
        self._service = _service(url, request_timeout_s, retries, backoff_s)
        self._cells: Fetcher[int, Rows] = Fetcher(
            self._ask, max_bytes=cache_bytes, at_once=batch, retry_after_s=pause_s
        )

    @property
    def cached_bytes(self) -> int:
        """Memory that the answers take, in bytes."""
        return self._cells.nbytes

    def match(self, positions: Sequence[Position], *, timeout_s: float | None = None) -> list[Match]:
        """Look up a batch; see `Crossmatch.match`."""
        ra_deg, dec_deg, mjd, good = arrays(positions)
        matches = [bad_position(position) for position in positions]
        places = np.flatnonzero(good)
        cell_of = cells(ra_deg[good], dec_deg[good], _CELL_ORDER).tolist()
        answers = self._cells.get(cell_of, timeout_s)
        for place, cell in zip(places.tolist(), cell_of, strict=True):
            one = slice(place, place + 1)
            matches[place] = self._nearest(answers.get(cell), ra_deg[one], dec_deg[one], mjd[one])
        return matches

    def _nearest(self, rows: Rows | Failure | None, ra_deg: Any, dec_deg: Any, mjd: Any) -> Match:
        if rows is None:
            return Match(not_looked_up=NotLookedUp.TOO_SLOW, detail="the CDS X-Match service had not answered")
        if isinstance(rows, Failure):
            return Match(not_looked_up=NotLookedUp.FAILED, detail=f"failed: CDS X-Match: {rows.detail}")
        every = np.arange(len(rows.ra_deg))
        separation = rows.separations_arcsec(every, ra_deg, dec_deg, mjd)
        if not len(every) or separation.min() > self._radius_arcsec:
            return none_within(self._radius_arcsec, _SOURCE)
        nearest = every[[separation.argmin()]]
        return Match(rows.counterparts(nearest, separation[nearest], _SOURCE)[0])

    def _ask(self, asked: Sequence[int]) -> dict[int, Rows]:
        """All sources within reach of the middles of cells."""
        left_s = self._paused_until_s - time.monotonic()
        if left_s > 0:
            raise ConnectionError(f"it failed a moment ago, and is left alone for another {left_s:.0f} s")
        try:
            answer = self._request(np.array(asked, dtype=np.int64))
            return _by_cell(answer, asked)
        except Exception:
            self._paused_until_s = time.monotonic() + self._pause_s
            raise

    def _request(self, asked: NDArray[np.int64]) -> Any:
        units, table = extra("astropy.units"), extra("astropy.table")
        ra_deg, dec_deg = centres(asked, _CELL_ORDER)
        return self._service.query(
            cat1=table.Table({_KEY: np.arange(len(asked)), _RA: ra_deg, _DEC: dec_deg}),
            cat2=TABLE,
            max_distance=self._reach_arcsec * units.arcsec,
            colRA1=_RA,
            colDec1=_DEC,
            cache=False,
            cols1=_KEY,
            cols2=_COLUMNS,
        )


def _by_cell(answer: Any, asked: Sequence[int]) -> dict[int, Rows]:
    """The rows of an answer, each cell's by themselves; cells without any have none.

    Raises
    ------
    ValueError
        It is no answer to what was asked.
    """
    pa = extra("pyarrow")
    known = lowered(answer.colnames)
    missing = [name for name in ("designation", "ra", "dec", *PHOTOMETRY) if find(name, known) is None]
    if _KEY not in answer.colnames or missing:
        raise ValueError(f"the answer's columns are {', '.join(answer.colnames)}")
    if len(answer) > _MAX_ROWS_OF_CELL * len(asked):
        raise ValueError(f"the answer has {len(answer)} rows for {len(asked)} positions")
    columns = columns_of(list(answer.colnames))
    arrow = pa.table({name: pa.array(np.ma.asarray(answer[name]).tolist()) for name in columns.all})
    keys = np.ma.filled(np.ma.asarray(answer[_KEY]).astype(np.int64), -1)
    if not np.isin(keys, np.arange(len(asked))).all():
        raise ValueError("the answer is about positions that were not asked for")
    order = np.argsort(keys, kind="stable")
    bounds = np.searchsorted(keys[order], np.arange(len(asked) + 1))
    return {
        cell: rows_from(arrow.take(pa.array(order[start:end])), columns)
        for cell, start, end in zip(asked, bounds[:-1], bounds[1:], strict=True)
    }


def _service(url: str, timeout_s: float, retries: int, backoff_s: float) -> Any:
    """astroquery's client, told how patient to be."""
    adapters, retry = extra("requests.adapters"), extra("urllib3.util.retry")
    with contextlib.redirect_stdout(io.StringIO()):  # where it says that a package is missing which isn't needed here
        service = extra("astroquery.xmatch.core").XMatchClass()
    service.URL, service.TIMEOUT = url, timeout_s
    # Or it would first fetch the names of all tables at VizieR, to see whether AllWISE is among them.
    service.is_table_available = lambda table: table == TABLE
    patience = retry.Retry(
        total=retries,
        backoff_factor=backoff_s,
        status_forcelist=_RETRIES_FOR,
        allowed_methods=None,  # a match changes nothing: a POST may be sent again
        respect_retry_after_header=False,
    )
    service._session.mount("http://", adapters.HTTPAdapter(max_retries=patience))
    service._session.mount("https://", adapters.HTTPAdapter(max_retries=patience))
    # astroquery's own hook writes whole answers into a log that nobody keeps.
    service._session.hooks["response"] = [lambda response, **_: _bound(response, timeout_s)]
    return service


def _bound(response: Any, timeout_s: float) -> None:
    """Let no answer take more memory or time than it may: the timeouts of requests are of each read."""
    response.raw = _Bounded(response.raw, time.monotonic() + timeout_s)


class _Bounded:
    """A stream of bytes that ends with an error when it has gone on for too long."""

    def __init__(self, raw: Any, deadline_s: float) -> None:
        self._raw = raw
        self._deadline_s = deadline_s
        self._left = _MAX_ANSWER_BYTES

    def read(self, size: int = _CHUNK_BYTES) -> bytes:
        """Some bytes, as they come; none at the end.

        Raises
        ------
        TimeoutError
            The time is over.
        ValueError
            There are more than there may be.
        """
        if time.monotonic() > self._deadline_s:
            raise TimeoutError("the answer did not end in time")
        some: bytes = self._raw.read1(size, decode_content=True)
        self._left -= len(some)
        if self._left < 0:
            raise ValueError(f"the answer has more than {_MAX_ANSWER_BYTES} bytes")
        return some

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()
