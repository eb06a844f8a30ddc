"""The encoding of a detection: nothing is lost, and damage does not pass for data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_plugin.history import ObjectKey, RememberedDetection
from broker_plugin.history.detection import MAX_ENCODED_BYTES, decode, encode, row_of

from .samples import detection

INT64 = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.floats(width=32) | st.just(float("nan"))


@st.composite
def detections(draw: st.DrawFn) -> RememberedDetection:
    size, channels = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    stamps = np.frombuffer(draw(st.binary(min_size=(n := size * size * channels * 2), max_size=n)), np.float16)
    return RememberedDetection(
        draw(INT64),
        draw(st.floats(allow_nan=False, allow_infinity=False)),
        draw(st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)),
        stamps.reshape(size, size, channels) if draw(st.booleans()) else None,
        np.array(draw(st.lists(NUMBERS, max_size=6)), np.float32),
    )


@given(detections())
def test_nothing_is_lost(one: RememberedDetection) -> None:
    again = decode(row_of(encode(one).data))
    assert (again.alert_id, again.mjd, again.band) == (one.alert_id, one.mjd, one.band)
    assert np.array_equal(again.values, one.values, equal_nan=True) and again.values.dtype == np.float32
    if one.stamps is None:
        assert again.stamps is None
    else:
        assert again.stamps is not None and again.stamps.dtype == np.float16
        assert again.stamps.shape == one.stamps.shape and again.stamps.tobytes() == one.stamps.tobytes()


@given(detections())
def test_a_row_says_what_the_detection_does(one: RememberedDetection) -> None:
    row = row_of(encode(one).data)
    assert row == encode(one)
    assert row[:3] == (one.mjd, one.alert_id, one.stamps is not None)


@given(detections(), st.data())
def test_any_flipped_bit_is_noticed(one: RememberedDetection, data: st.DataObject) -> None:
    damaged = bytearray(encode(one).data)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match=r"checksum|long|version"):
        row_of(bytes(damaged))


@given(detections(), st.data())
def test_any_other_length_is_noticed(one: RememberedDetection, data: st.DataObject) -> None:
    encoded = encode(one).data
    with pytest.raises(ValueError, match=r"long|detection"):
        row_of(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(ValueError, match="long"):
        row_of(encoded + b"\0")


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"checksum|long|version|detection"):
        row_of(data)


def test_another_version_is_named() -> None:
    data = encode(detection(1)).data
    with pytest.raises(ValueError, match="version 2, and this package knows 1"):
        row_of(b"\2" + data[1:])


def test_the_layout_is_the_documented_one() -> None:
    one = RememberedDetection(1, 2.0, "r", np.ones((1, 1, 2), np.float16), np.ones(1, np.float32))
    head = "01 01 0100 0100 0200 0100000000000000 0000000000000040"
    assert encode(one).data[:-4] == bytes.fromhex(head + "0000803f 003c 003c") + b"r"


def test_a_full_detection_takes_less_than_8_kb() -> None:
    one = RememberedDetection(1, 59000.0, "g", np.zeros((33, 33, 3), np.float16), np.zeros(40, np.float32))
    assert len(encode(one).data) == 6723


def test_what_is_decoded_can_not_be_written_to() -> None:
    again = decode(encode(detection(1, stamped=True)))
    assert again.stamps is not None
    assert not again.stamps.flags.writeable and not again.values.flags.writeable


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"alert_id": 2**63}, "64 bits"),
        ({"mjd": float("nan")}, "not finite"),
        ({"mjd": float("inf")}, "not finite"),
        ({"band": ""}, "band"),
        ({"band": "x" * 256}, "band"),
        ({"values": np.zeros(3)}, "float64"),
        ({"values": np.zeros((3, 1), np.float32)}, r"\(3, 1\)"),
        ({"values": np.zeros(2**16, np.float32)}, "65536"),
        ({"stamps": np.zeros((3, 3, 1), np.float32)}, "float32"),
        ({"stamps": np.zeros((3, 4, 1), np.float16)}, r"\(3, 4, 1\)"),
        ({"stamps": np.zeros((3, 3), np.float16)}, r"\(3, 3\)"),
        ({"stamps": np.zeros((0, 0, 1), np.float16)}, r"\(0, 0, 1\)"),
        ({"stamps": np.zeros((1, 1, 2**16), np.float16)}, "65536"),
        ({"stamps": np.zeros((600, 600, 2), np.float16)}, str(MAX_ENCODED_BYTES)),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        encode(replace(detection(7), **changed))


def test_an_id_that_went_through_a_double_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        encode(replace(detection(7), alert_id=1.7e18))


@pytest.mark.parametrize(
    ("survey", "object_id"), [("", "a"), ("a:b", "c"), ("s" * 33, "a"), ("ztf", ""), ("ztf", "o" * 257)]
)
def test_keys_have_a_length_and_one_colon(survey: str, object_id: str) -> None:
    with pytest.raises(ValueError, match="must have"):
        ObjectKey(survey, object_id)
