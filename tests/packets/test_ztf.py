"""Fields of ZTF alerts: identity, missing values, history, and stamps cut off by the edge of the detector."""

from __future__ import annotations

import math

import numpy as np
import pytest

from broker_plugin.alert import Alert, AlertError, Reason, Rejected
from broker_plugin.packets import PacketFiles, PacketReader, read_stamp
from broker_plugin.packets.cutouts import decode_fits
from broker_plugin.packets.ztf import STAMP_PIXELS, place

from . import samples

READER = PacketReader()
BEYOND_DOUBLE = 2**53 + 1


def read(**changes) -> Alert:
    alert = READER.read(samples.ztf_record(**changes))
    assert isinstance(alert, Alert), alert
    return alert


def refused(**changes) -> Rejected:
    result = READER.read(samples.ztf_record(**changes))
    assert isinstance(result, Rejected)
    return result


def test_id_beyond_a_double_keeps_every_digit():
    assert read(candid=BEYOND_DOUBLE).identity.alert_id == BEYOND_DOUBLE
    packet = samples.container(samples.ztf_schema(), [samples.ztf_record(candid=BEYOND_DOUBLE)])
    assert READER.read(packet).identity.alert_id == BEYOND_DOUBLE


@pytest.mark.parametrize(
    "candid", [float(BEYOND_DOUBLE), 7.0, "7", True, 2**63, -(2**70), pytest.param(10**5000, id="long"), b"7", [7]]
)
def test_id_that_is_no_64_bit_integer_is_refused(candid):
    result = refused(candid=candid, candidate_candid=None)
    assert result.reason is Reason.INVALID_FIELD and "candid" in result.detail
    assert result.identity.alert_id is None and result.digest


def test_id_may_stand_in_the_candidate_alone():
    record = samples.ztf_record(candidate_candid=BEYOND_DOUBLE)
    del record["candid"]
    assert READER.read(record).identity.alert_id == BEYOND_DOUBLE


def test_missing_id_is_named():
    result = refused(candid=None, candidate_candid=None)
    assert result.reason is Reason.MISSING_FIELD and "candid" in result.detail


def test_numpy_integer_is_an_id():
    assert read(candid=np.int64(BEYOND_DOUBLE)).identity.alert_id == BEYOND_DOUBLE


def test_missing_candidate_is_named_and_the_ids_are_kept():
    result = refused(candidate=None)
    assert (result.reason, result.detail) == (Reason.MISSING_FIELD, "candidate is missing")
    assert result.identity.alert_id is not None and result.identity.object_id is not None


@pytest.mark.parametrize("candidate", ["text", 7, [], b"", [{}]])
def test_candidate_that_is_no_record_is_refused(candidate):
    assert refused(candidate=candidate).reason is Reason.INVALID_FIELD


@pytest.mark.parametrize("field", ["ra", "dec", "jd"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1.0", True, b"", [], 10**400, 1e9])
def test_time_and_place_must_be_numbers_in_range(field, value):
    if (field, value) == ("jd", 1e9):
        return
    result = refused(**{f"candidate_{field}": value})
    assert result.reason is Reason.INVALID_FIELD and f"candidate.{field}" in result.detail
    assert result.identity.alert_id is not None


@pytest.mark.parametrize("field", ["ra", "dec", "jd"])
def test_missing_time_or_place_is_named(field):
    result = refused(**{f"candidate_{field}": None})
    assert (result.reason, result.detail) == (Reason.MISSING_FIELD, f"candidate.{field} is missing")


@pytest.mark.parametrize("value", [7, b"ZTF", ["ZTF"], "ZTF" * 100])
def test_object_id_that_is_no_short_text_is_refused(value):
    record = samples.ztf_record(objectId=value)
    packet = READER.read(record)
    assert isinstance(packet, Rejected)
    assert packet.reason in (Reason.INVALID_FIELD, Reason.UNSUPPORTED_SURVEY)


def test_time_is_mjd_utc():
    identity = read(candidate_jd=2458000.75).identity
    assert (identity.mjd, identity.mjd_scale) == (58000.25, "utc")


@pytest.mark.parametrize(("fid", "band"), [(1, "g"), (2, "r"), (3, "i"), (4, None), (None, None)])
def test_band_is_that_of_the_filter(fid, band):
    assert read(candidate_fid=fid).identity.band == band


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("t", True), ("1", True), ("True", True), ("f", False), ("0", False), ("False", False), (1, 1), (0, 0)],
)
def test_sign_of_the_difference_is_read_in_every_spelling(value, meaning):
    assert read(candidate_isdiffpos=value).values["isdiffpos"] == meaning


