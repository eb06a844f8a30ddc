"""The least that a network can be, to hold the others against."""

from __future__ import annotations

import keras
from keras import layers

from broker_plugin.training.architecture.blocks import Compressed, RingMean
from broker_plugin.training.architecture.ends import EMBEDDING, inputs, with_answer

_RINGS = (0.0, 1.2, 2.4, 3.6, 5.2, 7.5, 11.0, 16.0, 23.0, 32.0)


def metadata_network(*, size: int, channels: int, features: int, classes: int, dropout: float = 0.5) -> keras.Model:
    """Build an untrained network that looks at no stamp; parameters and outputs as for `paper_network`."""
    stamps, metadata = inputs(size, channels, features)
    return _dense_layers(stamps, metadata, metadata, classes, dropout)


def ring_network(*, size: int, channels: int, features: int, classes: int, dropout: float = 0.5) -> keras.Model:
    """Build an untrained network that sees of each stamp the mean in rings around the middle, and the metadata.

    Parameters and outputs as for `paper_network`; stamps in units of the noise.
    """
    stamps, metadata = inputs(size, channels, features)
    edges = tuple(edge for edge in _RINGS if edge <= size / 2 + 0.5)
    rings = layers.Flatten()(RingMean(edges)(Compressed(dtype="float32")(stamps)))
    return _dense_layers(stamps, metadata, layers.Concatenate()([rings, metadata]), classes, dropout)


def _dense_layers(stamps, metadata, x, classes: int, dropout: float) -> keras.Model:  # type: ignore[no-untyped-def]
    x = layers.Dropout(dropout)(layers.Dense(64, activation="relu")(x))
    embedding = layers.Dense(64, activation="relu", name=EMBEDDING)(x)
    return with_answer([stamps, metadata], embedding, layers.Dropout(0.5 * dropout)(embedding), classes)
