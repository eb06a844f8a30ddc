"""Stamps as the bundle wants them: cropped, scaled, without NaN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Reason
from broker_plugin.bundles import StampSpec
from broker_plugin.packets import read_stamp

Pixels = NDArray[np.float32]


def check_cutouts(alert: Alert, spec: StampSpec) -> None:
    """Tell an alert without any of the cutouts from one that lost some.

    Raises
    ------
    AlertError
        ``no_cutouts`` where none is there.
    """
    if all(alert.cutouts.get(name) is None for name in spec.channels):
        raise AlertError(Reason.NO_CUTOUTS, "the packet has no cutouts")


def fill_stamps(alert: Alert, spec: StampSpec, out: Pixels) -> None:
    """Put an alert's stamps into its row of a batch.

    Parameters
    ----------
    out
        Where they go, float32, (size, size, channels).

    Raises
    ------
    AlertError
        What `packets.read_stamp` raises; ``blank_cutout`` where the pixels used are all NaN or all the
        same, so that there is nothing to scale them by.
    """
    check_cutouts(alert, spec)
    for channel, name in enumerate(spec.channels):
        image = read_stamp(alert, name)
        pixels, centre, steps = image.pixels, image.centre, spec.steps
        if steps[0] == "crop":  # before the look at each pixel, which costs more than all else here
            pixels, steps = crop(pixels, centre, spec.size), steps[1:]
        pixels = np.where(np.isfinite(pixels), pixels, np.float32(np.nan))
        outside = np.nan
        try:
            for step in steps:
                if step == "crop":
                    pixels = crop(pixels, centre, spec.size, outside)
                elif step == "scale_min_max":
                    pixels = scale_min_max(pixels)
                else:
                    pixels, outside = nan_to_zero(pixels), 0.0
        except AlertError as problem:
            raise AlertError(problem.reason, f"cutout{name.capitalize()}: {problem.detail}") from problem
        out[..., channel] = pixels


def crop(pixels: Pixels, centre: tuple[int, int], size: int, outside: float = np.nan) -> Pixels:
    """The ``size`` x ``size`` pixels around ``centre`` (row, column); ``outside`` where the stamp does not reach.

    For an even size the centre is the upper right of the four middle pixels.
    """
    row, column = centre[0] - size // 2, centre[1] - size // 2
    if row >= 0 and column >= 0 and row + size <= pixels.shape[0] and column + size <= pixels.shape[1]:
        return pixels[row : row + size, column : column + size]
    out = np.full((size, size), outside, dtype=np.float32)
    rows = slice(max(row, 0), min(row + size, pixels.shape[0]))
    columns = slice(max(column, 0), min(column + size, pixels.shape[1]))
    out[rows.start - row : rows.stop - row, columns.start - column : columns.stop - column] = pixels[rows, columns]
    return out


def scale_min_max(pixels: Pixels) -> Pixels:
    """Pixels from 0 (the lowest) to 1 (the highest), NaN left as it is: Carrasco-Davis et al. 2021, section 3.1.

    Raises
    ------
    AlertError
        ``blank_cutout``.
    """
    low = np.fmin.reduce(pixels, axis=None)  # fmin and fmax pass over NaN, and don't warn where all are
    if np.isnan(low):
        raise AlertError(Reason.BLANK_CUTOUT, "no finite pixel in the part that the classifier looks at")
    with np.errstate(over="ignore"):
        shifted = pixels - low
    high = np.fmax.reduce(shifted, axis=None)
    if high == 0.0 or not np.isfinite(high):
        what = "all pixels are the same" if high == 0.0 else "pixel values exceed the range of float32"
        raise AlertError(Reason.BLANK_CUTOUT, f"{what} in the part that the classifier looks at")
    scaled: Pixels = shifted / high
    return scaled


def nan_to_zero(pixels: Pixels) -> Pixels:
    """Zero in the place of NaN."""
    return np.where(np.isnan(pixels), np.float32(0.0), pixels)
