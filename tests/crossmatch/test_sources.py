"""Several sources after one another."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from broker_plugin.crossmatch import Counterpart, Match, NotLookedUp, Position, Sources

PLACES = [Position(1.0, 1.0), Position(2.0, 2.0), Position(3.0, 3.0)]
FOUND = Match(Counterpart.of("J1", 0.5, [11.0, 10.0, None, None, 0.1, 0.1, None, None], "test"))
NONE = Match(detail="none")


def unknown(why: NotLookedUp, detail: str = "unknown") -> Match:
    return Match(not_looked_up=why, detail=detail)


class Says:
    """Says the same of every position, after a while."""

    def __init__(self, *answers: Match, seconds: float = 0.0) -> None:
        self.answers = answers
        self.seconds = seconds
        self.asked: list[tuple[list[Position], float | None]] = []

    def match(self, positions: Sequence[Position], *, timeout_s: float | None = None) -> list[Match]:
        self.asked.append((list(positions), timeout_s))
        time.sleep(self.seconds)
        return [self.answers[int(position.ra_deg or 0) % len(self.answers)] for position in positions]


def test_no_source_at_all() -> None:
    [match] = Sources([]).match(PLACES[:1])
    assert match == unknown(NotLookedUp.ABSENT, "no source of counterparts is configured")


def test_the_next_one_is_asked_for_what_the_first_does_not_know() -> None:
    second = Says(NONE)
    first = Says(unknown(NotLookedUp.ABSENT), FOUND)
    assert Sources([first, second]).match(PLACES) == [FOUND, NONE, FOUND]
    assert [asked for asked, _ in second.asked] == [[PLACES[1]]]


def test_none_there_is_an_answer() -> None:
    second = Says(FOUND)
    assert Sources([Says(NONE), second]).match(PLACES) == [NONE] * 3
    assert second.asked == []


def test_where_nobody_knows_each_says_why() -> None:
    slow, absent = unknown(NotLookedUp.TOO_SLOW, "slow"), unknown(NotLookedUp.ABSENT, "elsewhere")
    [match] = Sources([Says(slow), Says(absent)]).match(PLACES[:1])
    assert match == unknown(NotLookedUp.TOO_SLOW, "slow; elsewhere")
    [match] = Sources([Says(absent), Says(slow)]).match(PLACES[:1])
    assert match == unknown(NotLookedUp.TOO_SLOW, "elsewhere; slow")


def test_a_bad_position_is_asked_for_once() -> None:
    second = Says(FOUND)
    bad = unknown(NotLookedUp.BAD_POSITION, "nowhere")
    assert Sources([Says(bad), second]).match(PLACES[:1]) == [bad]
    assert second.asked == []


def test_the_time_is_shared() -> None:
    first, second = Says(unknown(NotLookedUp.TOO_SLOW), seconds=0.1), Says(NONE)
    Sources([first, second]).match(PLACES, timeout_s=5.0)
    [(_, first_s)], [(_, second_s)] = first.asked, second.asked
    assert first_s is not None and second_s is not None
    assert 0.0 <= second_s <= first_s - 0.1 <= 4.9


def test_the_brokers_fields_come_first() -> None:
    source = Says(NONE)
    fields = [{"allwise": []}, None, {"allwise": {"w1mpro": 11.0}}]
    matches = Sources([source]).match(PLACES, fields=fields)
    assert [match.status for match in matches] == ["none_there", "none_there", "found"]
    assert [asked for asked, _ in source.asked] == [[PLACES[1]]]


def test_fields_must_be_as_many_as_positions() -> None:
    with pytest.raises(ValueError, match="zip"):
        Sources([]).match(PLACES, fields=[None])


def test_a_match_as_fields_of_an_alert() -> None:
    fields = FOUND.fields()
    assert {name: value for name, value in fields.items() if value is not None} == {
        "allwise.looked_up": 1.0,
        "allwise.found": 1.0,
        "allwise.separation_arcsec": 0.5,
        "allwise.w1_mag": 11.0,
        "allwise.w2_mag": 10.0,
        "allwise.w1_err_mag": 0.1,
        "allwise.w2_err_mag": 0.1,
    }
    assert len(fields) == 11


@pytest.mark.parametrize(
    ("match", "looked_up", "found"), [(NONE, 1.0, 0.0), (unknown(NotLookedUp.TOO_SLOW), 0.0, None)]
)
def test_a_match_without_counterpart_as_fields(match: Match, looked_up: float, found: float | None) -> None:
    fields = match.fields()
    assert (fields["allwise.looked_up"], fields["allwise.found"]) == (looked_up, found)
    assert set(fields) == set(FOUND.fields())
    assert {fields[name] for name in fields if name not in ("allwise.looked_up", "allwise.found")} == {None}
