"""The two ends that all networks share: what goes in, and what comes out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from broker_plugin.training.architecture.blocks import PiecewiseLinear, SteadyDense

EMBEDDING = "embedding"
PROBABILITIES = "probabilities"
STEM = "stem"
"""Name of the part of a network from the stamps to its first convolution, where it has one."""


def inputs(size: int, channels: int, features: int) -> tuple[Any, Any]:
    """The inputs ``stamps``, (batch, size, size, channels), and ``features``, (batch, features)."""
    return keras.Input((size, size, channels), name="stamps"), keras.Input((features,), name="features")


def with_answer(given: list[Any], embedding: Any, x: Any, classes: int) -> keras.Model:
    """The network from what it is given to ``probabilities``, made of ``x``, and ``embedding``."""
    # The sum over classes is done in float32 whatever the precision of the layers before.
    probabilities = layers.Dense(classes, activation="softmax", name=PROBABILITIES, dtype="float32")(x)
    return keras.Model(given, {PROBABILITIES: probabilities, EMBEDDING: embedding})


def after_stem(stem: keras.Model, rest: keras.Model) -> keras.Model:
    """The whole network: ``rest`` takes what ``stem`` makes of the stamps, channels last, and the metadata."""
    stamps, metadata = stem.inputs[0], rest.inputs[-1]
    return keras.Model([stamps, metadata], rest([*stem(stamps), metadata]))


def with_dense_layers(stamps: list[Any], metadata: Any, seen: list[Any], classes: int, dropout: float) -> keras.Model:
    """The network in which ``stamps`` have become the flat tensors ``seen``: then come the metadata, and dense layers.

    Its embedding is what it knows of an alert before it begins to tell classes apart.
    """
    known = SteadyDense(64, activation="relu")(PiecewiseLinear()(metadata))
    embedding = layers.Concatenate(name=EMBEDDING, dtype="float32")([*seen, known])

    x = layers.Dropout(0.4 * dropout)(layers.Concatenate()(seen))
    x = layers.Concatenate()([SteadyDense(64, activation="relu")(x), known])
    x = layers.Dense(64, activation="relu")(layers.Dropout(dropout)(x))
    return with_answer([*stamps, metadata], embedding, layers.Dropout(0.5 * dropout)(x), classes)
