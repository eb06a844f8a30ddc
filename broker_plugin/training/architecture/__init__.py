"""The networks that can be fitted to stamps and metadata.

``paper-2021`` is that of Carrasco-Davis et al. 2021 (AJ 162, 231), Table 2.  ``fast`` is our own: an order of magnitude
less work, and blind to quarter turns and mirrors by construction rather than by trying them all.  ``polar`` costs as
little, and is nearly blind to turns by any angle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers, ops

from broker_plugin.training.architecture.blocks import RuledOut
from broker_plugin.training.architecture.ends import EMBEDDING, PROBABILITIES, STEM
from broker_plugin.training.architecture.fast import fast_network
from broker_plugin.training.architecture.paper import enhanced_network, paper_image_network, paper_network
from broker_plugin.training.architecture.polar import polar_network
from broker_plugin.training.architecture.simple import metadata_network, ring_network

__all__ = [
    "ARCHITECTURES",
    "EMBEDDING",
    "PROBABILITIES",
    "averaged",
    "enhanced_network",
    "fast_network",
    "metadata_network",
    "paper_image_network",
    "paper_network",
    "polar_network",
    "regularised_cross_entropy",
    "ring_network",
    "ruling_out",
]

ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    "fast": fast_network,
    "polar": polar_network,
    "paper-2021": paper_network,
    "paper-2021-images": paper_image_network,
    "enhanced-2024": enhanced_network,
    "metadata": metadata_network,
    "rings": ring_network,
}
"""By name, what builds an untrained network of ``size``, ``channels``, ``features``, ``classes`` and ``dropout``."""


def averaged(networks: Sequence[keras.Model]) -> keras.Model:
    """One network of several alike: the mean of their probabilities, their embeddings side by side.

    What their stems have in common is done once, and their first convolutions are done as one, which takes half the
    time of several of a few channels each.
    """
    stamps, metadata = (keras.Input(tensor.shape[1:], name=tensor.name) for tensor in networks[0].inputs)
    stems = [network.get_layer(STEM) for network in networks if STEM in (layer.name for layer in network.layers)]
    if stems:
        begun = zip(*[ops.split(x, len(stems), axis=-1) for x in _side_by_side(stems)(stamps)], strict=True)
        outputs = [network.layers[-1]([*each, metadata]) for network, each in zip(networks, begun, strict=True)]
    else:
        outputs = [network([stamps, metadata]) for network in networks]
    probabilities = layers.Average(name=PROBABILITIES, dtype="float32")([each[PROBABILITIES] for each in outputs])
    embedding = layers.Concatenate(name=EMBEDDING)([each[EMBEDDING] for each in outputs])
    return keras.Model([stamps, metadata], {PROBABILITIES: probabilities, EMBEDDING: embedding})


def ruling_out(network: keras.Model, limits: Sequence[tuple[int, int, float]]) -> keras.Model:
    """The network, with the limits of `blocks.RuledOut`."""
    if not limits:
        return network
    stamps, metadata = (keras.Input(tensor.shape[1:], name=tensor.name) for tensor in network.inputs)
    outputs = network([stamps, metadata])
    probabilities = RuledOut(tuple(limits), name=PROBABILITIES, dtype="float32")(outputs[PROBABILITIES], metadata)
    return keras.Model([stamps, metadata], {**outputs, PROBABILITIES: probabilities})


def _side_by_side(stems: Sequence[keras.Model]) -> keras.Model:
    """One stem whose channels are those of all, in their order."""

    def widened(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if "filters" in config:
            config["filters"] *= len(stems)
        return type(layer).from_config(config)

    wide = keras.models.clone_model(stems[0], clone_function=widened)
    weights = zip(*[stem.get_weights() for stem in stems], strict=True)
    wide.set_weights([np.concatenate(each, axis=-1) for each in weights])
    return wide


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
