"""Fitting the stamp network: class-balanced batches, augmentation, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES, regularised_cross_entropy, stamp_network
from broker_plugin.training.dataset import Arrays

_Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Stamps, features, truth (one-hot) and weights of some examples."""

_CHUNK = 256  # alerts that one call of the network takes outside training


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How long and with what.

    The defaults were chosen by cross-validation within the training split of a few hundred alerts, by object;
    batch size, dropout and beta are those of Carrasco-Davis et al. 2021, section 4.

    Attributes
    ----------
    iterations
        Batches at the most; the best network by validation loss is kept, and the fit stops when
        ``patience`` checks have brought none better.
    batch_size, learning_rate, dropout
        Examples in a batch; step of AdamW; share of the units that are silent while learning.
    beta
        Weight of the entropy in the loss.
    kernel
        Side of the inner convolutions, 3 or 5.
    feature_dropout, metadata_dropout
        Share of single features, and of alerts with all their metadata, that are learned from as if missing.
    max_shift
        Pixels by which stamps are moved at random, in each direction.
    noise
        Standard deviation of what is added to the scaled stamps.
    weight_decay
        Of AdamW.
    mixup
        Concentration of the beta distribution that blends pairs of examples; 0 blends none.
    averaging
        The network that is kept is a running mean of the weights, with this share of the past at each batch.
    """

    iterations: int = 1500
    batch_size: int = 64
    learning_rate: float = 2e-3
    beta: float = 0.5
    dropout: float = 0.5
    kernel: int = 3
    check_every: int = 100
    patience: int = 10
    feature_dropout: float = 0.05
    metadata_dropout: float = 0.1
    max_shift: int = 1
    noise: float = 0.02
    weight_decay: float = 1e-2
    averaging: float = 0.995
    mixup: float = 0.2


@dataclass(frozen=True, slots=True)
class Fit:
    """A trained network, and how it got there.

    ``history`` has rows of iteration, training loss, validation loss, validation accuracy.
    """

    network: keras.Model
    history: list[tuple[int, float, float, float]]


def fit_stamp_network(
    train: Arrays,
    validation: Arrays,
    *,
    missing_features: np.ndarray,
    classes: int,
    options: FitOptions,
    seed: int,
    progress: Callable[[int, str], None] = lambda iteration, text: None,
) -> Fit:
    """Train the network of `architecture.stamp_network`.

    Parameters
    ----------
    missing_features
        float32, (features,): what each feature is where the packet lacks it.
    progress
        Called after each check with the iteration and a line to show.
    """
    keras.utils.clear_session()  # layers are numbered through a process, and their names are in the SavedModel
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":  # else two runs with one seed differ by how threads took turns
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    network = stamp_network(
        size=train.stamps.shape[1],
        channels=train.stamps.shape[3],
        features=train.features.shape[1],
        classes=classes,
        kernel=options.kernel,
        dropout=options.dropout,
    )
    loss = regularised_cross_entropy(options.beta)
    optimizer = keras.optimizers.AdamW(options.learning_rate, weight_decay=options.weight_decay)
    network.compile(optimizer=optimizer, loss={PROBABILITIES: loss, EMBEDDING: None})
    batches = _balanced_batches(train, missing_features, classes, options, np.random.default_rng(seed))
    balance = _class_balance(validation.truth, classes)

    history: list[tuple[int, float, float, float]] = []
    average = network.get_weights()
    best_loss, best_weights, since_best, losses = np.inf, average, 0, []
    for iteration in range(1, options.iterations + 1):
        stamps, features, truth, weight = next(batches)
        loss_now = network.train_on_batch(
            [stamps, features], {PROBABILITIES: truth}, sample_weight={PROBABILITIES: weight}
        )
        losses.append(_first(loss_now))
        latest = network.get_weights()
        average = [options.averaging * a + (1.0 - options.averaging) * w for a, w in zip(average, latest, strict=True)]
        if iteration % options.check_every:
            continue
        network.set_weights(average)
        probabilities = predict(network, validation)[PROBABILITIES]
        network.set_weights(latest)
        likelihood = np.maximum(probabilities[np.arange(len(validation)), validation.truth], 1e-7)
        validation_loss = float(np.average(-np.log(likelihood), weights=balance[validation.truth]))
        accuracy = float((probabilities.argmax(axis=1) == validation.truth).mean())
        history.append((iteration, float(np.mean(losses)), validation_loss, accuracy))
        progress(iteration, f"loss {np.mean(losses):.3f}, validation {validation_loss:.3f}, right {accuracy:.3f}")
        losses.clear()
        since_best += 1
        if validation_loss < best_loss:
            best_loss, best_weights, since_best = validation_loss, average, 0
        elif since_best >= options.patience:
            break
    network.set_weights(best_weights)
    return Fit(network, history)


def predict(network: keras.Model, arrays: Arrays) -> dict[str, np.ndarray]:
    """The network's outputs for all of ``arrays``."""
    parts = [
        network([arrays.stamps[i : i + _CHUNK], arrays.features[i : i + _CHUNK]], training=False)
        for i in range(0, len(arrays), _CHUNK)
    ]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def _balanced_batches(
    data: Arrays, missing_features: np.ndarray, classes: int, options: FitOptions, rng: np.random.Generator
) -> Iterator[_Batch]:
    """Endless batches of augmented examples.

    Each class that occurs is as likely as any other; within a class, so are real and simulated alerts
    where it has both.
    """
    members = [
        [
            rows
            for origin in (False, True)
            if len(rows := np.flatnonzero((data.truth == c) & (data.simulated == origin)))
        ]
        for c in range(classes)
    ]
    occurring = [origins for origins in members if origins]
    one_hot = np.eye(classes, dtype=np.float32)
    while True:
        chosen = [occurring[i] for i in rng.integers(len(occurring), size=options.batch_size)]
        rows = np.array([rng.choice(origins[rng.integers(len(origins))]) for origins in chosen])
        stamps = np.stack([_moved(data.stamps[row], options.max_shift, rng) for row in rows])
        stamps += options.noise * rng.standard_normal(stamps.shape, dtype=np.float32)
        features = data.features[rows].copy()
        hidden = rng.random(features.shape) < options.feature_dropout
        hidden |= rng.random((len(rows), 1)) < options.metadata_dropout
        batch = (stamps, np.where(hidden, missing_features, features), one_hot[data.truth[rows]], data.weight[rows])
        yield _mixed(batch, options.mixup, rng) if options.mixup else batch


