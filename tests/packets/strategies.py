"""Damage to packets, by chance and by intent."""

from __future__ import annotations

import copy
import gzip
import io
import random
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
from hypothesis import strategies as st

from . import samples

Damage = Callable[[bytearray, random.Random, Sequence[bytes]], bytes]


def _flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    for _ in range(rng.choice((1, 1, 3, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _cut(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    start = rng.choice((0, 0, 0, rng.randrange(len(data))))
    return bytes(data[start : start + rng.randrange(len(data))])


def _splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return bytes(data[: rng.randrange(len(data))]) + other[rng.randrange(len(other)) :]


def _repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    start = rng.randrange(len(data))
    part = data[start : start + rng.randrange(1, 4000)]
    return bytes(data[:start] + part * rng.randrange(2, 6) + data[start:])


def _overwrite(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    number = rng.choice((0, -1, 2**31, -(2**31), 2**62, -(2**63), 2**63 - 1, rng.randrange(2**40)))
    # Damage in the fields, not in the images, is what finds things: those lie in the first third.
    at = rng.randrange(len(data) if rng.random() < 0.3 else len(data) // 3)
    content = rng.choice((samples.zigzag(number), number.to_bytes(8, "big", signed=True), b"\xff" * 10, bytes(8)))
    data[at : at + len(content)] = content
    return bytes(data)


def _delete(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 8, 500))]
    return bytes(data)


def _gzip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytes:
    out = bytes(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        out = gzip.compress(out, 1)
    if rng.random() < 0.5:
        out = _flip(bytearray(out), rng, ())
    return out


def _recode(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage behind the compression, and cutouts that belong to others or are no images."""
    if data[:4] != b"Obj\x01":
        return _overwrite(data, rng, others)
    reader = fastavro.reader(io.BytesIO(bytes(data)))
    record = next(reader)
    blobs = [record[name] for name in samples.CUTOUTS]
    for name in samples.CUTOUTS:
        blob = copy.copy(rng.choice(blobs))
        if isinstance(blob, dict) and rng.random() < 0.7:
            inner = gzip.decompress(blob["stampData"]) if rng.random() < 0.7 else blob["stampData"]
            inner = rng.choice(BYTE_DAMAGE)(bytearray(inner), rng, [inner])
            blob["stampData"] = gzip.compress(inner, 1) if rng.random() < 0.7 else inner
        record[name] = blob
    codec = rng.choice(("null", "deflate", "snappy", "bzip2", "xz"))
    out = samples.container(reader.writer_schema, [record] * rng.choice((1, 1, 1, 2)), codec)
    return out if rng.random() < 0.5 else _flip(bytearray(out), rng, ())


BYTE_DAMAGE: tuple[Damage, ...] = (_flip, _cut, _splice, _repeat, _overwrite, _overwrite, _delete)
DAMAGE: tuple[Damage, ...] = (*BYTE_DAMAGE, _gzip, _recode)


def damaged(packets: Sequence[bytes], seed: int) -> bytes:
    """A packet with one to three kinds of damage.  The same seed does the same."""
    rng = random.Random(seed)
    data = rng.choice(packets)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if data:
            try:
                data = rng.choice(DAMAGE)(bytearray(data), rng, packets)
            except Exception:  # noqa: BLE001 - too damaged already to be damaged in that way
                data = _flip(bytearray(data), rng, packets)
    return data


def anything() -> st.SearchStrategy[Any]:
    """Values of every type that a dict may hold."""
    plain = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from([2**63, -(2**63), 2**53 + 1, -999, -999.0, 10**400, "null", "t", "ZTF18aaaaaaa", b"\x1f\x8b"])
        | st.floats()
        | st.text(max_size=10)
        | st.binary(max_size=20)
        | st.complex_numbers()
        | st.builds(object)
    )
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    )


@st.composite
def spoilt_records(draw: st.DrawFn) -> dict[str, Any]:
    """A decoded alert of either survey with some of its fields replaced, at the top or in its main record."""
    record, inner = draw(st.sampled_from([(samples.ztf_record, "candidate"), (samples.rubin_record, "diaSource")]))
    spoilt = record()
    for name in draw(st.lists(st.sampled_from(sorted(spoilt)), max_size=3)):
        spoilt[name] = draw(anything())
    if isinstance(spoilt[inner], dict) and spoilt[inner]:
        for name in draw(st.lists(st.sampled_from(sorted(map(str, spoilt[inner]))), max_size=4)):
            spoilt[inner][name] = draw(anything())
    for name in draw(st.lists(st.sampled_from(sorted(spoilt)), max_size=2)):
        spoilt.pop(name, None)
    return spoilt
