"""The layers that the networks are made of, beside those of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops


class RotationBatch(layers.Layer):
    """(batch, n, n, c) to (4 batch, n, n, c): the stamps, then their rotations by 90, 180 and 270 degrees."""

    def call(self, stamps):  # type: ignore[no-untyped-def]  # Keras tensors have no static type
        return ops.concatenate([ops.rot90(stamps, k, axes=(1, 2)) for k in range(4)], axis=0)


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
    """(batch, n, n, c) to (batch, rings * c): the mean over each ring around the middle of the stamp.

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
        means = ops.matmul(ops.cast(self.weights_of_pixels, image.dtype), pixels)
        return ops.reshape(means, (-1, len(self.weights_of_pixels) * channels))

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        return (input_shape[0], (len(self.edges) - 1) * input_shape[3])


class Compressed(layers.Layer):
    """Pixels in units of the noise to numbers of order one: a logarithm for the bright, linear within the noise."""

    def call(self, pixels):  # type: ignore[no-untyped-def]
        return ops.arcsinh(pixels) / 3.0
