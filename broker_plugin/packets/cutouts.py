"""Cutouts: the FITS images inside a packet, as float32 arrays.

The fast road checks the cards that decide what the pixels are and takes them with `numpy.frombuffer`;
whatever it does not know goes to astropy.  Both give the same bits.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from broker_plugin.alert import Alert, AlertError, Reason
from broker_plugin.packets import rubin, ztf
from broker_plugin.packets.gunzip import GZIP_MAGIC, gunzip
from broker_plugin.packets.limits import MAX_CUTOUT_BYTES, MAX_CUTOUT_CARDS, MAX_CUTOUT_PIXELS, TooLargeError

_BLOCK = 2880  # FITS 4.0 standard, section 3.1
_CARD = 80
_JPEG_MAGIC = b"\xff\xd8\xff"
_MAX_HDUS = 8  # Rubin has three
_MAX_AXES = 4
_END = b"END     "
_AXES = tuple(b"NAXIS%-3d" % axis for axis in range(1, _MAX_AXES + 1))
# With one of these the pixels are not simply the stored numbers.
_NOT_PLAIN = frozenset({b"BSCALE  ", b"BZERO   ", b"BLANK   ", b"GROUPS  "})
_LOOKED_AT = _NOT_PLAIN | {b"BITPIX  ", b"NAXIS   ", *_AXES, b"PCOUNT  ", b"GCOUNT  ", b"CRPIX1  ", b"CRPIX2  "}
_WARNINGS_LOCK = threading.Lock()  # filters of warnings belong to the process, not to the thread


@dataclass(frozen=True, slots=True)
class Image:
    """One cutout.

    Attributes
    ----------
    pixels
        float32, (rows, columns), the first row is the lowest.  ZTF: DN; Rubin: nJy.
    centre
        Row and column of the source.
    """

    pixels: np.ndarray
    centre: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Planes:
    """All that a Rubin cutout holds.

    Attributes
    ----------
    pixels, variance
        float32, (rows, columns), nJy and nJy squared.
    psf
        float64, the PSF at the source, normalised to a sum of one.
    north_deg
        Angle from the stamp's column axis (up) to north, counter-clockwise, degrees; None without a WCS.
    """

    pixels: np.ndarray
    variance: np.ndarray | None
    psf: np.ndarray | None
    north_deg: float | None


def read_stamp(alert: Alert, name: str) -> Image:
    """One stamp of an alert, with the source's pixel.

    Parameters
    ----------
    name
        ``science``, ``template`` or ``difference``.

    Raises
    ------
    AlertError
        ``missing_cutout``, ``corrupt_cutout``, ``too_large``, ``unsupported_cutout``; the detail names the field.
    """
    survey = ztf if alert.identity.survey == ztf.NAME else rubin
    field = survey.cutout_field(name)
    raw = alert.cutouts.get(name)
    if raw is None:
        raise AlertError(Reason.MISSING_CUTOUT, f"{field} is missing")
    try:
        image = decode_fits(raw)
        if survey is ztf:
            pixels = ztf.place(image.pixels, alert.values)
            return Image(pixels, _middle(pixels.shape))
        return image
    except AlertError as problem:
        raise AlertError(problem.reason, f"{field}: {problem.detail}") from problem


def decode_fits(raw: bytes) -> Image:
    """The first image of a FITS file, gzipped or not.

    Raises
    ------
    AlertError
        ``corrupt_cutout``, ``too_large``, ``unsupported_cutout``.
    """
    try:
        data = _content(raw)
        image = _decode_plain(data)
        return _decode_with_astropy(data) if image is None else image
    except AlertError:
        raise
    except TooLargeError as problem:
        raise AlertError(Reason.TOO_LARGE, str(problem)) from problem
    except Exception as problem:
        raise AlertError(Reason.CORRUPT_CUTOUT, f"not a readable FITS image: {problem}") from problem


def decode_planes(raw: bytes) -> Planes:
    """Image, variance, PSF and orientation of a Rubin cutout.  Raises as `decode_fits`."""
    from astropy.io import fits

    pixels = decode_fits(raw).pixels  # the bounds are checked on the way
    try:
        with _quietly_open(_content(raw)) as hdus:
            header = hdus[0].header
            planes = {
                hdu.name: hdu.data.astype(hdu.data.dtype.newbyteorder("="))
                for hdu in hdus
                if isinstance(hdu, fits.ImageHDU) and hdu.name in ("UNCERT", "PSFIMAGE") and _within_bounds(hdu.shape)
            }
        return Planes(pixels, planes.get("UNCERT"), planes.get("PSFIMAGE"), _north_deg(header))
    except TooLargeError as problem:
        raise AlertError(Reason.TOO_LARGE, str(problem)) from problem
    except Exception as problem:
        raise AlertError(Reason.CORRUPT_CUTOUT, f"not a readable FITS file: {problem}") from problem


def _content(raw: bytes) -> bytes:
    """The FITS file, gunzipped if need be, within its bound."""
    if raw[:2] == GZIP_MAGIC:
        return gunzip(raw, MAX_CUTOUT_BYTES)
    if len(raw) > MAX_CUTOUT_BYTES:
        raise TooLargeError(f"{len(raw)} bytes are more than {MAX_CUTOUT_BYTES}")
    return raw


def _decode_plain(data: bytes) -> Image | None:
    """The image, where it is a plain two-dimensional float32 primary image; None where it is something else."""
    if data[:9] != b"SIMPLE  =":
        if data[: len(_JPEG_MAGIC)] == _JPEG_MAGIC:
            raise AlertError(Reason.UNSUPPORTED_CUTOUT, "a JPEG picture, not a FITS image")
        raise ValueError("it does not begin as FITS does")
    found, offset = _read_header(data, 0)
    plain = _NOT_PLAIN.isdisjoint(found)
    if not plain or _card_text(found, b"BITPIX  ") != b"-32" or _card_text(found, b"NAXIS   ") != b"2":
        return None
    columns, rows = int(_card_text(found, b"NAXIS1  ")), int(_card_text(found, b"NAXIS2  "))
    _within_bounds((rows, columns))
    if len(data) < offset + 4 * rows * columns:
        raise ValueError(f"{len(data)} bytes are too few for {columns} x {rows} pixels")
    stored = np.frombuffer(data, dtype=">f4", count=rows * columns, offset=offset)
    return Image(stored.astype(np.float32).reshape(rows, columns), _centre(found, (rows, columns)))


def _read_header(data: bytes, start: int) -> tuple[dict[bytes, bytes], int]:
    """The cards of a header that are looked at here, and where the data behind it begin."""
    found: dict[bytes, bytes] = {}
    for at in range(start, min(len(data), start + MAX_CUTOUT_CARDS * _CARD), _CARD):
        key = data[at : at + 8]
        if key in _LOOKED_AT:
            found[key] = data[at + 8 : at + _CARD]
        elif key == _END:
            return found, (at // _BLOCK + 1) * _BLOCK
    raise ValueError(f"a header has no end within {MAX_CUTOUT_CARDS} cards")


def _bounded(data: bytes) -> bytes:
    """What of a file astropy may be shown: the first units, all of them with a header of bounded length."""
    end = 0
    for _ in range(_MAX_HDUS):
        if end > 0 and data[end : end + 9] != b"XTENSION=":  # the end, or padding
            break
        cards, start = _read_header(data, end)
        end = start + -(-_data_size(cards) // _BLOCK) * _BLOCK
    return data[:end]


def _data_size(cards: dict[bytes, bytes]) -> int:
    """Bytes of the data behind a header: FITS 4.0 standard, section 4.4.1 and 7.1."""
    axes = int(_card_text(cards, b"NAXIS   "))
    if not 0 <= axes <= _MAX_AXES:
        raise ValueError(f"an image of {axes} dimensions")
    lengths = [int(_card_text(cards, key)) for key in _AXES[:axes]]
    extra = int(_card_text(cards, b"PCOUNT  ")) if b"PCOUNT  " in cards else 0
    groups = int(_card_text(cards, b"GCOUNT  ")) if b"GCOUNT  " in cards else 1
    if min((extra, groups, *lengths)) < 0:
        raise ValueError("a header that tells of less than nothing")
    values = math.prod(lengths) if lengths else 0
    return abs(int(_card_text(cards, b"BITPIX  "))) // 8 * groups * (extra + values)


def _card_text(cards: dict[bytes, bytes], key: bytes) -> bytes:
    """The value of a card, free or fixed format, without its comment."""
    card = cards.get(key, b"")
    if card[:1] != b"=":
        raise ValueError(f"header lacks {key.decode().strip()}")
    return card[1:].split(b"/", 1)[0].strip()


def _centre(cards: dict[bytes, bytes], shape: tuple[int, int]) -> tuple[int, int]:
    """The source's row and column: where the WCS has its reference point, else the middle."""
    if b"CRPIX1  " not in cards or b"CRPIX2  " not in cards:
        return _middle(shape)
    crpix1, crpix2 = (_card_text(cards, key).replace(b"D", b"E") for key in (b"CRPIX1  ", b"CRPIX2  "))
    try:
        return _reference_pixel(float(crpix1), float(crpix2), shape)
    except ValueError:  # not numbers
        return _middle(shape)


