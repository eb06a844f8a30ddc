"""Alerts that are none: what can be made of the tensors of real ones, and is unlike all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import Manifest
from broker_plugin.tensors.stamps import scale_disc_noise, scale_min_max, scale_noise

Stamps = NDArray[np.float32]
_SCALE: dict[str, Callable[[Stamps], Stamps]] = {
    "scale_min_max": scale_min_max,
    "scale_noise": scale_noise,
    "scale_disc_noise": scale_disc_noise,
}
_TILE = 7  # pixels on a side of the tiles that are exchanged


def shuffled_pixels(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """The pixels of each stamp in another order."""
    n, rows, columns, channels = stamps.shape
    return np.asarray(rng.permuted(stamps.reshape(n, rows * columns, channels), axis=1).reshape(stamps.shape))


def exchanged(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Each stamp of another alert."""
    return np.stack([stamps[rng.permutation(len(stamps)), ..., c] for c in range(stamps.shape[-1])], axis=-1)


def shapes(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Gaussian noise with one to six discs, bars and rings of random place, size and sign in each stamp."""

    def draw(side: int) -> Stamps:
        pixels = rng.normal(size=(side, side)).astype(np.float32)
        for _ in range(rng.integers(1, 7)):
            pixels[_shape(side, rng)] += rng.choice([-1.0, 1.0]) * rng.lognormal(3.0, 1.5)
        return pixels

    return _invented(stamps, manifest, draw)


def noise(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Nothing but noise, white or smoothed over a few pixels."""

    def draw(side: int) -> Stamps:
        pixels = rng.normal(size=(side, side))
        for _ in range(rng.integers(0, 6)):
            pixels = pixels + np.roll(pixels, 1, axis=0)
            pixels = pixels + np.roll(pixels, 1, axis=1)
        return pixels.astype(np.float32)

    return _invented(stamps, manifest, draw)


def gradients(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Slopes and stripes, with a little noise."""

    def draw(side: int) -> Stamps:
        y, x = np.mgrid[:side, :side] / side
        angle, waves = rng.uniform(0.0, 2.0 * np.pi), rng.choice([0.1, rng.uniform(1.0, 12.0)])
        pattern = np.sin(2.0 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + angle)
        return np.asarray(rng.lognormal(2.0, 1.5) * pattern + rng.normal(size=(side, side)), dtype=np.float32)

    return _invented(stamps, manifest, draw)


def in_another_order(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Science, template and difference changed round."""
    orders = rng.permuted(np.tile(np.arange(stamps.shape[-1]), (len(stamps), 1)), axis=1)
    unchanged = (orders == np.arange(stamps.shape[-1])).all(axis=1)
    orders[unchanged] = np.roll(np.arange(stamps.shape[-1]), 1)
    reordered: Stamps = np.take_along_axis(stamps, orders[:, None, None, :], axis=3)
    return reordered


def of_another_scale(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Pixels two to four times as large or as small, as another camera's."""
    side = stamps.shape[1]
    offset = np.arange(side) - (side - 1) / 2
    made = np.empty_like(stamps)
    for row, stamp in enumerate(stamps):
        factor = rng.uniform(2.0, 4.0) ** rng.choice([-1.0, 1.0])
        index = np.clip(np.round(offset * factor + (side - 1) / 2).astype(int), 0, side - 1)
        made[row] = stamp[np.ix_(index, index)]
    return made


def tiles_exchanged(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Tiles of 7 x 7 pixels in another order, the same in all stamps of an alert."""
    made = stamps.copy()
    count = stamps.shape[1] // _TILE
    inside = count * _TILE
    for row, stamp in enumerate(stamps):
        tiles = stamp[:inside, :inside].reshape(count, _TILE, count, _TILE, -1).swapaxes(1, 2)
        tiles = rng.permutation(tiles.reshape(count * count, _TILE, _TILE, -1))
        tiles = tiles.reshape(count, count, _TILE, _TILE, -1).swapaxes(1, 2)
        made[row, :inside, :inside] = tiles.reshape(inside, inside, -1)
    return made


def off_centre(stamps: Stamps, manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """The source a quarter of the stamp away from where it should be."""
    side = stamps.shape[1]
    return np.stack([np.roll(stamp, rng.permutation([side // 4, 0]), axis=(0, 1)) for stamp in stamps])


SPOILINGS: dict[str, Callable[[Stamps, Manifest, np.random.Generator], Stamps]] = {
    "pixels shuffled": shuffled_pixels,
    "each stamp of another alert": exchanged,
    "noise with random shapes": shapes,
    "noise alone": noise,
    "slopes and stripes": gradients,
    "stamps in another order": in_another_order,
    "pixels of another size": of_another_scale,
    "tiles exchanged": tiles_exchanged,
    "source off centre": off_centre,
}
"""What each does, and its function of prepared stamps, (n, size, size, channels), the bundle and random numbers."""


def _invented(stamps: Stamps, manifest: Manifest, draw: Callable[[int], Stamps]) -> Stamps:
    """Stamps of which each channel is drawn by itself and then scaled as the bundle scales real ones."""
    (scaled,) = (_SCALE[step] for step in manifest.stamps.steps if step in _SCALE)
    made = np.empty_like(stamps)
    for row, channel in np.ndindex(len(stamps), stamps.shape[-1]):
        made[row, :, :, channel] = scaled(draw(stamps.shape[1]))
    return made


def _shape(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    y, x = np.mgrid[:side, :side] - rng.uniform(0.0, side, (2, 1, 1))
    size = rng.uniform(1.0, side / 4.0)
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(np.hypot(x, y) < size)
    if kind == 1:
        return np.asarray(np.abs(np.hypot(x, y) - size) < 1.5)
    angle = rng.uniform(0.0, np.pi)
    return np.asarray(np.abs(x * np.sin(angle) - y * np.cos(angle)) < size / 4.0)
