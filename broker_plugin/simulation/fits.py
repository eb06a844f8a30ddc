"""Writes the small FITS files that surveys put into their packets (FITS standard 4.0, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Value = bool | int | float | str
Card = tuple[str, Value]

_BLOCK = 2880
_BITPIX = {"f4": -32, "f8": -64}


def primary_hdu(image: NDArray[np.floating], cards: Iterable[Card] = ()) -> bytes:
    """An image as the first (or only) unit of a file; ``cards`` follow the mandatory ones."""
    return _hdu(("SIMPLE", True), image, cards)


def image_extension(image: NDArray[np.floating], cards: Iterable[Card] = ()) -> bytes:
    """An image as a further unit of a file; ``cards`` follow the mandatory ones."""
    return _hdu(("XTENSION", "IMAGE"), image, [("PCOUNT", 0), ("GCOUNT", 1), *cards])


def _hdu(first: Card, image: NDArray[np.floating], cards: Iterable[Card]) -> bytes:
    rows, columns = image.shape
    bitpix = _BITPIX[image.dtype.str[1:]]
    mandatory = (first, ("BITPIX", bitpix), ("NAXIS", 2), ("NAXIS1", columns), ("NAXIS2", rows))
    data = image.astype(image.dtype.newbyteorder(">")).tobytes()
    return _header((*mandatory, *cards)) + _padded(data, b"\0")


@lru_cache(maxsize=64)  # most headers differ by the shape of the image alone
def _header(cards: tuple[Card, ...]) -> bytes:
    return _padded(("".join(_card(name, value) for name, value in cards) + "END").encode("ascii"), b" ")


def _card(name: str, value: Value) -> str:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:<8}'"
    elif isinstance(value, int):
        text = f"{value:>20}"
    else:
        text = f"{value:>20.13G}"
        if "." not in text:
            text = f"{value:>20.1f}"
    return f"{name:<8}= {text}".ljust(80)


def _padded(content: bytes, fill: bytes) -> bytes:
    return content + fill * (-len(content) % _BLOCK)