def _reference_pixel(crpix1: float, crpix2: float, shape: tuple[int, int]) -> tuple[int, int]:
    """Nearest pixel of a 1-based FITS position, or the middle where it lies outside the image."""
    if 0.5 < crpix1 <= shape[1] + 0.5 and 0.5 < crpix2 <= shape[0] + 0.5:
        return math.ceil(crpix2 - 1.5), math.ceil(crpix1 - 1.5)
    return _middle(shape)


def _middle(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0] // 2, shape[1] // 2


def _within_bounds(shape: tuple[int, ...]) -> bool:
    if not all(0 < n <= MAX_CUTOUT_PIXELS for n in shape):
        raise TooLargeError(f"an image of {' x '.join(map(str, shape))} pixels")
    return True


def _decode_with_astropy(data: bytes) -> Image:
    with _quietly_open(data) as hdus:
        for hdu in hdus:
            if not hdu.is_image or not hdu.shape:
                continue
            _within_bounds(hdu.shape)
            if len(hdu.shape) != 2:
                raise ValueError(f"its image has {len(hdu.shape)} dimensions")
            pixels = np.array(hdu.data, dtype=np.float32)
            crpix = hdu.header.get("CRPIX1"), hdu.header.get("CRPIX2")
            if all(isinstance(x, (int, float)) for x in crpix):
                return Image(pixels, _reference_pixel(*crpix, pixels.shape))
            return Image(pixels, _middle(pixels.shape))
    raise ValueError("it holds no image")


