"""The network of Carrasco-Davis et al. 2021 (AJ 162, 231), Table 2.

The four 90-degree rotations of the stamps go through one convolutional trunk, stacked on the batch axis;
their dense layers are averaged ("cyclic pooling", Dieleman et al. 2016), so that the answer does not
depend on which way up the detector was.  The metadata join there, through batch normalisation.
"""

from __future__ import annotations

import keras
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


def stamp_network(
    *, size: int, channels: int, features: int, classes: int, kernel: int = 3, dropout: float = 0.5
) -> keras.Model:
    """Build the untrained network.

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
    # The sum over classes is done in float32 whatever the precision of the layers before.
    probabilities = layers.Dense(classes, activation="softmax", name=PROBABILITIES, dtype="float32")(embedding)
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
