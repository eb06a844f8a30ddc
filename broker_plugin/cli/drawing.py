"""Stamps drawn with characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from broker_plugin.cli.terminal import can_draw
from broker_plugin.evaluation.stretch import SIGNED, stretch_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Every eighth of two perceptual maps of matplotlib, which is an extra: viridis, and RdBu from blue to red.
_VIRIDIS = (
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141),
    (39, 173, 129), (92, 200, 99), (170, 220, 50), (253, 231, 37),
)  # fmt: skip
_BLUE_RED = (
    (5, 48, 97), (43, 115, 179), (107, 172, 209), (193, 221, 236), (246, 246, 246),
    (251, 208, 185), (229, 130, 104), (181, 32, 47), (103, 0, 31),
)  # fmt: skip
NO_DATA = (120, 120, 120)
"""Red, green and blue of a pixel without a value: a grey that neither map has."""

_RAMP = " .:-=+*#%@"
_NO_DATA_CHARACTER = "/"
_MIN_COLUMNS = 12
_MAX_ENLARGEMENT = 2


def panel_columns(width: int, panels: int, gap: int) -> int:
    """Columns that each of ``panels`` stamps may take of a terminal ``width`` columns wide."""
    return max(_MIN_COLUMNS, (width - gap * (panels - 1)) // panels)


def draw(pixels: NDArray[np.floating], name: str, columns: int, on: Console) -> Text:
    """A stamp as text, its first row at the bottom, at the most ``columns`` wide.

    With colours, two pixels stand in one character, one above the other; without, one character is the mean of two.
    """
    from rich.text import Text

    stretch = stretch_of(pixels, name)
    fitted = fit(np.asarray(pixels)[::-1], columns)
    shares = np.where(np.isfinite(fitted), 0.5, np.nan) if stretch is None else stretch(fitted)
    if can_draw(on):
        return _half_blocks(colours(shares, signed=name == SIGNED))
    return Text("\n".join(_ascii_lines(shares)))


def fit(pixels: NDArray[np.floating], columns: int) -> NDArray[np.float64]:
    """The image with whole pixels repeated, or averaged, so that it is at the most ``columns`` wide."""
    image = pixels.astype(np.float64)
    image[~np.isfinite(image)] = np.nan
    rows, width = image.shape
    if width <= columns:
        times = min(_MAX_ENLARGEMENT, columns // width)
        return image.repeat(times, axis=0).repeat(times, axis=1)
    return _averaged(_averaged(image, columns).T, max(1, round(rows * columns / width))).T


def colours(shares: NDArray[np.float64], *, signed: bool) -> NDArray[np.uint8]:
    """Red, green and blue, (rows, columns, 3), of numbers from 0 to 1; `NO_DATA` for NaN."""
    anchors = np.array(_BLUE_RED if signed else _VIRIDIS, dtype=np.float64)
    known = np.isfinite(shares)
    at = np.where(known, shares, 0.0) * (len(anchors) - 1)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    painted = np.stack(channels, axis=-1).round().astype(np.uint8)
    painted[~known] = NO_DATA
    return painted


def _averaged(image: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Each row of the image as the means of ``columns`` runs of its pixels, NaN left out."""
    edges = np.linspace(0, image.shape[1], columns + 1).round().astype(int)
    known = np.isfinite(image)
    sums = np.add.reduceat(np.where(known, image, 0.0), edges[:-1], axis=1)
    counts = np.add.reduceat(known.astype(int), edges[:-1], axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _half_blocks(painted: NDArray[np.uint8]) -> Text:
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    text = Text()
    for row in range(0, len(painted), 2):
        if row:
            text.append("\n")
        for column in range(painted.shape[1]):
            upper = Color.from_rgb(*map(int, painted[row, column]))
            lower = Color.from_rgb(*map(int, painted[row + 1, column])) if row + 1 < len(painted) else None
            text.append("▀", Style(color=upper, bgcolor=lower))
    return text


def _ascii_lines(shares: NDArray[np.float64]) -> list[str]:
    """One character for two pixels, one above the other, since a character is about twice as high as wide."""
    halved = _averaged(shares.T, max(1, shares.shape[0] // 2)).T
    steps = np.where(np.isfinite(halved), halved, 0.0) * (len(_RAMP) - 1)
    return [
        "".join(_RAMP[step] if known else _NO_DATA_CHARACTER for step, known in zip(steps_row, known_row, strict=True))
        for steps_row, known_row in zip(steps.round().astype(int), np.isfinite(halved), strict=True)
    ]
