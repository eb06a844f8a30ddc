"""What a look-up takes and what it gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

RADIUS_ARCSEC = 3.0
"""How far a counterpart may lie from the alert; AllWISE positions are good to 0.1 arcsec, its beam is 6 arcsec wide."""

MAX_RADIUS_ARCSEC = 60.0
"""Beyond this the nearest AllWISE source is a chance neighbour nearly everywhere."""


class Position(NamedTuple):
    """Where, and when, to look.

    Attributes
    ----------
    ra_deg, dec_deg
        ICRS, degrees: 0 to 360 and -90 to 90.
    mjd
        When the object was there, Modified Julian Date; used only with catalogues that have proper motions, where
        the time scale makes no difference.  None: the catalogue's own epoch.
    """

    ra_deg: float | None
    dec_deg: float | None
    mjd: float | None = None


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The AllWISE source nearest to a position, within the radius.

    Attributes
    ----------
    name
        AllWISE designation, as the catalogue writes it.
    separation_arcsec
        From the position asked for; None where a broker gave a counterpart and didn't say how far it is.
    w1_mag, w2_mag, w3_mag, w4_mag
        Vega magnitudes at 3.4, 4.6, 12 and 22 micrometres.  None where AllWISE has only an upper limit, or nothing.
    w1_err_mag, w2_err_mag, w3_err_mag, w4_err_mag
        One standard deviation, in magnitudes.
    source
        Which source gave it: ``hats:NAME``, ``cds``, ``broker``.
    """

    name: str | None
    separation_arcsec: float | None
    w1_mag: float | None
    w2_mag: float | None
    w3_mag: float | None
    w4_mag: float | None
    w1_err_mag: float | None
    w2_err_mag: float | None
    w3_err_mag: float | None
    w4_err_mag: float | None
    source: str

    @classmethod
    def of(
        cls, name: str | None, separation_arcsec: float | None, photometry: Sequence[float | None], source: str
    ) -> Counterpart:
        """Make one of W1 to W4 and their four errors in a row."""
        w1, w2, w3, w4, w1_err, w2_err, w3_err, w4_err = photometry
        return cls(name, separation_arcsec, w1, w2, w3, w4, w1_err, w2_err, w3_err, w4_err, source)

    @property
    def w1_w2_mag(self) -> float | None:
        """Colour W1 - W2, Vega magnitudes; None where either is missing."""
        return _difference(self.w1_mag, self.w2_mag)

    @property
    def w2_w3_mag(self) -> float | None:
        """Colour W2 - W3, Vega magnitudes; None where either is missing."""
        return _difference(self.w2_mag, self.w3_mag)

    @property
    def w3_w4_mag(self) -> float | None:
        """Colour W3 - W4, Vega magnitudes; None where either is missing."""
        return _difference(self.w3_mag, self.w4_mag)


_MEASURED = ("separation_arcsec", *(f"w{band}{kind}_mag" for kind in ("", "_err") for band in (1, 2, 3, 4)))


class NotLookedUp(str, Enum):
    """Why a position was not looked up."""

    ABSENT = "absent"
    """No source covers the position: none is configured, the catalogue ends elsewhere, the broker gave nothing."""
    TOO_SLOW = "too_slow"
    """The answer was not there by the deadline."""
    FAILED = "failed"
    """A source could not be read, or its answer could not be understood."""
    BAD_POSITION = "bad_position"
    """There is no position, or it is not finite, or not on the sky."""


@dataclass(frozen=True, slots=True)
class Match:
    """What came of one look-up.  Exactly one of three things holds:

    - ``counterpart`` is there;
    - ``not_looked_up`` says why nobody knows;
    - neither: it was looked up, and AllWISE has no source there.

    Attributes
    ----------
    detail
        One sentence for people; None where there is a counterpart.
    """

    counterpart: Counterpart | None = None
    not_looked_up: NotLookedUp | None = None
    detail: str | None = None

    @property
    def status(self) -> str:
        """``found``, ``none_there``, or ``not_looked_up``."""
        if self.counterpart is not None:
            return "found"
        return "none_there" if self.not_looked_up is None else "not_looked_up"

    def fields(self) -> dict[str, float | None]:
        """What came of it as fields of an alert, for a model's features; None where there is no value.

        ``allwise.looked_up`` and, where it is 1, ``allwise.found``, each 1 or 0; ``allwise.w1_mag`` to ``w4_mag``,
        ``allwise.w1_err_mag`` to ``w4_err_mag`` and ``allwise.separation_arcsec`` as in `Counterpart`.
        """
        looked_up = self.not_looked_up is None
        return {
            "allwise.looked_up": float(looked_up),
            "allwise.found": float(self.counterpart is not None) if looked_up else None,
            **{f"allwise.{name}": getattr(self.counterpart, name, None) for name in _MEASURED},
        }


class Crossmatch(Protocol):
    """Anything that finds counterparts."""

    def match(self, positions: Sequence[Position], *, timeout_s: float | None = None) -> list[Match]:
        """Look up a batch.

        Parameters
        ----------
        positions
            Where to look.
        timeout_s
            How long the call may take, in seconds.  What isn't known by then is `NotLookedUp.TOO_SLOW`; its answer is
            still fetched, by a thread, for the next one who asks.  None: as long as it takes, in this thread.

        Returns
        -------
        list of Match
            One for each position, in the order given.  Nothing is raised for what is wrong with a position, a
            file or an answer.
        """
        ...


def check_radius(radius_arcsec: float) -> float:
    """The radius, if it makes sense.

    Raises
    ------
    ValueError
        It doesn't.
    """
    if not 0.0 < radius_arcsec <= MAX_RADIUS_ARCSEC:
        raise ValueError(f"the radius must be above 0 and at most {MAX_RADIUS_ARCSEC:g} arcsec, not {radius_arcsec}")
    return radius_arcsec


def none_within(radius_arcsec: float, source: str) -> Match:
    """Looked up, and nothing there."""
    return Match(detail=f"no source within {radius_arcsec:g} arcsec in {source}")


def bad_position(position: Position) -> Match:
    """Not looked up, since that is no place on the sky."""
    where = f"({position.ra_deg!r:.40}, {position.dec_deg!r:.40})"
    return Match(not_looked_up=NotLookedUp.BAD_POSITION, detail=f"{where} is not a position in degrees")


def _difference(first: float | None, second: float | None) -> float | None:
    # Magnitudes have three decimals: what a double adds behind them is no measurement.
    return None if first is None or second is None else round(first - second, 4)


def number(value: object) -> float:
    """A finite number as a float; NaN for anything else, strings and booleans among it."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return math.nan
    try:
        as_float = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return as_float if math.isfinite(as_float) else math.nan
