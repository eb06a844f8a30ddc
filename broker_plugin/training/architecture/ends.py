"""The two ends that all networks share: what goes in, and what comes out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

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
