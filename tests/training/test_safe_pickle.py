"""Pickles of strangers: arrays and plain values come out, and nothing runs."""

import collections
import contextlib
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broker_plugin.training import safe_pickle
from broker_plugin.training.safe_pickle import UnsafePickleError, as_array, load_plain

RNG = np.random.default_rng(1)
ARRAYS = {
    "float32": RNG.random((3, 4, 2), dtype=np.float32),
    "fortran": np.asfortranarray(RNG.random((3, 4))),
    "big endian": np.arange(6, dtype=">i2").reshape(2, 3),
    "strided": np.arange(24).reshape(4, 6)[:, ::2],
    "bool": np.array([True, False]),
    "text": np.array(["ZTF18aaa", "ZTF19b"]),
    "objects": np.array([[1.5, 2, None], [np.float64(3.5), "f", np.float32(0.5)]], dtype=object),
    "empty": np.zeros((0, 5)),
    "scalar": np.array(7.0),
}

# What Python 2 and its numpy write of np.array([1, 2, 3], 'f4'), protocol 2: bytes are strings there.
PYTHON_2 = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85U\x01b\x87Rq\x02"
    b"(K\x01K\x03\x85cnumpy\ndtype\nq\x03U\x02f4K\x00K\x01\x87Rq\x04(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x0c" + np.array([1.0, 2.0, 3.0], "<f4").tobytes() + b"tb."
)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def written(path: Path, content: Any, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_out_as_they_went_in(tmp_path: Path, name: str, protocol: int) -> None:
    loaded = as_array(load_plain(written(tmp_path / "a.pkl", {"x": [ARRAYS[name]]}, protocol))["x"][0])
    np.testing.assert_array_equal(loaded, ARRAYS[name])
    assert loaded.dtype == ARRAYS[name].dtype


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_come_out_as_they_went_in(tmp_path: Path, protocol: int) -> None:
    content = {"a": [1, 2.5, None, True, 2**70], ("b", 1): "text", "c": b"bytes", "d": np.float32(1.5)}
    assert load_plain(written(tmp_path / "a.pkl", content, protocol)) == content


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(PYTHON_2)
    np.testing.assert_array_equal(as_array(load_plain(tmp_path / "a.pkl")), np.array([1, 2, 3], "f4"))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("call", "name"), [(os.system, "system"), (eval, "eval"), (exec, "exec"), (getattr, "getattr")]
)
def test_what_would_run_is_refused_by_its_name(tmp_path: Path, call: Any, name: str, protocol: int) -> None:
    mark = tmp_path / "mark"
    evil = Evil(call, f"touch {mark}") if call is os.system else Evil(call, f"open({str(mark)!r}, 'w')")
    path = written(tmp_path / "a.pkl", {"images": ARRAYS["float32"], "labels": evil}, protocol)
    with pytest.raises(UnsafePickleError, match=rf"a\.pkl: refused: it asks for .*{name}"):
        load_plain(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch mark'\ntR.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0atouch mark\x85R.",
        b"(S'touch mark'\nios\nsystem\n.",
        b"\x80\x02\x82\x01.",  # the registry of extensions
        b"\x80\x02U\x01aQ.",  # a persistent id
    ],
)
def test_so_is_every_other_way_to_name_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(UnsafePickleError, match=r"refused|no pickle"):
        load_plain(tmp_path / "a.pkl")


def test_other_objects_are_refused_by_their_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pkl", collections.OrderedDict(a=1), 4)
    with pytest.raises(UnsafePickleError, match=r"collections\.OrderedDict"):
        load_plain(path)


def test_what_stands_in_cannot_be_changed_for_later(tmp_path: Path) -> None:
    """BUILD sets attributes: of the function that stands in for numpy's, for this file alone."""
    (tmp_path / "a.pkl").write_bytes(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}U\x0c__defaults__(K\x01tstbcnumpy\nndarray\n\x85R."
    )
    with contextlib.suppress(UnsafePickleError):
        load_plain(tmp_path / "a.pkl")
    test_pickles_of_python_2_are_read(tmp_path)


def _array_with(state: bytes) -> bytes:
    return b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R" + state + b"b."


F4 = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_array_with(b"(K\x01J\xff\xff\xff\x7f\x85" + F4 + b"\x89U\x041234t"), "shape"),
        (_array_with(b"(K\x01J\xff\xff\xff\xff\x85" + F4 + b"\x89U\x0512345t"), "no pickle|multiple"),
        (_array_with(b"(K\x01K\x01\x85NK\x00U\x041234t"), "without a type"),
        (_array_with(b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02V4K\x00K\x01\x87RK\x00U\x041234t"), "of type 'V4'"),
        (_array_with(b"(K\x01K\x01\x85cnumpy\ndtype\nU\x01O\x85R\x89U\x081234567812t"), "data are not|no pickle"),
    ],
)
def test_arrays_that_lie_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises((UnsafePickleError, ValueError), match=message):
        as_array(load_plain(tmp_path / "a.pkl"))


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_a_pickle_that_breaks_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "a.pkl", ARRAYS["float32"], 4)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UnsafePickleError, match=r"a\.pkl"):
        load_plain(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".",  # a table of 2**31 things to refer to
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"1234.",  # a terabyte of bytes
        b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",  # a frame of a terabyte
    ],
)
def test_lengths_are_not_believed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(UnsafePickleError):
        load_plain(tmp_path / "a.pkl")


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_pickle, "MAX_PICKLE_BYTES", 10)
    with pytest.raises(UnsafePickleError, match="from 1 to 10 are read"):
        load_plain(written(tmp_path / "a.pkl", ARRAYS["float32"], 4))


def test_a_dict_is_no_array() -> None:
    with pytest.raises(UnsafePickleError, match="a dict where an array should be"):
        as_array({})