@pytest.mark.parametrize("value", [None, math.nan, -999.0, -999, np.float32(-999), np.float64("nan"), "null"])
def test_every_way_to_say_missing_is_none(value):
    assert read(candidate_sgscore1=value).values["sgscore1"] is None


@pytest.mark.parametrize("value", [0.0, -999.5, 999, "Ceres", False])
def test_what_is_not_missing_is_kept(value):
    assert read(candidate_ssnamenr=value).values["ssnamenr"] == value


@pytest.mark.parametrize("value", [[1, 2], np.zeros(3), {"a": 1}, b"x"])
def test_value_of_an_odd_type_leaves_the_alert_readable(value):
    assert isinstance(READER.read(samples.ztf_record(candidate_sgscore1=value)), Alert)


def rows(*candids) -> list[dict]:
    return [{"jd": 2458000.5 + i, "candid": c, "fid": 1, "magpsf": 18.0} for i, c in enumerate(candids)]


def test_history_is_detections_in_order_and_a_count_of_upper_limits():
    alert = read(prv_candidates=[*reversed(rows(11, None, 13)), *rows(None)])
    assert [row.values["candid"] for row in alert.history] == [11, 13]
    assert [row.mjd for row in alert.history] == [58000.0, 58002.0]
    assert alert.non_detections == 2


@pytest.mark.parametrize("history", [None, [], (), np.array([], dtype=object)])
def test_no_history_is_an_empty_one(history):
    alert = read(prv_candidates=history)
    assert alert.history == () and alert.non_detections == 0


@pytest.mark.parametrize("history", [rows(11)[0], tuple(rows(11)), np.array(rows(11), dtype=object)])
def test_history_may_come_as_one_record_or_an_array(history):
    assert len(read(prv_candidates=history).history) == 1


def test_id_of_a_row_that_became_a_double_still_makes_it_a_detection():
    alert = read(prv_candidates=rows(7.1e17, math.nan))
    assert len(alert.history) == 1 and alert.non_detections == 1


@pytest.mark.parametrize("history", ["text", 7, [7], ["a"], [None], b"x", [[]]])
def test_history_that_is_no_list_of_records_is_named_and_costs_nothing_else(history):
    alert = read(prv_candidates=history)
    assert "prv_candidates" in alert.history_problem
    assert (alert.history, alert.non_detections) == ((), None)


def test_row_without_a_time_is_named():
    history = rows(11, 12)
    history[1]["jd"] = None
    assert read(prv_candidates=history).history_problem == "prv_candidates[1].jd is missing"


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_cutout_may_be_any_form_of_bytes_with_or_without_its_record(form):
    content = samples.ztf_record()["cutoutScience"]["stampData"]
    for cutout in (form(content), {"stampData": form(content)}):
        assert read(cutoutScience=cutout).cutouts["science"] == content


@pytest.mark.parametrize("cutout", [None, {}, {"stampData": None}, b"", {"stampData": b""}])
def test_cutout_that_is_not_there_is_none(cutout):
    assert read(cutoutScience=cutout).cutouts["science"] is None


@pytest.mark.parametrize("cutout", ["text", 7, {"stampData": "text"}, [b""]])
def test_cutout_of_another_type_is_refused(cutout):
    result = refused(cutoutScience=cutout)
    assert result.reason is Reason.INVALID_FIELD and "cutoutScience" in result.detail


WHOLE = np.arange(STAMP_PIXELS**2, dtype=np.float32).reshape(STAMP_PIXELS, STAMP_PIXELS)
COLUMNS, ROWS = 3072, 3080


def cut_by_the_edge(xpos: float, ypos: float) -> np.ndarray:
    """The part of a whole stamp that lies on the quadrant, as the survey cuts it."""
    column, row = round(xpos - 1) - 31, round(ypos - 1) - 31
    inside_rows = slice(max(0, -row), min(STAMP_PIXELS, ROWS - row))
    inside_columns = slice(max(0, -column), min(STAMP_PIXELS, COLUMNS - column))
    return WHOLE[inside_rows, inside_columns]


