"""Fitting a stamp network: first on simulated alerts, then on real and simulated ones together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES, regularised_cross_entropy
from broker_plugin.training.dataset import Arrays, joined

_Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Stamps, features, truth (one-hot) and weights of some examples."""

_CHUNK = 256  # alerts that one call of the network takes outside training
_WARM_UP = 50  # iterations in which the step of the optimiser grows to its full size


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How long and with what.

    The defaults were chosen by cross-validation within the training split of a few hundred alerts, by object.

    Attributes
    ----------
    pretraining
        Batches of simulated alerts alone, before all else; none where nothing is simulated.
    iterations
        Batches of real alerts, with simulated ones among them.
    simulated_share
        Share of the latter in such a batch.
    batch_size
        Examples in a batch.
    pretraining_rate, learning_rate
        Largest step of AdamW before and with real alerts; it falls to zero along a cosine.
    dropout
        Share of the units that are silent while learning.
    beta
        Weight of the entropy in the loss: 0.5 in Carrasco-Davis et al. 2021.
    label_smoothing
        How much of its certainty a label loses to all classes alike.
    feature_dropout, metadata_dropout
        Share of single features, and of alerts with all their metadata, that are learned from as if unknown.
    history_dropout
        Share of alerts that are learned from as if they were their object's first.
    max_shift
        Pixels by which half of the stamps are moved, at most, in each direction.
    weight_decay
        Of AdamW.
    mixup
        Concentration of the beta distribution that blends pairs of examples where real ones are among them; 0 blends
        none.
    averaging
        The network that is kept is a running mean of the weights, with this share of the past at each batch.
    check_every
        Batches between two looks at alerts that are not learned from, which steer nothing.
    members
        Networks whose answers are averaged, each of which leaves out another share of the objects; two or more.
    """

    pretraining: int = 2500
    iterations: int = 1200
    simulated_share: float = 0.3
    batch_size: int = 64
    pretraining_rate: float = 2e-3
    learning_rate: float = 1e-3
    dropout: float = 0.5
    beta: float = 0.0
    label_smoothing: float = 0.1
    feature_dropout: float = 0.1
    metadata_dropout: float = 0.1
    history_dropout: float = 0.5
    max_shift: int = 1
    weight_decay: float = 0.02
    mixup: float = 0.2
    averaging: float = 0.996
    check_every: int = 100
    members: int = 5

    def total(self, simulated: bool) -> int:
        """Batches that a fit takes in all."""
        return self.members * self.iterations + (self.pretraining if simulated else 0)


def fit_stamp_network(
    build: Callable[[], keras.Model],
    real: Arrays,
    simulated: Arrays | None,
    folds: np.ndarray,
    *,
    classes: int,
    first: np.ndarray,
    options: FitOptions,
    seed: int,
    progress: Callable[[int, str], None] = lambda iteration, text: None,
) -> list[keras.Model]:
    """Train networks of `architecture`, each on all folds of the real alerts but one.

    All begin from the weights that the simulated alerts have given to one.  The fold that a member leaves out steers
    nothing in it: over all folds, what members say of alerts they have not seen is what a user may expect of any of
    them, and can be calibrated on.

    Parameters
    ----------
    build
        Makes an untrained network.
    folds
        For each real alert the number of the member that does not learn from it, below ``options.members``.
    first
        What the features of the history are for the first alert of an object, (features,); NaN for the others.
    progress
        Called after each check with the iterations done, of `FitOptions.total`, and a line to show.

    Returns
    -------
    list of keras.Model
        The members, for `architecture.averaged`.
    """
    keras.utils.clear_session()  # layers are numbered through a process, and their names are in the SavedModel
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":  # else two runs with one seed differ by how threads took turns
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(seed)
    members = [build() for _ in range(options.members)]
    done = 0

    def report(iteration: int, text: str) -> None:
        progress(done + iteration, text)

    if simulated and options.pretraining:
        # Nothing is blended here: what can be simulated without end need not be stretched.
        batches = _batches([(simulated, options.batch_size)], classes, first, 0.0, options, rng)
        _descend(members[0], batches, real, options, options.pretraining_rate, options.pretraining, report)
        done += options.pretraining
        for member in members[1:]:
            member.set_weights(members[0].get_weights())
    among = round(options.simulated_share * options.batch_size) if simulated else 0
    for fold, member in enumerate(members):
        sources = [(real.take(folds != fold), options.batch_size - among)]
        if simulated:
            sources.append((simulated, among))
        batches = _batches(sources, classes, first, options.mixup, options, rng)
        held_out = real.take(folds == fold)
        _descend(member, batches, held_out, options, options.learning_rate, options.iterations, report)
        done += options.iterations
    return members


def predict(network: keras.Model, arrays: Arrays) -> dict[str, np.ndarray]:
    """The network's outputs for all of ``arrays``."""
    parts = [
        network([arrays.stamps[i : i + _CHUNK], arrays.features[i : i + _CHUNK]], training=False)
        for i in range(0, len(arrays), _CHUNK)
    ]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def _descend(
    network: keras.Model,
    batches: Iterator[_Batch],
    held_out: Arrays,
    options: FitOptions,
    rate: float,
    iterations: int,
    progress: Callable[[int, str], None],
) -> None:
    """Learn from ``iterations`` batches; at the end the network holds the running mean of its weights."""
    warm_up = min(_WARM_UP, iterations // 4)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, iterations - warm_up, warmup_target=rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=options.weight_decay, use_ema=True, ema_momentum=options.averaging
    )
    loss = regularised_cross_entropy(options.beta)
    network.compile(optimizer=optimizer, loss={PROBABILITIES: loss, EMBEDDING: None})
    losses = []
    for iteration in range(1, iterations + 1):
        stamps, features, truth, weight = next(batches)
        loss_now = network.train_on_batch(
            [stamps, features], {PROBABILITIES: truth}, sample_weight={PROBABILITIES: weight}
        )
        losses.append(_first(loss_now))
        if iteration == iterations:
            optimizer.finalize_variable_values(network.trainable_variables)
        if iteration % options.check_every and iteration != iterations:
            continue
        said = predict(network, held_out)[PROBABILITIES]
        right = float((said.argmax(axis=1) == held_out.truth).mean())
        progress(iteration, f"loss {np.mean(losses):.3f}, {right:.3f} right of those held out")
        losses.clear()


