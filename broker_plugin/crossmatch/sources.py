"""Several sources, one after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from broker_plugin.crossmatch.counterpart import RADIUS_ARCSEC, Crossmatch, Match, NotLookedUp, Position, check_radius
from broker_plugin.crossmatch.given import match_given

_NOBODY = Match(not_looked_up=NotLookedUp.ABSENT, detail="no source of counterparts is configured")


class Sources:
    """Asks the first source, then the next one for what was not looked up, and so on.

    Parameters
    ----------
    sources
        In the order in which they are asked: what costs least comes first.  There may be none.
    radius_arcsec
        How far a counterpart may be that the broker gives; each source has a radius of its own.
    """

    def __init__(self, sources: Sequence[Crossmatch], *, radius_arcsec: float = RADIUS_ARCSEC) -> None:
        self._sources = tuple(sources)
        self._radius_arcsec = check_radius(radius_arcsec)

    def match(
        self,
        positions: Sequence[Position],
        *,
        fields: Sequence[Mapping[str, Any] | None] | None = None,
        timeout_s: float | None = None,
    ) -> list[Match]:
        """Look up a batch; see `Crossmatch.match`.  All sources share the time.

        Where none looked it up, the match says what each of them said.

        Parameters
        ----------
        fields
            What the broker knows of each position, if it knows anything: see `match_given`.  Asked before all sources.

        Raises
        ------
        ValueError
            There are not as many ``fields`` as positions.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        matches = [_NOBODY] * len(positions)
        if fields is not None:
            given = zip(fields, positions, strict=True)
            matches = [match_given(of_one, position, self._radius_arcsec) for of_one, position in given]
        for source in self._sources:
            unknown = [place for place, match in enumerate(matches) if _may_be_asked(match)]
            if not unknown:
                break
            left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            answers = source.match([positions[place] for place in unknown], timeout_s=left_s)
            for place, answer in zip(unknown, answers, strict=True):
                matches[place] = _later(matches[place], answer)
        return matches


def _may_be_asked(match: Match) -> bool:
    return match.not_looked_up not in (None, NotLookedUp.BAD_POSITION)


def _later(before: Match, answer: Match) -> Match:
    if before is _NOBODY or answer.not_looked_up in (None, NotLookedUp.BAD_POSITION):
        return answer
    # A source that doesn't cover the position hides nothing of what went wrong at another.
    why = before.not_looked_up if answer.not_looked_up is NotLookedUp.ABSENT else answer.not_looked_up
    return Match(not_looked_up=why, detail=f"{before.detail}; {answer.detail}")