MIDDLE = (1500.3, 1500.4)
POSITIONS = [
    (x, y)
    for x in (1.0, 10.4, 31.6, MIDDLE[0], COLUMNS - 20.3, float(COLUMNS))
    for y in (1.2, 20.4, 31.4, MIDDLE[1], ROWS - 25.7, float(ROWS))
]


@pytest.mark.parametrize("position", POSITIONS)
def test_stamp_cut_by_an_edge_or_corner_is_put_back_in_its_place(position):
    cut = cut_by_the_edge(*position)
    placed = place(cut, {"xpos": position[0], "ypos": position[1]})
    assert placed.shape == WHOLE.shape
    there = np.isfinite(placed)
    assert there.sum() == cut.size
    np.testing.assert_array_equal(placed[there], WHOLE[there])


def test_whole_stamp_is_left_as_it_is():
    assert place(WHOLE, {}) is WHOLE


@pytest.mark.parametrize("position", [None, math.inf, -math.inf, "12", 1500.0, 1e300, True])
def test_cut_stamp_that_no_edge_explains_is_corrupt(position):
    with pytest.raises(AlertError) as caught:
        place(WHOLE[:50], {"xpos": 100.0, "ypos": position})
    assert caught.value.reason is Reason.CORRUPT_CUTOUT


@pytest.mark.parametrize("shape", [(64, 63), (63, 100), (200, 200), (1, 1)])
def test_stamp_of_an_impossible_shape_is_corrupt(shape):
    with pytest.raises(AlertError):
        place(np.zeros(shape, np.float32), {"xpos": 5.0, "ypos": 5.0})


def test_wcs_in_a_stamp_does_not_move_its_centre():
    cutout = {"stampData": samples.fits_file(WHOLE, CRPIX1=5.0, CRPIX2=7.0)}
    assert read_stamp(read(cutoutScience=cutout), "science").centre == (31, 31)


def test_real_stamps_cut_by_an_edge_end_whole_with_the_source_in_the_centre(shared_alerts):
    reader = PacketReader(fields=(), history=False)
    placed = 0
    for alert in PacketFiles([shared_alerts / "ztf"], reader):
        raw = decode_fits(alert.cutouts["difference"]).pixels
        if raw.shape == WHOLE.shape:
            continue
        image = read_stamp(alert, "difference")
        assert image.pixels.shape == WHOLE.shape and image.centre == (31, 31)
        assert np.isfinite(image.pixels).sum() == np.isfinite(raw).sum()
        # The survey subtracts so that the source is bright, whatever its sign.
        near = np.nan_to_num(image.pixels[25:38, 25:38])
        smooth = sum(np.roll(near, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1))
        row, column = np.unravel_index(np.argmax(smooth), smooth.shape)
        assert abs(row - 6) <= 1 and abs(column - 6) <= 1
        placed += 1
    assert placed >= 15


@pytest.mark.parametrize(
    "position",
    [None, "31.0", True, math.nan, math.inf, 1e308, 10**400, -(10**400), 10**5000],
    ids=["None", "text", "bool", "NaN", "infinite", "large", "larger", "negative", "longest"],
)
@pytest.mark.parametrize("name", ["xpos", "ypos"])
def test_position_that_is_no_pixel_explains_no_cut_stamp(name, position):
    shape = (50, 63) if name == "ypos" else (63, 50)
    with pytest.raises(AlertError) as caught:
        place(np.zeros(shape, np.float32), {name: position})
    assert caught.value.reason is Reason.CORRUPT_CUTOUT


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, int])
def test_position_may_be_any_number(kind):
    assert place(np.zeros((50, 63), np.float32), {"ypos": kind(19)}).shape == (63, 63)


@pytest.mark.parametrize("value", [None, math.nan, -999.0, -999, np.float32(-999), "null"])
def test_sign_of_the_difference_may_be_missing(value):
    assert read(candidate_isdiffpos=value).values["isdiffpos"] is None


def test_number_that_python_lacks_leaves_the_alert_readable():
    assert isinstance(READER.read(samples.ztf_record(candidate_sgscore1=np.longdouble(1))), Alert)
