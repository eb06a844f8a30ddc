"""Fitting temporal networks on embeddings of stamps: on simulated sequences first, then on real ones among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.training.architecture import PROBABILITIES
from broker_plugin.training.fit import Progress
from broker_plugin.training.temporal.examples import SequenceExamples

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_CHUNK = 1024
_WARM_UP = 50
_CHECK_EVERY = 200


@dataclass(frozen=True, slots=True)
class SequenceArrays:
    """Tensors of examples: the network's inputs by name, and what `SequenceExamples` tells of them.

    Attributes
    ----------
    embeddings, detections, present, features
        float32, as `architecture.temporal.temporal_network` takes them.
    about
        The examples.
    """

    embeddings: Floats
    detections: Floats
    present: Floats
    features: Floats
    about: SequenceExamples

    def __len__(self) -> int:
        return len(self.about)

    def inputs(self, rows: Rows) -> list[Floats]:
        """A copy of the inputs of some rows, in the network's order."""
        return [self.embeddings[rows], self.detections[rows], self.present[rows], self.features[rows]]


@dataclass(frozen=True, slots=True)
class Hideable:
    """What may be hidden from a network while it learns, so that it can do without.

    Attributes
    ----------
    history, allwise
        Which features are of the light curve, and of the AllWISE counterpart, (features,).
    unknown
        What the features are where nothing is known, (features,).
    stamped
        Place of the flag among the features of a detection that says that it has stamps.
    unstamped
        What that flag is where it has none.
    """

    history: NDArray[np.bool_]
    allwise: NDArray[np.bool_]
    unknown: Floats
    stamped: int
    unstamped: float


@dataclass(frozen=True, slots=True)
class TemporalFitOptions:
    """How long and with what.  Chosen by cross-validation over the objects of the training split.

    Attributes
    ----------
    recurrence
        One of `architecture.temporal.RECURRENCES`.
    pretraining, iterations
        Batches of simulated sequences alone, and then of real ones with simulated ones among them.
    simulated_share
        Share of the latter.
    batch_size, learning_rate, pretraining_rate, weight_decay, averaging, dropout, label_smoothing, mixup
        As in `training.fit.FitOptions`; blended are all inputs of a pair.
    feature_dropout, metadata_dropout, history_dropout
        Share of single features, and of examples without any or without those of the light curve.
    stamp_dropout, sequence_dropout, allwise_dropout
        Share of examples without stamps, without measurements of single detections, without AllWISE.
    edited_copies
        Share of examples in every class whose metadata were changed, by somebody or by us, beyond that of the class
        that has most of them.
    members
        Networks whose answers are averaged, each of which leaves out another share of the objects.
    """

    recurrence: str = "gru"
    pretraining: int = 1500
    iterations: int = 2400
    simulated_share: float = 0.3
    batch_size: int = 64
    pretraining_rate: float = 2e-3
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    averaging: float = 0.996
    dropout: float = 0.5
    label_smoothing: float = 0.1
    mixup: float = 0.2
    feature_dropout: float = 0.15
    metadata_dropout: float = 0.1
    history_dropout: float = 0.1
    stamp_dropout: float = 0.7
    sequence_dropout: float = 0.1
    allwise_dropout: float = 0.15
    edited_copies: float = 0.05
    members: int = 5

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "members"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not 0.0 <= self.simulated_share < 1.0:
            raise ValueError(f"simulated_share is {self.simulated_share}: it must be from 0 to below 1")


def fit_temporal_network(
    network: keras.Model,
    real: SequenceArrays,
    rows: Rows,
    simulated: SequenceArrays | None,
    hideable: Hideable,
    options: TemporalFitOptions,
    rng: np.random.Generator,
    tell: Callable[[int, float], None] = lambda done, loss: None,
) -> None:
    """Train one network, in place.

    Parameters
    ----------
    rows
        Of the real examples, those to learn from; their objects are drawn alike within a class, and the classes.
    tell
        Called now and then with the batches done and the mean loss since the call before.
    """
    draw_simulated = None if simulated is None else _Draw(simulated, np.arange(len(simulated)), 0.0, rng)
    draw_real = _Draw(real, rows, options.edited_copies, rng)
    if draw_simulated is not None and options.pretraining:
        sources = [(draw_simulated, options.batch_size)]
        _descend(network, sources, hideable, options, options.pretraining, options.pretraining_rate, 0.0, rng, tell)
    share = 0 if draw_simulated is None else round(options.simulated_share * options.batch_size)
    sources = [(draw_real, options.batch_size - share)]
    if draw_simulated is not None and share:
        sources.append((draw_simulated, share))
    rate = options.learning_rate
    _descend(network, sources, hideable, options, options.iterations, rate, options.mixup, rng, tell)


def predict_sequences(network: keras.Model, arrays: SequenceArrays, rows: Rows | None = None) -> NDArray[np.float64]:
    """The network's probabilities for all examples, or for some rows, (n, classes)."""
    rows = np.arange(len(arrays)) if rows is None else rows
    parts = [
        keras.ops.convert_to_numpy(
            network(arrays.inputs(rows[start : start + _CHUNK]), training=False)[PROBABILITIES]
        ).astype(np.float64)
        for start in range(0, len(rows), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, network.outputs[0].shape[-1]))


def planned(options: TemporalFitOptions, has_simulated: bool) -> int:
    """Batches of a fit of all members."""
    return options.members * (options.iterations + (options.pretraining if has_simulated else 0))


