"""The layers that the networks are made of, beside those of Keras."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

_REACH = 2.5  # standard deviations that a sample of `PolarSamples` reaches


_VECTOR = 16  # numbers that a processor takes at a time, at most
_LEAST = 1e-7
_BRIGHTEST = 1e15  # times the noise; its square is still a float32


class RotationBatch(layers.Layer):
    """(batch, n, n, c) to (4 batch, n, n, c): the stamps, then their rotations by 90, 180 and 270 degrees."""

    def call(self, stamps):  # type: ignore[no-untyped-def]  # Keras tensors have no static type
        return ops.concatenate([ops.rot90(stamps, k, axes=(1, 2)) for k in range(4)], axis=0)


class TurnedBatch(layers.Layer):
    """(batch, n, n, c) to (copies * batch, n, n, c): the stamps, turned a little, as often as there are copies.

    While learning, each copy of each stamp is turned by an angle of its own, drawn anew each time from the whole range.
    Afterwards the copies are turned by the middles of equal parts of that range: their mean is what the mean over
    random angles tends to, and a stamp gets the same answer each time and in any batch.

    Pixels are interpolated bilinearly; beyond the edge they are as the nearest one.

    Parameters
    ----------
    copies
        How many.
    max_angle_rad
        The largest turn, in either direction, radians.
    """

    def __init__(self, copies: int, max_angle_rad: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.copies = copies
        self.max_angle_rad = max_angle_rad
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, stamps, training=None):  # type: ignore[no-untyped-def]
        count, side = ops.shape(stamps)[0], stamps.shape[1]
        limit = self.max_angle_rad
        if training:
            angle = keras.random.uniform((self.copies * count,), -limit, limit, seed=self.seed_generator)
        else:
            middles = (np.arange(self.copies) + 0.5) / self.copies
            angle = ops.repeat(ops.convert_to_tensor(limit * (2.0 * middles - 1.0), dtype="float32"), count)
        copies = ops.concatenate([stamps] * self.copies, axis=0)
        turn = _about_the_middle(angle, (side - 1) / 2)
        return ops.image.affine_transform(copies, turn, interpolation="bilinear", fill_mode="nearest")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        count, *rest = input_shape
        return (None if count is None else self.copies * count, *rest)


def _about_the_middle(angle_rad: Any, middle: float) -> Any:
    """Turns about the pixel (middle, middle) as `keras.ops.image.affine_transform` takes them, (n, 8)."""
    cosine, sine, zero = ops.cos(angle_rad), ops.sin(angle_rad), ops.zeros_like(angle_rad)
    x_offset = middle * (1.0 - cosine + sine)
    y_offset = middle * (1.0 - cosine - sine)
    return ops.stack([cosine, -sine, x_offset, sine, cosine, y_offset, zero, zero], axis=1)


class RotationMean(layers.Layer):
    """(copies * batch, n) to (batch, n): the mean over what `RotationBatch` or `TurnedBatch` stacked."""

    def __init__(self, copies: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.copies = copies

    def call(self, stacked):  # type: ignore[no-untyped-def]
        return sum(ops.split(stacked, self.copies, axis=0)) / float(self.copies)


class SymmetricConv2D(layers.Conv2D):
    """A convolution whose kernels look the same in a mirror and after a quarter turn.

    What it makes of a turned stamp is what it makes of the stamp, turned; with a reduction that is the same on all
    sides, such as `RingMean`, the whole network does not depend on the orientation of its stamps.
    """

    def convolution_op(self, inputs, kernel):  # type: ignore[no-untyped-def]
        kernel = (kernel + ops.flip(kernel, 0)) / 2.0
        kernel = (kernel + ops.flip(kernel, 1)) / 2.0
        kernel = (kernel + ops.transpose(kernel, (1, 0, 2, 3))) / 2.0
        return super().convolution_op(inputs, kernel)


class SteadyDense(layers.Dense):
    """A dense layer that gives a row the same bits in every batch.

    A product with a single row would sum in another order than one with many, if the sum is long; so there are always
    two or more.
    """

    def call(self, inputs, training=None):  # type: ignore[no-untyped-def]
        if training:
            return super().call(inputs)
        return ops.split(super().call(ops.concatenate([inputs, inputs], axis=0)), 2, axis=0)[0]


class RingMean(layers.Layer):
    """(batch, n, n, c) to (batch, rings, c): the mean over each ring around the middle of the stamp.

    Parameters
    ----------
    edges
        Radii between the rings, pixels of this layer's input.
    """

    def __init__(self, edges: tuple[float, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edges = edges

    def build(self, input_shape: tuple[int, ...]) -> None:
        side = input_shape[1]
        offset = np.arange(side) - (side - 1) / 2
        radius = np.hypot(offset[:, None], offset[None, :]).ravel()
        inside = [(radius >= low) & (radius < high) for low, high in zip(self.edges, self.edges[1:], strict=False)]
        self.weights_of_pixels = np.array([ring / max(ring.sum(), 1) for ring in inside], dtype=np.float32)
        self.built = True

    def call(self, image):  # type: ignore[no-untyped-def]
        _, rows, columns, channels = image.shape
        pixels = ops.reshape(image, (-1, rows * columns, channels))
        return ops.matmul(ops.cast(self.weights_of_pixels, image.dtype), pixels)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (input_shape[0], len(self.edges) - 1, input_shape[3])


class Compressed(layers.Layer):
    """Pixels in units of the noise to numbers of order one: a logarithm for the bright, linear within the noise.

    A third of the inverse hyperbolic sine, by its logarithm, which takes TensorFlow a twentieth of the time.
    """

    def call(self, pixels):  # type: ignore[no-untyped-def]
        shape = pixels.shape[1:]
        count = math.prod(shape)
        # The logarithm of what does not fill a vector at the end of a batch has another last bit: so all are filled.
        flat = ops.pad(ops.reshape(pixels, (-1, count)), ((0, 0), (0, -count % _VECTOR)))
        size = ops.minimum(ops.abs(flat), _BRIGHTEST)
        flat = ops.sign(flat) * ops.log(size + ops.sqrt(size * size + 1.0)) / 3.0
        return ops.reshape(flat[:, :count], (-1, *shape))


class PiecewiseLinear(layers.Layer):
    """(batch, n) to (batch, n (1 + intervals)): each feature, and how far it has come through each interval.

    A dense layer after it can bend at every knot, as a decision tree can split there: Gorishniy, Rubachev and Babenko
    2022, arXiv:2203.05556.  The knots are evenly spaced from -2 to 2 standard deviations.
    """

    def __init__(self, intervals: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.intervals = intervals

    def call(self, features):  # type: ignore[no-untyped-def]
        knots = np.linspace(-2.0, 2.0, self.intervals + 1, dtype=np.float32)
        into = ops.clip((features[:, :, None] - knots[:-1]) / (knots[1] - knots[0]), 0.0, 1.0)
        return ops.concatenate([features, ops.reshape(into, (-1, features.shape[1] * self.intervals))], axis=1)


class RuledOut(layers.Layer):
    """Probabilities, (batch, classes), and features, (batch, n), to the probabilities of what can be.

    Parameters
    ----------
    limits
        Each the number of a class, the number of a feature, and what the feature may be at most for that class.
    """

    def __init__(self, limits: tuple[tuple[int, int, float], ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limits = limits

    def call(self, probabilities, features):  # type: ignore[no-untyped-def]
        # The least that a class which can be has: of a network that is wholly sure of what can't, something is left.
        columns = ops.split(ops.maximum(probabilities, _LEAST), probabilities.shape[1], axis=1)
        for number, feature, most in self.limits:
            can_be = features[:, feature : feature + 1] <= most
            columns[number] = ops.where(can_be, columns[number], 0.0)
        return ops.concatenate(columns, axis=1) / sum(columns)


class PolarSamples(layers.Layer):
    """(batch, n, n, c) to (batch, rings, angles, c): the stamp on rings around its middle.

    Each sample is a mean over its neighbourhood with a Gaussian weight, about as wide as the samples are apart: turning
    a stamp moves its samples along the angle and changes them little, whatever the angle; turning it by 90 degrees,
    or mirroring it, moves them exactly.

    Parameters
    ----------
    radii
        Of the rings, pixels, rising.
    angles
        Samples of each ring, a multiple of four; the first lies in the direction of the rows.
    width
        Standard deviation of the weight, pixels; further out it grows with the distance between the rings.
    """

    def __init__(self, radii: tuple[float, ...], angles: int, width: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radii = radii
        self.angles = angles
        self.width = width

    def build(self, input_shape: tuple[int, ...]) -> None:
        offset = np.arange(input_shape[1]) - (input_shape[1] - 1) / 2
        radius = np.array(self.radii)[:, None, None, None]
        width = self.width * np.maximum(np.gradient(self.radii), 1.0)[:, None, None, None]
        angle = 2.0 * np.pi * np.arange(self.angles)[:, None, None] / self.angles
        away = np.hypot(offset - radius * np.cos(angle), offset[:, None] - radius * np.sin(angle))
        away = np.round(away, 9)  # a pixel just at the reach is within it on all sides, or on none
        weight = np.where(away < _REACH * width, np.exp(-0.5 * (away / width) ** 2), 0.0)
        weight /= weight.sum(axis=(2, 3), keepdims=True)
        self.weights_of_pixels = weight.reshape(-1, input_shape[1] ** 2).astype(np.float32)
        self.built = True

    def call(self, image):  # type: ignore[no-untyped-def]
        _, rows, columns, channels = image.shape
        pixels = ops.reshape(image, (-1, rows * columns, channels))
        samples = ops.matmul(ops.cast(self.weights_of_pixels, image.dtype), pixels)
        return ops.reshape(samples, (-1, len(self.radii), self.angles, channels))

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (input_shape[0], len(self.radii), self.angles, input_shape[3])


class RoundPadding(layers.Layer):
    """One more sample on each side of `PolarSamples`: closed round the circle, and zeros beyond the rings."""

    def call(self, samples):  # type: ignore[no-untyped-def]
        closed = ops.concatenate([samples[:, :, -1:], samples, samples[:, :, :1]], axis=2)
        return ops.pad(closed, ((0, 0), (1, 1), (0, 0), (0, 0)))

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        count, rings, angles, channels = input_shape
        return (count, rings + 2, angles + 2, channels)


class MirroredConv2D(layers.Conv2D):
    """A convolution over `PolarSamples` whose kernels look the same either way round the circle."""

    def convolution_op(self, inputs, kernel):  # type: ignore[no-untyped-def]
        return super().convolution_op(inputs, (kernel + ops.flip(kernel, 1)) / 2.0)
