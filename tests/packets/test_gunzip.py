"""Bounded decompression."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from broker_plugin.packets.gunzip import gunzip, inflate
from broker_plugin.packets.limits import TooLargeError

CONTENT = bytes(range(256)) * 40


def test_gunzip_gives_the_content():
    assert gunzip(gzip.compress(CONTENT), 1 << 20) == CONTENT


def test_several_members_are_one_file():
    assert gunzip(gzip.compress(CONTENT) + gzip.compress(b"more"), 1 << 20) == CONTENT + b"more"


def test_many_small_members_take_no_longer_than_their_size():
    started = time.monotonic()
    assert gunzip(gzip.compress(b"x") * 50_000, 1 << 20) == b"x" * 50_000
    assert time.monotonic() - started < 2.0


def test_content_may_reach_the_bound_and_not_pass_it():
    assert gunzip(gzip.compress(CONTENT), len(CONTENT)) == CONTENT
    with pytest.raises(TooLargeError):
        gunzip(gzip.compress(CONTENT), len(CONTENT) - 1)


def test_bound_holds_over_all_members():
    with pytest.raises(TooLargeError):
        gunzip(gzip.compress(CONTENT) * 2, len(CONTENT) + 1)


@pytest.mark.parametrize("members", [1, 2])
def test_cut_off_at_any_byte_is_an_error(members):
    data = gzip.compress(b"some content", mtime=0) * members
    whole = len(data) // members
    for end in range(len(data)):
        if end and end % whole <= 1:
            continue  # a whole member, and what is too short to be told from padding
        with pytest.raises(ValueError):
            gunzip(data[:end], 1 << 20)


def test_changed_content_fails_its_checksum():
    data = bytearray(gzip.compress(CONTENT))
    data[-6] ^= 1
    with pytest.raises(ValueError):
        gunzip(bytes(data), 1 << 20)


def test_inflate_gives_the_content_of_raw_deflate():
    compressor = zlib.compressobj(wbits=-15)
    assert inflate(compressor.compress(CONTENT) + compressor.flush(), 1 << 20) == CONTENT


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"\xff" * 20])
def test_garbage_is_a_value_error(data):
    with pytest.raises(ValueError):
        gunzip(data, 1 << 20)
    with pytest.raises(ValueError):
        inflate(data, 1 << 20)
