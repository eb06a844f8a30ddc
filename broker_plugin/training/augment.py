"""What is done to an example before a network learns from it, so that it never sees the same one twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Batch = tuple[Floats, Floats, Floats, Floats]
"""Stamps, features, truth (one-hot) and weights of some examples."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How examples are changed; every change is drawn anew each time that an example is met.

    Attributes
    ----------
    flips, quarter_turns
        Half of the stamps are mirrored; each is turned by 0, 90, 180 or 270 degrees.
    max_shift
        Pixels by which half of the stamps are moved, at most, in each direction; the edge is repeated.
    subpixel_shift
        Pixels by which every stamp is moved, at most, in each direction, with its pixels interpolated.
    max_angle_rad
        Radians by which every stamp is turned, at most, either way, with its pixels interpolated; pi is any angle.
    noise
        Standard deviation of Gaussian noise added to every pixel, in the unit of the prepared stamps.
    feature_dropout, metadata_dropout
        Share of single features, and of alerts with all their metadata, that are learned from as if unknown.
    history_dropout
        Share of alerts that are learned from as if they were the first of their object.
    """

    flips: bool = True
    quarter_turns: bool = True
    max_shift: int = 1
    subpixel_shift: float = 0.0
    max_angle_rad: float = 0.0
    noise: float = 0.0
    feature_dropout: float = 0.15
    metadata_dropout: float = 0.1
    history_dropout: float = 0.5


NO_AUGMENTATION = Augmentation(
    flips=False, quarter_turns=False, max_shift=0, feature_dropout=0.0, metadata_dropout=0.0, history_dropout=0.0
)
"""Every example as it is."""


def augmented_stamps(stamps: Floats, how: Augmentation, rng: np.random.Generator) -> Floats:
    """Stamps, (n, size, size, channels), each changed in its own way; the channels of one stay aligned."""
    changed = np.stack([_interpolated(_moved(stamp, how, rng), how, rng) for stamp in stamps])
    if how.noise:
        changed = changed + rng.normal(0.0, how.noise, changed.shape).astype(np.float32)
    return changed


def augmented_features(features: Floats, first: Floats, how: Augmentation, rng: np.random.Generator) -> Floats:
    """Features, (n, features), some of them as if unknown: zero, which is what a feature is on average.

    Parameters
    ----------
    first
        What the features of the history are for the first alert of an object, (features,); NaN for the others.
    """
    as_first = (rng.random((len(features), 1)) < how.history_dropout) & ~np.isnan(first)
    hidden = rng.random(features.shape) < how.feature_dropout
    hidden |= rng.random((len(features), 1)) < how.metadata_dropout
    return np.where(hidden, np.float32(0.0), np.where(as_first, first, features))


def mixed(batch: Batch, concentration: float, rng: np.random.Generator) -> Batch:
    """Each example blended with another of the batch, answers and all: mixup, Zhang et al. 2018, arXiv:1710.09412.

    Stamps are blended by the logarithms of their pixels: a tenth of a bright star would else outshine all of a faint
    galaxy.
    """
    share = rng.beta(concentration, concentration, size=len(batch[0])).astype(np.float32)
    partner = rng.permutation(len(share))

    def blend(values: Floats) -> Floats:
        own = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(own * values + (1.0 - own) * values[partner])

    stamps, features, truth, weight = batch
    return np.sinh(blend(np.arcsinh(stamps))), blend(features), blend(truth), blend(weight)


def _moved(stamp: Floats, how: Augmentation, rng: np.random.Generator) -> Floats:
    """The stamp mirrored or not, turned, and half of the time shifted by whole pixels."""
    if how.flips and rng.random() < 0.5:
        stamp = stamp[:, ::-1]
    if how.quarter_turns:
        stamp = np.rot90(stamp, int(rng.integers(4)))
    if not how.max_shift or rng.random() < 0.5:
        return stamp
    size, most = stamp.shape[0], how.max_shift
    row, column = rng.integers(0, 2 * most + 1, size=2)
    padded = np.pad(stamp, ((most, most), (most, most), (0, 0)), mode="edge")
    return padded[row : row + size, column : column + size]


def _interpolated(stamp: Floats, how: Augmentation, rng: np.random.Generator) -> Floats:
    """The stamp turned around its middle and shifted, by one bilinear interpolation for both."""
    if not how.max_angle_rad and not how.subpixel_shift:
        return stamp
    from scipy.ndimage import affine_transform

    angle = rng.uniform(-how.max_angle_rad, how.max_angle_rad)
    shift = rng.uniform(-how.subpixel_shift, how.subpixel_shift, size=2)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    middle = (np.array(stamp.shape[:2]) - 1) / 2
    offset = middle - turn @ (middle + shift)
    channels = [
        affine_transform(channel, turn, offset, order=1, mode="nearest", output=np.float32)
        for channel in np.moveaxis(stamp, -1, 0)
    ]
    return np.stack(channels, axis=-1)