def _batches(
    sources: Sequence[tuple[Arrays, int]],
    classes: int,
    first: np.ndarray,
    mixup: float,
    options: FitOptions,
    rng: np.random.Generator,
) -> Iterator[_Batch]:
    """Endless batches of augmented examples: so many of each source, any class in it as likely as another."""
    members = [[np.flatnonzero(data.truth == c) for c in np.unique(data.truth)] for data, _ in sources]
    one_hot = np.eye(classes, dtype=np.float32)
    truths = (1.0 - options.label_smoothing) * one_hot + options.label_smoothing / classes
    while True:
        drawn = []
        for (data, count), by_class in zip(sources, members, strict=True):
            chosen = rng.integers(len(by_class), size=count)
            drawn.append(data.take(np.array([rng.choice(by_class[c]) for c in chosen], dtype=np.int64)))
        examples = joined(*drawn)
        stamps = np.stack([_moved(stamp, options.max_shift, rng) for stamp in examples.stamps])
        as_first = (rng.random((len(examples), 1)) < options.history_dropout) & ~np.isnan(first)
        features = np.where(as_first, first, examples.features)
        hidden = rng.random(examples.features.shape) < options.feature_dropout
        hidden |= rng.random((len(examples), 1)) < options.metadata_dropout
        # Zero is what a feature is on average, and so what is fed where nothing is known of it.
        features = np.where(hidden, np.float32(0.0), features)
        batch = (stamps, features, truths[examples.truth], examples.weight)
        yield _mixed(batch, mixup, rng) if mixup else batch


def _moved(stamp: np.ndarray, max_shift: int, rng: np.random.Generator) -> np.ndarray:
    """The stamp mirrored or not, turned, and half of the time shifted by whole pixels with its edge repeated."""
    if rng.random() < 0.5:
        stamp = stamp[:, ::-1]
    stamp = np.rot90(stamp, int(rng.integers(4)))
    if rng.random() < 0.5:
        return stamp
    size = stamp.shape[0]
    row, column = rng.integers(0, 2 * max_shift + 1, size=2)
    padded = np.pad(stamp, ((max_shift, max_shift), (max_shift, max_shift), (0, 0)), mode="edge")
    return padded[row : row + size, column : column + size]


def _mixed(batch: _Batch, concentration: float, rng: np.random.Generator) -> _Batch:
    """Each example blended with another of the batch, answers and all: mixup, Zhang et al. 2018, arXiv:1710.09412.

    Stamps are blended by the logarithms of their pixels: a tenth of a bright star would else outshine all of a faint
    galaxy.
    """
    share = rng.beta(concentration, concentration, size=len(batch[0])).astype(np.float32)
    partner = rng.permutation(len(share))

    def blend(values: np.ndarray) -> np.ndarray:
        own = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(own * values + (1.0 - own) * values[partner])

    stamps, features, truth, weight = batch
    return np.sinh(blend(np.arcsinh(stamps))), blend(features), blend(truth), blend(weight)


def _first(loss: Any) -> float:
    return float(loss[0]) if isinstance(loss, (list, tuple)) else float(loss)