def _moved(stamp: np.ndarray, max_shift: int, rng: np.random.Generator) -> np.ndarray:
    """The stamp mirrored or not, turned, and shifted by whole pixels with its edge repeated."""
    if rng.random() < 0.5:
        stamp = stamp[:, ::-1]
    stamp = np.rot90(stamp, int(rng.integers(4)))  # the trunk is blind to this, but not to a shift that comes with it
    size = stamp.shape[0]
    row, column = rng.integers(0, 2 * max_shift + 1, size=2)
    padded = np.pad(stamp, ((max_shift, max_shift), (max_shift, max_shift), (0, 0)), mode="edge")
    return padded[row : row + size, column : column + size]


def _mixed(batch: _Batch, concentration: float, rng: np.random.Generator) -> _Batch:
    """Each example blended with another of the batch, answers and all: mixup, Zhang et al. 2018, arXiv:1710.09412."""
    share = rng.beta(concentration, concentration, size=len(batch[0])).astype(np.float32)
    partner = rng.permutation(len(share))

    def blend(values: np.ndarray) -> np.ndarray:
        own = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(own * values + (1.0 - own) * values[partner])

    stamps, features, truth, weight = batch
    return blend(stamps), blend(features), blend(truth), blend(weight)


def _class_balance(truth: np.ndarray, classes: int) -> np.ndarray:
    """Weight for each class that makes all of them count the same."""
    counts = np.bincount(truth, minlength=classes)
    return np.where(counts > 0, 1.0 / np.maximum(counts, 1), 0.0)


def _first(loss: Any) -> float:
    return float(loss[0]) if isinstance(loss, (list, tuple)) else float(loss)
