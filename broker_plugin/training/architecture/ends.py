"""The two ends that all networks share: what goes in, and what comes out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from broker_plugin.training.architecture.blocks import PiecewiseLinear, SteadyDense

EMBEDDING = "embedding"
PROBABILITIES = "probabilities"


def inputs(size: int, channels: int, features: int) -> tuple[Any, Any]:
    """The inputs ``stamps``, (batch, size, size, channels), and ``features``, (batch, features)."""
    return keras.Input((size, size, channels), name="stamps"), keras.Input((features,), name="features")


def with_answer(stamps: Any, metadata: Any, embedding: Any, x: Any, classes: int) -> keras.Model:
    """The network from its inputs to ``probabilities``, made of ``x``, and ``embedding``."""
    # The sum over classes is done in float32 whatever the precision of the layers before.
    probabilities = layers.Dense(classes, activation="softmax", name=PROBABILITIES, dtype="float32")(x)
    return keras.Model([stamps, metadata], {PROBABILITIES: probabilities, EMBEDDING: embedding})


def with_dense_layers(stamps: Any, metadata: Any, seen: list[Any], classes: int, dropout: float) -> keras.Model:
    """The network whose stamps have become the flat tensors ``seen``: then come the metadata, and dense layers.

    Its embedding is what it knows of an alert before it begins to tell classes apart.
    """
    known = SteadyDense(64, activation="relu")(PiecewiseLinear()(metadata))
    embedding = layers.Concatenate(name=EMBEDDING, dtype="float32")([*seen, known])

    x = layers.Dropout(0.4 * dropout)(layers.Concatenate()(seen))
    x = layers.Concatenate()([SteadyDense(64, activation="relu")(x), known])
    x = layers.Dense(64, activation="relu")(layers.Dropout(dropout)(x))
    return with_answer(stamps, metadata, embedding, layers.Dropout(0.5 * dropout)(x), classes)
