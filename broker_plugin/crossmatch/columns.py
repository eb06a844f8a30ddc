"""What AllWISE's columns are called, by those who hand it on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

BANDS = (1, 2, 3, 4)

MAGNITUDES = tuple(f"w{band}mpro" for band in BANDS)
"""Profile-fitting magnitudes, as IRSA names them."""

ERRORS = tuple(f"w{band}sigmpro" for band in BANDS)
"""Their standard deviations; null where the magnitude is a 95% upper limit or the band was not measured."""

PHOTOMETRY = MAGNITUDES + ERRORS

NAMES: dict[str, tuple[str, ...]] = {
    "designation": ("designation", "allwise", "oid_catalog"),
    "ra": ("ra", "raj2000"),
    "dec": ("dec", "dej2000"),
    **{f"w{band}mpro": (f"w{band}mpro", f"w{band}mag") for band in BANDS},
    **{f"w{band}sigmpro": (f"w{band}sigmpro", f"e_w{band}mag") for band in BANDS},
}
"""IRSA's name of each column that is used, and all its names, in lower case.

IRSA (also Kowalski, BOOM and ALeRCE's table ``allwise``, whose identifier is ``oid_catalog``) has ``designation``,
``ra``, ``w1mpro``, ``w1sigmpro``; VizieR II/328 and the CDS X-Match service (also those who ask it, such as Fink) have
``AllWISE``, ``RAJ2000``, ``W1mag``, ``e_W1mag``.
"""


def lowered(names: Iterable[str]) -> dict[str, str]:
    """Columns by their names in lower case."""
    return {name.lower(): name for name in names}


def find(wanted: str, by_lower: Mapping[str, str]) -> str | None:
    """The one of some columns, as `lowered` gives them, that is the one ``wanted``; None where there is none."""
    return next((by_lower[name] for name in NAMES[wanted] if name in by_lower), None)
