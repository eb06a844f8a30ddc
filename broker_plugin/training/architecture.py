"""The networks that can be fitted to stamps and metadata.

``paper-2021`` is that of Carrasco-Davis et al. 2021 (AJ 162, 231), Table 2.  ``fast`` is our own: an order of magnitude
less work, and blind to quarter turns and mirrors by construction rather than by trying them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

EMBEDDING = "embedding"
PROBABILITIES = "probabilities"


class RotationBatch(layers.Layer):
    """(batch, n, n, c) to (4 batch, n, n, c): the stamps, then their rotations by 90, 180 and 270 degrees."""

    def call(self, stamps):  # type: ignore[no-untyped-def]  # Keras tensors have no static type
        return ops.concatenate([ops.rot90(stamps, k, axes=(1, 2)) for k in range(4)], axis=0)


class RotationMean(layers.Layer):
    """(4 batch, n) to (batch, n): the mean over what `RotationBatch` stacked."""

    def call(self, stacked):  # type: ignore[no-untyped-def]
        return sum(ops.split(stacked, 4, axis=0)) / 4.0


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


class PiecewiseLinear(layers.Layer):
    """(batch, n) to (batch, n (1 + knots)): each feature, and how far it has come through each interval of its range.

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


def paper_network(
    *, size: int, channels: int, features: int, classes: int, kernel: int = 3, dropout: float = 0.5
) -> keras.Model:
    """Build the untrained network of the 2021 paper.

    The four 90-degree rotations of the stamps go through one convolutional trunk, stacked on the batch axis;
    their dense layers are averaged ("cyclic pooling", Dieleman et al. 2016), so that the answer does not
    depend on which way up the detector was.  The metadata join there, through batch normalisation.

    Parameters
    ----------
    size, channels
        Of the stamps, (size, size, channels).
    features
        Number of metadata features.
    kernel
        Side of the inner convolutions.  Table 2 mixes two nets: 3 x 3, and the deployed one with 5 x 5.

    Returns
    -------
    keras.Model
        Inputs ``stamps`` and ``features``; outputs ``probabilities`` (batch, classes) and ``embedding``
        (batch, 64), the last layer before them.
    """
    stamps = keras.Input((size, size, channels), name="stamps")
    metadata = keras.Input((features,), name="features")

    x = layers.ZeroPadding2D(3)(stamps)
    x = RotationBatch()(x)
    x = layers.Conv2D(32, 4, activation="relu")(x)
    x = layers.Conv2D(32, kernel, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    for _ in range(3):
        x = layers.Conv2D(64, kernel, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(64, activation="relu")(x)
    x = RotationMean()(x)

    x = layers.Concatenate()([x, layers.BatchNormalization()(metadata)])
    x = layers.Dense(64, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    embedding = layers.Dense(64, activation="relu", name=EMBEDDING)(x)
    return _with_answer(stamps, metadata, embedding, embedding, classes)


_FOVEA = 25
_COARSE = 3
_LEARNING_NOISE = 0.05  # added to compressed pixels while learning
_FINE_RINGS = (0.0, 1.2, 2.4, 3.6, 5.2, 7.5)
_HALVED_RINGS = (0.0, 0.8, 1.8, 2.8, 4.0, 5.5)


def fast_network(*, size: int, channels: int, features: int, classes: int, dropout: float = 0.5) -> keras.Model:
    """Build the untrained network that the packaged bundles hold.

    It looks at a stamp as an eye does: the middle 25 x 25 pixels as they are, and the whole in cells of 3 x 3, which
    tells a galaxy further off and how crowded the field is.  Kernels are symmetric and what they find is averaged in
    rings around the alert, so that no turn by 90 degrees and no mirror changes the answer.  A stamp of less than twice
    the fovea is only looked at as it is.

    Parameters
    ----------
    size, channels
        Of the stamps, (size, size, channels), in units of the noise; the size is odd, and 3 times an odd number if it
        is 50 or more, so that there is a pixel in the middle.
    features, classes
        As for `paper_network`.
    dropout
        Share of the units that are silent while learning.

    Returns
    -------
    keras.Model
        As `paper_network`.

    Raises
    ------
    ValueError
        The size has no middle pixel.
    """
    stamps = keras.Input((size, size, channels), name="stamps")
    metadata = keras.Input((features,), name="features")
    has_context = size >= 2 * _FOVEA
    if size % 2 == 0 or (has_context and size % _COARSE):
        raise ValueError(f"stamps of {size} pixels have no middle pixel for this network")

    # Averages and logarithms in float32 whatever the precision of the rest: bright pixels need it.
    fovea = layers.Cropping2D((size - _FOVEA) // 2)(stamps) if has_context else stamps
    seen = _trunk(Compressed(dtype="float32")(fovea), (12, 16, 24, 24))
    if has_context:
        coarse = layers.AveragePooling2D(_COARSE, dtype="float32")(stamps)
        seen += _trunk(Compressed(dtype="float32")(coarse), (6, 9, 12))
    x = layers.Dropout(0.4 * dropout)(layers.Concatenate()(seen))
    x = SteadyDense(64, activation="relu")(x)

    x = layers.Concatenate()([x, SteadyDense(64, activation="relu")(PiecewiseLinear()(metadata))])
    x = layers.Dropout(dropout)(x)
    embedding = layers.Dense(64, activation="relu", name=EMBEDDING)(x)
    return _with_answer(stamps, metadata, embedding, layers.Dropout(0.5 * dropout)(embedding), classes)


def _trunk(x: Any, widths: tuple[int, ...]) -> list[Any]:
    """Convolutions, the first at full resolution; the ring means after the first and after each from the third on."""

    def convolved(x: Any, width: int) -> Any:
        return SymmetricConv2D(width, 3, padding="same", activation="relu")(x)

    x = convolved(layers.GaussianNoise(_LEARNING_NOISE)(x), widths[0])
    seen = [RingMean(_FINE_RINGS)(x)]
    # Three pixels wide, for two are not symmetric around the middle one.
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = convolved(x, widths[1])
    for width in widths[2:]:
        x = convolved(x, width)
        seen.append(RingMean(_HALVED_RINGS)(x))
    return seen


def _with_answer(stamps: Any, metadata: Any, embedding: Any, x: Any, classes: int) -> keras.Model:
    # The sum over classes is done in float32 whatever the precision of the layers before.
    probabilities = layers.Dense(classes, activation="softmax", name=PROBABILITIES, dtype="float32")(x)
    return keras.Model([stamps, metadata], {PROBABILITIES: probabilities, EMBEDDING: embedding})


ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {"fast": fast_network, "paper-2021": paper_network}
"""By name, what builds an untrained network of ``size``, ``channels``, ``features``, ``classes`` and ``dropout``."""


def averaged(networks: Sequence[keras.Model]) -> keras.Model:
    """One network of several of the same inputs: the mean of their probabilities, their embeddings side by side."""
    stamps, metadata = (keras.Input(tensor.shape[1:], name=tensor.name) for tensor in networks[0].inputs)
    outputs = [network([stamps, metadata]) for network in networks]
    probabilities = layers.Average(name=PROBABILITIES, dtype="float32")([each[PROBABILITIES] for each in outputs])
    embedding = layers.Concatenate(name=EMBEDDING)([each[EMBEDDING] for each in outputs])
    return keras.Model([stamps, metadata], {PROBABILITIES: probabilities, EMBEDDING: embedding})


def regularised_cross_entropy(beta: float):  # type: ignore[no-untyped-def]
    """Cross-entropy minus ``beta`` times the entropy of the answer: eq. 3 of the 2021 paper.

    The second term keeps the network from being sure of what it can't know.
    """

    def loss(truth, probabilities):  # type: ignore[no-untyped-def]
        log_p = ops.log(ops.clip(probabilities, 1e-7, 1.0))
        cross_entropy = -ops.sum(truth * log_p, axis=-1)
        entropy = -ops.sum(probabilities * log_p, axis=-1)
        return cross_entropy - beta * entropy

    return loss
