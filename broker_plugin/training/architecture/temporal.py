"""Networks for the detections of an object: embeddings of their stamps, what was measured, then a recurrence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from broker_plugin.training.architecture.blocks import PiecewiseLinear
from broker_plugin.training.architecture.ends import EMBEDDING, PROBABILITIES

_KNOWN_UNITS = 64  # of the dense layer over the metadata in `ends.with_dense_layers`, the end of an embedding
_STAMP_UNITS = 64
_STAMP_SUMMARY = 8
"""What is left of the stamps of a detection: with more numbers, a few hundred labelled objects are learned by heart."""
_DETECTION_UNITS = 32
_STATE_UNITS = 32
_FEATURE_UNITS = 64
_HEADS = 4
_KERNEL = 3


def trunk_of(network: keras.Model, mean: NDArray[np.float32], spread: NDArray[np.float32]) -> keras.Model:
    """The part of a stamp network, such as `fast_network`, from the stamps to what it has seen, in standard units.

    Parameters
    ----------
    mean, spread
        Of the embeddings of many stamps, (embedding,).
    """
    stamps = keras.Input(network.inputs[0].shape[1:], name="stamps")
    seen = seen_by(network, stamps)
    normal = layers.Normalization(mean=mean, variance=np.square(spread), name=EMBEDDING)(seen)
    return keras.Model(stamps, {EMBEDDING: normal})


def seen_by(network: keras.Model, stamps: Any) -> Any:
    """What a stamp network has seen in stamps, (n, embedding), before any metadata join."""
    none = ops.repeat(ops.zeros_like(stamps[:, 0, 0, :1]), network.inputs[1].shape[1], axis=1)
    return network([stamps, none], training=False)[EMBEDDING][:, :-_KNOWN_UNITS]


def temporal_network(
    *,
    recurrence: str,
    length: int,
    embedding: int,
    detections: int,
    features: int,
    classes: int,
    dropout: float = 0.5,
) -> keras.Model:
    """Build an untrained network after Neira, Estévez and Förster 2024 (arXiv:2405.15073).

    For each detection the embedding of its stamps is brought down to a few numbers and joined by what was measured and
    when; a recurrence goes over the detections; what is known of the object (the features of its latest alert and of
    its AllWISE counterpart) joins before the last dense layers.

    Parameters
    ----------
    recurrence
        One of `RECURRENCES`.
    length, embedding, detections, features, classes
        Of the inputs and the output.
    dropout
        Share of the units that are silent while learning.

    Returns
    -------
    keras.Model
        Inputs ``embeddings`` (batch, length, embedding), ``detections`` (batch, length, detections), ``present``
        (batch, length) and ``features`` (batch, features); output ``probabilities`` (batch, classes).
    """
    seen = keras.Input((length, embedding), name="embeddings")
    measured = keras.Input((length, detections), name="detections")
    present = keras.Input((length,), name="present")
    known = keras.Input((features,), name="features")

    x = layers.Dense(_STAMP_UNITS, activation="relu")(layers.Dropout(0.4 * dropout)(seen))
    x = layers.Dense(_STAMP_SUMMARY, activation="relu")(x)
    in_pieces = PiecewiseLinear()(ops.reshape(measured, (-1, detections)))
    in_pieces = ops.reshape(in_pieces, (-1, length, in_pieces.shape[-1]))
    y = layers.Dense(_DETECTION_UNITS, activation="relu")(in_pieces)
    each = layers.Dropout(0.5 * dropout)(layers.Concatenate()([y, x]))
    state = RECURRENCES[recurrence](each, present)

    of_object = layers.Dense(_FEATURE_UNITS, activation="relu")(PiecewiseLinear()(known))
    z = layers.Dropout(dropout)(layers.Concatenate()([state, of_object]))
    z = layers.Dropout(0.5 * dropout)(layers.Dense(64, activation="relu")(z))
    # The sum over classes is done in float32 whatever the precision of the layers before.
    probabilities = layers.Dense(classes, activation="softmax", name=PROBABILITIES, dtype="float32")(z)
    return keras.Model([seen, measured, present, known], {PROBABILITIES: probabilities})


def averaged_temporal(networks: Sequence[keras.Model]) -> keras.Model:
    """One network of several alike: the mean of their probabilities."""
    given = [keras.Input(tensor.shape[1:], name=tensor.name) for tensor in networks[0].inputs]
    outputs = [network(given)[PROBABILITIES] for network in networks]
    return keras.Model(given, {PROBABILITIES: layers.Average(name=PROBABILITIES, dtype="float32")(outputs)})


def _recurrent(layer: type[layers.RNN]) -> Callable[[Any, Any], Any]:
    def apply(each: Any, present: Any) -> Any:
        # Unrolled: eight steps as plain operations take a fraction of the time of a loop in the graph.
        return layer(_STATE_UNITS, unroll=True)(each, mask=present > 0.5)

    return apply


def _convolved(each: Any, present: Any) -> Any:
    """Two convolutions along the detections, then the highest value of each channel."""
    there = present[:, :, None]
    for _ in range(2):
        each = layers.Conv1D(_STATE_UNITS, _KERNEL, padding="causal", activation="relu")(each * there)
    return ops.max(each * there, axis=1)


def _attended(each: Any, present: Any) -> Any:
    """One layer of a transformer's encoder (Vaswani et al. 2017, arXiv:1706.03762), then the mean over the detections.

    When a detection was is among what was measured, so there is no code for its place.
    """
    there = present > 0.5
    x = layers.Dense(_STATE_UNITS)(each)
    heard = layers.MultiHeadAttention(_HEADS, _STATE_UNITS // _HEADS)(x, x, attention_mask=there[:, None, :])
    x = layers.LayerNormalization()(x + heard)
    more = layers.Dense(_STATE_UNITS)(layers.Dense(2 * _STATE_UNITS, activation="relu")(x))
    x = layers.LayerNormalization()(x + more) * present[:, :, None]
    return ops.sum(x, axis=1) / ops.maximum(ops.sum(present, axis=1, keepdims=True), 1.0)


RECURRENCES: dict[str, Callable[[Any, Any], Any]] = {
    "simple-rnn": _recurrent(layers.SimpleRNN),
    "gru": _recurrent(layers.GRU),
    "lstm": _recurrent(layers.LSTM),
    "conv1d": _convolved,
    "attention": _attended,
}
"""By name, what goes over the detections: (batch, length, n) and where there is a detection, to (batch, m)."""
