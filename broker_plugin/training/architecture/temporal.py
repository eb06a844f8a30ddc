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
_JOINED_UNITS = 64
_HEADS = 4
_KERNEL = 3
_LOOK, _SUMMARY, _MEASURE, _STATE, _KNOW, _JOIN, _SCORES = (
    "look",
    "summary",
    "measure",
    "state",
    "know",
    "join",
    "scores",
)
"""Names of the layers that hold weights."""

Floats = NDArray[np.float32]


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

    x = _dense(_LOOK, _STAMP_UNITS)(layers.Dropout(0.4 * dropout)(seen))
    x = _dense(_SUMMARY, _STAMP_SUMMARY)(x)
    y = _dense(_MEASURE, _DETECTION_UNITS)(_in_pieces(measured))
    each = layers.Dropout(0.5 * dropout)(layers.Concatenate()([y, x]))
    state = RECURRENCES[recurrence](each, present)

    of_object = _dense(_KNOW, _FEATURE_UNITS)(PiecewiseLinear()(known))
    z = layers.Dropout(dropout)(layers.Concatenate()([state, of_object]))
    z = layers.Dropout(0.5 * dropout)(_dense(_JOIN, _JOINED_UNITS)(z))
    # The sum over classes is done in float32 whatever the precision of the layers before.
    probabilities = layers.Dense(classes, activation="softmax", name=PROBABILITIES, dtype="float32")(z)
    return keras.Model([seen, measured, present, known], {PROBABILITIES: probabilities})


def averaged_temporal(networks: Sequence[keras.Model]) -> keras.Model:
    """One network of several alike: the mean of their probabilities.

    Those with a recurrent layer become one network as wide as all of them, with zeros between what is of different
    ones.  That is some more to multiply, and a fraction of the operations: for one object it takes a third of the time.
    """
    if any(layer.name == _STATE for layer in networks[0].layers):
        return _side_by_side(networks)
    given = _inputs_like(networks[0])
    outputs = [network(given)[PROBABILITIES] for network in networks]
    return keras.Model(given, {PROBABILITIES: layers.Average(name=PROBABILITIES, dtype="float32")(outputs)})


def _side_by_side(networks: Sequence[keras.Model]) -> keras.Model:
    count = len(networks)
    seen, measured, present, known = given = _inputs_like(networks[0])
    classes = networks[0].get_layer(PROBABILITIES).units
    recurrent = networks[0].get_layer(_STATE)

    x = _dense(_SUMMARY, count * _STAMP_SUMMARY)(_dense(_LOOK, count * _STAMP_UNITS)(seen))
    y = _dense(_MEASURE, count * _DETECTION_UNITS)(_in_pieces(measured))
    each = layers.Concatenate()([y, x])
    state = type(recurrent)(count * _STATE_UNITS, unroll=True, name=_STATE)(each, mask=present > 0.5)
    of_object = _dense(_KNOW, count * _FEATURE_UNITS)(PiecewiseLinear()(known))
    z = _dense(_JOIN, count * _JOINED_UNITS)(layers.Concatenate()([state, of_object]))
    scores = layers.Dense(count * classes, name=_SCORES, dtype="float32")(z)
    each_says = layers.Softmax(dtype="float32")(layers.Reshape((count, classes), dtype="float32")(scores))
    mean = layers.GlobalAveragePooling1D(name=PROBABILITIES, dtype="float32")(each_says)
    network = keras.Model(given, {PROBABILITIES: mean})

    for name, parts in (
        (_LOOK, None),
        (_SUMMARY, (_STAMP_UNITS,)),
        (_MEASURE, None),
        (_STATE, (_DETECTION_UNITS, _STAMP_SUMMARY)),
        (_KNOW, None),
        (_JOIN, (_STATE_UNITS, _FEATURE_UNITS)),
        (_SCORES, (_JOINED_UNITS,)),
    ):
        own = [member.get_layer(PROBABILITIES if name == _SCORES else name).get_weights() for member in networks]
        wide = network.get_layer(name)
        gates = own[0][0].shape[1] * count // wide.units if name == _STATE else 1
        kernels, *others = [list(same) for same in zip(*own, strict=True)]
        merged = [_merged(kernels, parts, gates)]
        if name == _STATE:
            merged.append(_merged(others.pop(0), (_STATE_UNITS,), gates))
        merged.append(_merged_biases(others[0], gates))
        wide.set_weights(merged)
    return network


def _merged(kernels: Sequence[Floats], parts: tuple[int, ...] | None, gates: int) -> Floats:
    """Kernels (inputs, gates * units) of several networks as one.

    Parameters
    ----------
    parts
        Sizes of the parts of a network's input, each of which stands beside those of the other networks; None where all
        networks have the same input.
    """
    if parts is None:
        return np.concatenate(kernels, axis=1)
    count, units = len(kernels), kernels[0].shape[1] // gates
    blocks = []
    for begin, size in zip(np.cumsum((0, *parts)), parts, strict=False):
        block = np.zeros((count, size, gates, count, units), dtype=np.float32)
        for number, kernel in enumerate(kernels):
            block[number, :, :, number] = kernel[begin : begin + size].reshape(size, gates, units)
        blocks.append(block.reshape(count * size, gates * count * units))
    return np.concatenate(blocks)


def _merged_biases(biases: Sequence[Floats], gates: int) -> Floats:
    """Biases (..., gates * units) of several networks as one."""
    split = [bias.reshape(*bias.shape[:-1], gates, -1) for bias in biases]
    return np.concatenate(split, axis=-1).reshape(*biases[0].shape[:-1], -1)


def _inputs_like(network: keras.Model) -> list[Any]:
    return [keras.Input(tensor.shape[1:], name=tensor.name) for tensor in network.inputs]


def _dense(name: str, units: int) -> layers.Layer:
    return layers.Dense(units, activation="relu", name=name)


def _in_pieces(measured: Any) -> Any:
    """`PiecewiseLinear` of each detection, (batch, length, pieces)."""
    length, detections = measured.shape[1:]
    pieces = PiecewiseLinear()(ops.reshape(measured, (-1, detections)))
    return ops.reshape(pieces, (-1, length, pieces.shape[-1]))


def _recurrent(layer: type[layers.RNN]) -> Callable[[Any, Any], Any]:
    def apply(each: Any, present: Any) -> Any:
        # Unrolled: eight steps as plain operations take a fraction of the time of a loop in the graph.
        return layer(_STATE_UNITS, unroll=True, name=_STATE)(each, mask=present > 0.5)

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
