"""What brokers hand over, in the shapes that they have it in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_plugin.crossmatch import NotLookedUp, Position, match_given

from .samples import ARCSEC

HERE = Position(10.0, 20.0)
IRSA = {
    "designation": "J004000.00+200001.0",
    "ra": 10.0,
    "dec": 20.0 + ARCSEC,
    **{f"w{band}mpro": 10.0 + band for band in (1, 2, 3, 4)},
    **{f"w{band}sigmpro": 0.1 for band in (1, 2, 3, 4)},
}
CDS = {
    "AllWISE": "J004000.00+200001.0",
    "angDist": 1.0,
    **{f"W{band}mag": 10.0 + band for band in (1, 2, 3, 4)},
    **{f"e_W{band}mag": 0.1 for band in (1, 2, 3, 4)},
}
ALERCE = {"oid_catalog" if key == "designation" else key: value for key, value in IRSA.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"allwise": IRSA},
        {"AllWISE": CDS},
        {"xmatch": {"allwise": ALERCE}},
        {"cross_matches": {"AllWISE": [IRSA]}},
        {f"AllWISE__{key}": value for key, value in IRSA.items()},
        CDS,
        {"candid": 1, "ra": 10.0, "dec": 20.0} | CDS,
    ],
    ids=["irsa", "cds", "alerce", "kowalski", "flat", "a row of the CDS", "beside an alert's own fields"],
)
def test_shapes(fields: dict[str, Any]) -> None:
    found = match_given(fields, HERE).counterpart
    assert found is not None
    assert (found.name, found.source) == ("J004000.00+200001.0", "broker")
    assert found.separation_arcsec == pytest.approx(1.0, abs=1e-6)
    assert (found.w1_mag, found.w4_mag, found.w2_err_mag, found.w1_w2_mag) == (11.0, 14.0, 0.1, -1.0)


@pytest.mark.parametrize("fields", [None, {}, {"allwise": None}, {"ra": 1.0}, {"allwise": "none"}, {"allwise": [1]}, 7])
def test_nothing_said_is_not_nothing_there(fields: Any) -> None:
    assert match_given(fields, HERE).not_looked_up is NotLookedUp.ABSENT


def test_an_empty_list_says_that_nothing_is_there() -> None:
    assert match_given({"allwise": []}, HERE).status == "none_there"


def test_of_several_the_nearest() -> None:
    rows = [IRSA | {"designation": name, "dec": 20.0 + distance * ARCSEC} for name, distance in (("a", 2), ("b", 1))]
    found = match_given({"allwise": rows}, HERE).counterpart
    assert found is not None and found.name == "b"


def test_beyond_the_radius_there_is_none() -> None:
    assert match_given({"allwise": IRSA}, HERE, 0.5).status == "none_there"
    assert match_given(CDS, HERE, 0.5).status == "none_there"


def test_a_distance_that_is_not_given_is_not_invented() -> None:
    fields = {"ra": 10.0, "dec": 20.0} | {key: value for key, value in CDS.items() if key != "angDist"}
    found = match_given(fields, HERE).counterpart
    assert found is not None and found.separation_arcsec is None


@pytest.mark.parametrize("nothing", [None, float("nan"), ""])
def test_without_an_error_it_is_an_upper_limit(nothing: object) -> None:
    found = match_given({"allwise": IRSA | {"w4sigmpro": nothing}}, HERE).counterpart
    assert found is not None and (found.w4_mag, found.w4_err_mag, found.w3_mag) == (None, None, 13.0)


def test_without_any_errors_magnitudes_are_taken() -> None:
    found = match_given({"allwise": {"ra": 10.0, "dec": 20.0, "w1mpro": 11.0, "w2mpro": 10.0}}, HERE).counterpart
    assert found is not None and (found.w1_mag, found.w1_err_mag, found.w3_mag, found.w1_w2_mag) == (
        11.0,
        None,
        None,
        1.0,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("w1mpro", "bright"), ("w1mpro", float("inf")), ("w1mpro", 1e9), ("w1sigmpro", [1]), ("ra", None), ("dec", 100.0)],
)
def test_fields_that_hold_what_they_cannot(field: str, value: object) -> None:
    match = match_given({"allwise": IRSA | {field: value}}, HERE)
    assert match.not_looked_up is NotLookedUp.FAILED
    assert match.detail is not None and field in match.detail and len(match.detail) < 200


def test_a_bad_position() -> None:
    assert match_given({"allwise": IRSA}, Position(None, None)).not_looked_up is NotLookedUp.BAD_POSITION


def test_fields_that_hold_themselves() -> None:
    fields: dict[str, Any] = {}
    fields["allwise"] = fields
    assert match_given(fields, HERE).not_looked_up is NotLookedUp.ABSENT


KEYS = st.sampled_from([*IRSA, *CDS, "allwise", "xmatch", "AllWISE__w1mpro", "dist_arcsec", "", "candid"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_whatever_the_fields_hold_there_is_one_answer(fields: dict[str, Any]) -> None:
    match = match_given(fields, HERE)
    assert match.status in ("found", "none_there", "not_looked_up")
    found = match.counterpart
    if found is not None:
        assert found.separation_arcsec is None or 0.0 <= found.separation_arcsec <= 3.0
        values = [found.w1_mag, found.w2_mag, found.w3_mag, found.w4_mag, found.w1_err_mag, found.w4_err_mag]
        assert all(value is None or abs(value) <= 50.0 for value in values)
