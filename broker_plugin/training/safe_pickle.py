"""Reading pickles of strangers: numpy arrays and plain values, and nothing that could run.

Unpickling calls whatever the file names.  Here every name is looked up in a short list of stand-ins that only keep what
they are given; numpy itself sees nothing but bytes whose type and length have been checked.
"""

from __future__ import annotations

import mmap
import pickle
import pickletools
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np

MAX_PICKLE_BYTES = 32 << 30
"""The largest file that is read.  The published training set of 63 x 63 stamps has about 4 GB."""

_BROKEN = (
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    RecursionError,
    ImportError,
    struct.error,
)
# How objects that are neither plain nor arrays come into being, and what refers to things outside the file.
_REFUSED_OPCODES = frozenset(
    {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER"}
)
_MEMO_OPCODES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_DTYPE = re.compile(r"[biuf][1248]|b1|O8?|[SU][0-9]{1,6}")


class UnsafePickleError(ValueError):
    """A pickle that asks for more than arrays and plain values, or that is broken; the message says what."""


def load_plain(path: Path) -> Any:
    """What a pickle of protocol 2 to 5 holds, of Python 2 or 3: dicts, lists, tuples, numbers, strings, arrays.

    Arrays are given as `PickledArray`, for `as_array`.  The file's size in memory is needed, once.

    Raises
    ------
    UnsafePickleError
        It asks for anything else, which is named; it is broken; or it is too large.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        if not 0 < size <= MAX_PICKLE_BYTES:
            raise UnsafePickleError(f"{path}: a pickle of {size} bytes; from 1 to {MAX_PICKLE_BYTES} are read")
        # Reads from a map end with the file, whatever length the pickle claims.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                _check_opcodes(content)
                content.seek(0)
                return _PlainUnpickler(content, encoding="latin1").load()
            except UnsafePickleError as problem:
                raise UnsafePickleError(f"{path}: {problem}") from problem
            except _BROKEN as problem:
                raise UnsafePickleError(f"{path}: no pickle that can be read: {problem}") from problem


def as_array(value: Any) -> np.ndarray:
    """A `PickledArray`, or a list of numbers, as an array.

    Raises
    ------
    UnsafePickleError
        It is neither.
    """
    if isinstance(value, PickledArray):
        return value.to_numpy()
    if isinstance(value, (list, tuple)) and all(isinstance(one, (int, float, str)) for one in value):
        return np.array(value)
    raise UnsafePickleError(f"a {type(value).__name__} where an array should be")


class PickledArray:
    """What a pickle says of one array."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._dtype = _Dtype("f8")
        self._data: Any = b""
        self._order: Literal["C", "F"] = "C"

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        self._keep(shape, dtype, data, "F" if is_fortran else "C")

    def _keep(self, shape: Any, dtype: Any, data: Any, order: Literal["C", "F"]) -> PickledArray:
        if not (isinstance(dtype, _Dtype) and isinstance(shape, tuple) and all(type(n) is int for n in shape)):
            raise UnsafePickleError("an array without a type or a shape")
        self._shape, self._dtype, self._order = shape, dtype, order
        self._data = data if isinstance(data, list) else _as_bytes(data)
        return self

    def to_numpy(self) -> np.ndarray:
        """The array; it may look at the bytes that were read, and is read-only then."""
        dtype = self._dtype.to_numpy()
        if dtype.hasobject != isinstance(self._data, list):
            raise UnsafePickleError("an array whose data are not of its type")
        if dtype.hasobject:
            if not all(isinstance(one, (int, float, str, type(None))) for one in self._data):
                raise UnsafePickleError("an array of other things than numbers and strings")
            flat = np.array(self._data, dtype=object)
        else:
            flat = np.frombuffer(self._data, dtype)
        try:
            return flat.reshape(self._shape, order=self._order)
        except ValueError as problem:
            raise UnsafePickleError(f"an array of {flat.size} values and the shape {self._shape}") from problem


class _Dtype:
    """What a pickle says of the type of an array."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        _, order, *structure = state
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure[:3]):
            raise UnsafePickleError("a structured type")
        self._order = order

    def to_numpy(self) -> np.dtype[Any]:
        return np.dtype(self._code).newbyteorder(self._order)  # type: ignore[arg-type]


class _PlainUnpickler(pickle.Unpickler):
    """Looks up every name in `_stand_ins` alone."""

    def __init__(self, file: Any, *, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._known = _stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        plain_module = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        if (plain_module, name) not in self._known:
            raise UnsafePickleError(f"refused: it asks for {module}.{name}, and only numpy arrays are read")
        return self._known[plain_module, name]


def _stand_ins() -> dict[tuple[str, str], Callable[..., Any]]:
    """Made for each file anew, since a pickle can set attributes of what it is given."""

    def ndarray() -> None:
        raise UnsafePickleError("an array that is made by other means than numpy's own")

    def reconstruct(*_: Any) -> PickledArray:
        return PickledArray()

    def from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> PickledArray:
        return PickledArray()._keep(shape, dtype, data, "F" if order == "F" else "C")

    def dtype(code: Any, *_: Any) -> _Dtype:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not (isinstance(code, str) and _DTYPE.fullmatch(code)):
            raise UnsafePickleError(f"an array of type {code!r:.40}")
        return _Dtype(code)

    def scalar(kind: Any, data: Any = b"") -> Any:
        array = PickledArray()._keep((), kind, _as_bytes(data), "C").to_numpy()
        return array.item()

    def encode(text: Any, encoding: Any = "latin1") -> bytes:
        if not (isinstance(text, str) and encoding == "latin1"):
            raise UnsafePickleError("bytes that are not written as Latin 1")
        return text.encode("latin1")

    def bytes_(data: Any = b"") -> bytes:
        return bytes(_as_bytes(data))

    return {
        ("numpy", "ndarray"): ndarray,
        ("numpy", "dtype"): dtype,
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,
        ("numpy.core.multiarray", "scalar"): scalar,
        ("numpy.core.numeric", "_frombuffer"): from_buffer,
        ("_codecs", "encode"): encode,
        ("builtins", "bytes"): bytes_,
        ("builtins", "bytearray"): bytes_,
    }


def _as_bytes(data: Any) -> bytes | bytearray:
    if isinstance(data, (bytes, bytearray)):
        return data
    if isinstance(data, str):  # Python 2 has bytes in strings
        return data.encode("latin1")
    raise UnsafePickleError(f"a {type(data).__name__} where bytes should be")


def _check_opcodes(content: mmap.mmap) -> None:
    """Refuse what no plain pickle has, before anything is built."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(BinaryIO, content))):
        if opcode.name in _REFUSED_OPCODES:
            raise UnsafePickleError(f"refused: it makes objects by {opcode.name}")
        # The table of what is referred to again grows to the highest number in it.
        if opcode.name in _MEMO_OPCODES and int(argument or 0) > count:
            raise UnsafePickleError("refused: it numbers more things than it has")
