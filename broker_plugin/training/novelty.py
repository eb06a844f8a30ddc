"""How unlike the training data an alert is: a small network on top of each member, taught what no alert looks like.

It tells alerts, real and simulated, from what `evaluation.spoilt` makes of them and from alerts without metadata:
outlier exposure, Hendrycks, Mazeika and Dietterich 2019, arXiv:1812.04606.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from broker_plugin.bundles import Manifest, NoveltySpec
from broker_plugin.evaluation.spoilt import SPOILINGS
from broker_plugin.tensors.metadata import missing_features
from broker_plugin.training.architecture.blocks import SteadyDense
from broker_plugin.training.augment import Augmentation, augmented_stamps
from broker_plugin.training.dataset import Arrays, joined

METHOD = "outlier-exposure"
KEPT_BACK = frozenset({"noise with random shapes", "tiles exchanged"})
"""Ways of spoiling that are not learned from, so that they tell how well others are found that nobody thought of."""

Embed = Callable[[Arrays], NDArray[np.float32]]
_FORMS = 4
"""Ways in which each real alert is shown: with fewer, those that are new look strange."""
_MOST = 2000
"""Real alerts in all their forms; and simulated ones."""
_UNITS = 32
_EPOCHS = 20
_BATCH = 256


def usual_alerts(
    real: Arrays, rows: NDArray[np.int64], simulated: Arrays | None, augmentation: Augmentation, seed: int
) -> Arrays:
    """What is not strange: real alerts, as they are and augmented, and up to twice as many simulated ones.

    Parameters
    ----------
    rows
        Of the real alerts, those that the member has learned from.
    """
    rng = np.random.default_rng(seed)
    count = min(_FORMS * len(rows), _MOST)
    usual = real.take(np.resize(rng.permutation(rows), count))
    if count > len(rows):
        usual.stamps[len(rows) :] = augmented_stamps(usual.stamps[len(rows) :], augmentation, rng)
    if simulated is None:
        return usual
    return joined(usual, _some_of_each_class(simulated, min(2 * count, _MOST), rng))


def fit_strangeness(embed: Embed, usual: Arrays, manifest: Manifest, seed: int) -> keras.Model:
    """Train the network that tells the strange from the usual.

    Parameters
    ----------
    embed
        Gives the embeddings of alerts, (n, d).
    usual
        Alerts such as the member has learned from.

    Returns
    -------
    keras.Model
        (n, d) to (n, 1), higher for the stranger.
    """
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    strange = np.concatenate([embed(arrays) for arrays in _strange(usual, manifest, rng)])
    known = embed(usual)
    network = strangeness_network(known.mean(axis=0), known.std(axis=0) + 1e-3)
    network.compile(keras.optimizers.AdamW(2e-3, weight_decay=0.02), keras.losses.BinaryCrossentropy(from_logits=True))
    embeddings = np.concatenate([known, strange])
    truth = np.repeat(np.array([0.0, 1.0], np.float32), [len(known), len(strange)])
    weight = np.where(truth == 1.0, 0.5 / len(strange), 0.5 / len(known)).astype(np.float32) * len(truth)
    for _ in range(_EPOCHS):
        order = rng.permutation(len(truth))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            network.train_on_batch(embeddings[rows], truth[rows, None], sample_weight=weight[rows])
    return network


def strangeness_network(mean: NDArray[np.float32], spread: NDArray[np.float32]) -> keras.Model:
    """Build the untrained network, for embeddings of this mean and standard deviation, (d,)."""
    embedding = keras.Input(mean.shape)
    x = layers.Normalization(mean=mean, variance=spread**2)(embedding)
    x = layers.Dropout(0.2)(SteadyDense(_UNITS, activation="relu")(x))
    return keras.Model(embedding, SteadyDense(1)(x))


def strangeness_of(network: keras.Model, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """How strange alerts are, (n,), by their embeddings, (n, d)."""
    return np.asarray(keras.ops.convert_to_numpy(network(embedding, training=False)))[:, 0]


def novelty_of(held_out: NDArray[np.floating]) -> NoveltySpec:
    """The quantiles of the strangeness of real alerts that were not learned from, (n,)."""
    quantiles = np.quantile(held_out, np.linspace(0.0, 1.0, 101))
    return NoveltySpec(METHOD, tuple(round(float(q), 6) for q in quantiles))


def _some_of_each_class(arrays: Arrays, count: int, rng: np.random.Generator) -> Arrays:
    """About so many in all, at random."""
    present = np.unique(arrays.truth)
    each = max(1, count // len(present))
    rows = [rng.permutation(np.flatnonzero(arrays.truth == number))[:each] for number in present]
    return arrays.take(np.sort(np.concatenate(rows)))


def _strange(usual: Arrays, manifest: Manifest, rng: np.random.Generator) -> Iterator[Arrays]:
    without_metadata = np.tile(missing_features(manifest.features), (len(usual), 1))
    yield Arrays(usual.stamps, without_metadata, usual.truth, usual.weight)
    for name, spoil in SPOILINGS.items():
        if name not in KEPT_BACK:
            # Half of them without metadata, as another camera's packets come.
            features = np.where(rng.random((len(usual), 1)) < 0.5, without_metadata, usual.features)
            yield Arrays(spoil(usual.stamps, manifest, rng), features, usual.truth, usual.weight)