@contextmanager
def _quietly_open(data: bytes) -> Iterator[Any]:
    """`astropy.io.fits.open` of bytes, without its warnings on cards that are not to the letter of the standard.

    One thread at a time: two that change and restore the filters of warnings would undo each other's.
    """
    from astropy.io import fits

    shown = io.BytesIO(_bounded(data))
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Of compressed tiles nobody knows the size before they are decompressed: no survey sends any.
        with fits.open(shown, memmap=False, disable_image_compression=True) as hdus:
            yield hdus


def _north_deg(header: Any) -> float | None:
    """Direction of north on the stamp, from the matrix that takes pixels to (east, north): PC and CDELT, or CD."""
    if "CD1_1" in header or "CD2_2" in header:
        a, b, c, d = (float(header.get(f"CD{i}_{j}", 0.0)) for i in (1, 2) for j in (1, 2))
    elif "PC1_1" in header or "PC2_2" in header:
        a, b, c, d = (
            float(header.get(f"PC{i}_{j}", i == j)) * float(header.get(f"CDELT{i}", 1.0))
            for i in (1, 2)
            for j in (1, 2)
        )
    else:
        return None
    determinant = a * d - b * c
    if determinant == 0.0:
        return None
    x, y = -b / determinant, a / determinant  # the pixel vector that goes to (0, 1)
    return math.degrees(math.atan2(-x, y))