def report_to(progress: Progress, done_before: int, total: int, what: str) -> Callable[[int, float], None]:
    """A ``tell`` for `fit_temporal_network` that reports to a progress bar."""
    return lambda done, loss: progress(done_before + done, total, f"{what}: loss {loss:.3f}")


class _Draw:
    """Draws examples: the classes alike, the objects of a class by their weight, then one of the object's."""

    def __init__(self, arrays: SequenceArrays, rows: Rows, edited_copies: float, rng: np.random.Generator) -> None:
        self.arrays = arrays
        self._rng = rng
        about = arrays.about
        self._objects: list[list[tuple[Rows, Rows]]] = []
        self._chances: list[NDArray[np.float64]] = []
        shares = []
        for number in np.unique(about.truth[rows]):
            of_class = rows[about.truth[rows] == number]
            groups = _grouped(of_class, about.objects[of_class])
            weight = np.array([float(about.weight[group[0]]) for group in groups])
            copied = [about.copied_edits[group] for group in groups]
            self._objects.append([(group[~c], group[c]) for group, c in zip(groups, copied, strict=True)])
            self._chances.append(weight / weight.sum())
            shares.append(float(np.average([about.edited[group[0]] for group in groups], weights=weight)))
        # As many edited packets in each class: that a packet was edited must not tell its class.
        wanted = max(shares) + edited_copies
        self._copy_chance = [
            (wanted - share) / (1.0 - share) if edited_copies and share < 1.0 else 0.0 for share in shares
        ]

    def __call__(self, count: int) -> Rows:
        drawn = np.empty(count, dtype=np.int64)
        for place in range(count):
            number = int(self._rng.integers(len(self._objects)))
            as_sent, copies = self._objects[number][
                self._rng.choice(len(self._chances[number]), p=self._chances[number])
            ]
            take_copy = len(copies) and self._rng.random() < self._copy_chance[number]
            pool = copies if take_copy else as_sent
            drawn[place] = pool[self._rng.integers(len(pool))]
        return drawn


def _grouped(rows: Rows, objects: NDArray[np.int64]) -> list[Rows]:
    order = np.argsort(objects, kind="stable")
    edges = np.flatnonzero(np.diff(objects[order])) + 1
    return np.split(rows[order], edges)


def _descend(
    network: keras.Model,
    sources: list[tuple[_Draw, int]],
    hideable: Hideable,
    options: TemporalFitOptions,
    iterations: int,
    rate: float,
    mixup: float,
    rng: np.random.Generator,
    tell: Callable[[int, float], None],
) -> None:
    warm_up = min(_WARM_UP, iterations // 4)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, iterations - warm_up, warmup_target=rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=options.weight_decay, use_ema=True, ema_momentum=options.averaging
    )
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=options.label_smoothing)
    network.compile(optimizer=optimizer, loss={PROBABILITIES: loss})
    one_hot = np.eye(network.outputs[0].shape[-1], dtype=np.float32)
    losses: list[float] = []
    for iteration in range(1, iterations + 1):
        drawn = [(draw.arrays, draw(count)) for draw, count in sources]
        inputs = [np.concatenate(parts) for parts in zip(*(a.inputs(rows) for a, rows in drawn), strict=True)]
        truth = one_hot[np.concatenate([arrays.about.truth[rows] for arrays, rows in drawn])]
        _hide(inputs, hideable, options, rng)
        if mixup:
            inputs, truth = _blended(inputs, truth, mixup, rng)
        losses.append(float(network.train_on_batch(inputs, {PROBABILITIES: truth})))
        if iteration % _CHECK_EVERY == 0 or iteration == iterations:
            tell(iteration, float(np.mean(losses)))
            losses.clear()
    optimizer.finalize_variable_values(network.trainable_variables)


def _hide(inputs: list[Floats], hideable: Hideable, options: TemporalFitOptions, rng: np.random.Generator) -> None:
    """Make some of what is known unknown, in place."""
    embeddings, detections, present, features = inputs
    count = len(features)

    def some(share: float) -> NDArray[np.bool_]:
        return rng.random(count) < share

    for share, which in ((options.allwise_dropout, hideable.allwise), (options.history_dropout, hideable.history)):
        features[np.ix_(some(share), which)] = hideable.unknown[which]
    features[rng.random(features.shape) < options.feature_dropout] = 0.0
    features[some(options.metadata_dropout)] = 0.0
    unstamped = some(options.stamp_dropout)
    embeddings[unstamped] = 0.0
    detections[unstamped, :, hideable.stamped] = hideable.unstamped * present[unstamped]
    detections[some(options.sequence_dropout)] = 0.0


def _blended(
    inputs: list[Floats], truth: Floats, concentration: float, rng: np.random.Generator
) -> tuple[list[Floats], Floats]:
    """Each example with a little of another: mixup, Zhang et al. 2018, arXiv:1710.09412.

    Which detections there are is the example's own, so it keeps the larger share.
    """
    share = rng.beta(concentration, concentration, size=len(truth)).astype(np.float32)
    share = np.maximum(share, 1.0 - share)
    partner = rng.permutation(len(truth))

    def blend(values: Floats) -> Floats:
        own = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(own * values + (1.0 - own) * values[partner])

    embeddings, detections, present, features = inputs
    return [blend(embeddings), blend(detections), present, blend(features)], blend(truth)
