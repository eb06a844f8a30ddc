"""Fitting stamp networks: on simulated alerts first where there are any, then on real and simulated ones together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES, regularised_cross_entropy
from broker_plugin.training.augment import Augmentation, Batch, augmented_features, augmented_stamps, mixed
from broker_plugin.training.checkpoints import Checkpoint, CheckpointFile
from broker_plugin.training.dataset import Arrays, joined
from broker_plugin.training.learning_curve import Check

Progress = Callable[[int, int, str], None]
"""Called after each check with iterations done, iterations that are planned, and a line to show."""
Rows = NDArray[np.int64]

_CHUNK = 256  # alerts that one call of the network takes outside training
_WARM_UP = 50  # iterations in which the step of the optimiser grows to its full size
_PRETRAINING = "pretraining"
NOT_LEARNED = -1
"""Number of the fold of alerts that are kept for the test."""


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
        Share of the latter in such a batch; a class without a real alert comes from simulated ones besides.
    batch_size
        Examples in a batch.
    pretraining_rate, learning_rate
        Largest step of the optimiser before and with real alerts.
    constant_rate
        The step stays as it is; else it falls to zero along a cosine.
    beta_1, beta_2
        Of AdamW: what it keeps of the past of the gradient and of its square.
    weight_decay
        Of AdamW, which is Adam where it is 0.
    averaging
        The network that is kept is a running mean of the weights, with this share of the past at each batch; 0 takes
        the last weights.
    dropout
        Share of the units that are silent while learning.
    beta
        Weight of the entropy in the loss: 0.5 in Carrasco-Davis et al. 2021.
    label_smoothing
        How much of its certainty a label loses to all classes alike.
    augmentation
        How examples are changed.
    mixup
        Concentration of the beta distribution that blends pairs of examples where real ones are among them; 0 blends
        none.
    check_every
        Batches between two looks at alerts that are not learned from.  They steer nothing, unless:
    patience
        The fit ends when the loss of those alerts has not fallen for so many batches; 0 waits for ever.
    extension
        The fit goes on for so many batches after each lowest loss of those alerts, beyond ``iterations`` if need be.
        With either, the network that is kept is the one with the lowest loss.
    members
        Networks whose answers are averaged, each of which leaves out another share of the objects; or one network,
        which leaves out those that are held out for validation.
    """

    pretraining: int = 0
    iterations: int = 1600
    simulated_share: float = 0.15
    batch_size: int = 64
    pretraining_rate: float = 2e-3
    learning_rate: float = 1e-3
    constant_rate: bool = False
    beta_1: float = 0.9
    beta_2: float = 0.999
    weight_decay: float = 0.02
    averaging: float = 0.996
    dropout: float = 0.5
    beta: float = 0.0
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    mixup: float = 0.2
    check_every: int = 100
    patience: int = 0
    extension: int = 0
    members: int = 5

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "check_every", "members"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")

    @property
    def steered(self) -> bool:
        """Whether the alerts that are held out decide when a fit ends and which weights are kept."""
        return bool(self.patience or self.extension)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where so many examples of every batch come from: some rows of some arrays."""

    arrays: Arrays
    rows: Rows
    count: int


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stretch of a fit: one network, and what it learns from."""

    name: str
    member: int
    sources: tuple[_Source, ...]
    held_out: Rows
    rate: float
    iterations: int
    mixup: float


@dataclass(slots=True)
class _Position:
    """Where a fit stands, and the best that its present stage has seen."""

    stage: int = 0
    iteration: int = 0
    best_loss: float = float("inf")
    best_iteration: int = 0


def fit_stamp_network(
    build: Callable[[], keras.Model],
    real: Arrays,
    simulated: Arrays | None,
    folds: NDArray[np.int64],
    *,
    classes: int,
    first: NDArray[np.float32],
    options: FitOptions,
    seed: int,
    progress: Progress = lambda done, total, text: None,
    checkpoints: CheckpointFile | None = None,
    resume: bool = False,
    curve: Callable[[Sequence[Check]], None] = lambda checks: None,
) -> list[keras.Model]:
    """Train networks, each on all folds of the real alerts but one.

    All begin from the weights that the simulated alerts have given to one.  Unless `FitOptions.steered`, the fold that
    a member leaves out steers nothing in it: over all folds, what members say of alerts they have not seen is what a
    user may expect of any of them, and can be calibrated on.

    Parameters
    ----------
    build
        Makes an untrained network.
    real, simulated
        Examples; their stamps may lie on disk.
    folds
        For each real alert the number of the member that does not learn from it: one that no member has is learned
        from by all of them, and an alert with `NOT_LEARNED` is neither learned from nor looked at.
    first
        What the features of the history are for the first alert of an object, (features,); NaN for the others.
    checkpoints
        Where the state of the fit is kept, for `resume`: to go on from there, with the same result as without the
        interruption.
    curve
        Called now and then with all checks so far.

    Returns
    -------
    list of keras.Model
        The members, for `architecture.averaged`.

    Raises
    ------
    CheckpointError
        The checkpoint is of another fit.
    """
    keras.utils.clear_session()  # layers are numbered through a process, and their names are in the SavedModel
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":  # else two runs with one seed differ by how threads took turns
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    members = [build() for _ in range(options.members)]
    fit = _Fit(members, real, classes, first, options, seed, progress, checkpoints, curve)
    fit.run(_stages(real, simulated, folds, options), resume)
    return fit.members


def fit_on_simulation(
    network: keras.Model,
    simulated: Arrays,
    rows: Rows,
    *,
    first: NDArray[np.float32],
    options: FitOptions,
    seed: int,
    progress: Progress = lambda done, total, text: None,
) -> None:
    """Train one network, in place, on simulated alerts alone, for ``options.pretraining`` batches.

    Parameters
    ----------
    rows
        Those to learn from; the others are looked at now and then.
    first
        As for `fit_stamp_network`.
    """
    source = _Source(simulated, rows, options.batch_size)
    others = np.setdiff1d(np.arange(len(simulated)), rows)
    stage = _Stage(_PRETRAINING, 0, (source,), others, options.pretraining_rate, options.pretraining, 0.0)
    classes = len(np.unique(simulated.truth))
    fit = _Fit([network], simulated, classes, first, options, seed, progress, None, lambda checks: None)
    fit.run([stage], resume=False)


def predict(network: keras.Model, arrays: Arrays, rows: Rows | None = None) -> dict[str, np.ndarray]:
    """The network's outputs for all of ``arrays``, or for some rows."""
    rows = np.arange(len(arrays)) if rows is None else rows
    parts = []
    for start in range(0, len(rows), _CHUNK):
        chunk = arrays.take(rows[start : start + _CHUNK])
        parts.append(network([chunk.stamps, chunk.features], training=False))
    return {name: np.concatenate([_as_numpy(part[name]) for part in parts]) for name in parts[0]}


def _stages(real: Arrays, simulated: Arrays | None, folds: NDArray[np.int64], options: FitOptions) -> Sequence[_Stage]:
    used = folds != NOT_LEARNED
    stages = []
    everything = () if simulated is None else (_Source(simulated, np.arange(len(simulated)), options.batch_size),)
    if everything and options.pretraining:
        # Nothing is blended here: what can be simulated without end need not be stretched.
        stages.append(
            _Stage(
                _PRETRAINING, 0, everything, np.flatnonzero(used), options.pretraining_rate, options.pretraining, 0.0
            )
        )
    for member in range(options.members):
        sources = _sources(real, np.flatnonzero(used & (folds != member)), simulated, options)
        held_out = np.flatnonzero(folds == member)
        stages.append(
            _Stage(
                f"member {member + 1}",
                member,
                sources,
                held_out,
                options.learning_rate,
                options.iterations,
                options.mixup,
            )
        )
    return stages


def _sources(real: Arrays, rows: Rows, simulated: Arrays | None, options: FitOptions) -> tuple[_Source, ...]:
    """Real examples, some simulated ones of all classes, and as many as of any class of those without a real one."""
    if simulated is None:
        return (_Source(real, rows, options.batch_size),)
    never_seen = np.flatnonzero(~np.isin(simulated.truth, real.truth[rows]))
    classes = np.unique(simulated.truth)
    counts = {
        "simulated": round(options.simulated_share * options.batch_size),
        "never seen": round(options.batch_size * len(np.unique(simulated.truth[never_seen])) / len(classes)),
    }
    sources = (
        _Source(real, rows, options.batch_size - sum(counts.values())),
        _Source(simulated, np.arange(len(simulated)), counts["simulated"]),
        _Source(simulated, never_seen, counts["never seen"]),
    )
    return tuple(source for source in sources if source.count)


class _Fit:
    """A fit under way."""

    def __init__(
        self,
        members: list[keras.Model],
        real: Arrays,
        classes: int,
        first: NDArray[np.float32],
        options: FitOptions,
        seed: int,
        progress: Progress,
        checkpoints: CheckpointFile | None,
        curve: Callable[[Sequence[Check]], None],
    ) -> None:
        self.members = members
        self._real = real
        self._first = first
        self._options = options
        self._rng = np.random.default_rng(seed)
        self._progress = progress
        self._checkpoints = checkpoints
        self._curve = curve
        self._one_hot = np.eye(classes, dtype=np.float32)
        self._loss = regularised_cross_entropy(options.beta)
        self._at = _Position()
        self._best: list[np.ndarray] = []
        self._checks: list[Check] = []
        self._saved_at = 0
        self._done_before = self._planned_after = 0

    def run(self, stages: Sequence[_Stage], resume: bool) -> None:
        checkpoint = self._checkpoints.load() if self._checkpoints is not None and resume else None
        if checkpoint is not None:
            self._restore(checkpoint)
        while self._at.stage < len(stages):
            stage = stages[self._at.stage]
            self._done_before = sum(s.iterations for s in stages[: self._at.stage])
            self._planned_after = sum(s.iterations for s in stages[self._at.stage + 1 :])
            self._descend(stage, [] if checkpoint is None else checkpoint.arrays.get("optimizer", []))
            checkpoint = None
            if stage.name == _PRETRAINING:
                for member in self.members[1:]:
                    member.set_weights(self.members[0].get_weights())
            self._at, self._best = _Position(self._at.stage + 1), []
            self._save([])
        self._curve(self._checks)

    def _descend(self, stage: _Stage, optimizer_state: Sequence[np.ndarray]) -> None:
        """Learn from the batches of one stage; at the end the network holds the weights that are kept."""
        network = self.members[stage.member]
        optimizer = self._compiled(network, stage)
        if optimizer_state:
            _assign(optimizer.variables, optimizer_state)
        batches = _batches(stage.sources, self._one_hot, self._first, stage.mixup, self._options, self._rng)
        steered = self._options.steered and stage.name != _PRETRAINING
        self._saved_at = self._at.iteration
        losses: list[float] = []
        while self._at.iteration < (planned := self._planned(stage, steered)):
            self._at.iteration += 1
            stamps, features, truth, weight = next(batches)
            loss = network.train_on_batch(
                [stamps, features], {PROBABILITIES: truth}, sample_weight={PROBABILITIES: weight}
            )
            losses.append(float(loss[0]) if isinstance(loss, (list, tuple)) else float(loss))
            if self._at.iteration == planned and not steered:
                optimizer.finalize_variable_values(network.trainable_variables)
            if self._at.iteration % self._options.check_every == 0 or self._at.iteration == planned:
                self._check(stage, network, optimizer, float(np.mean(losses)), steered)
                losses.clear()
        if steered:
            network.set_weights(self._best)

    def _compiled(self, network: keras.Model, stage: _Stage) -> keras.optimizers.Optimizer:
        options = self._options
        rate: Any = stage.rate
        if not options.constant_rate:
            warm_up = min(_WARM_UP, stage.iterations // 4)
            rate = keras.optimizers.schedules.CosineDecay(
                0.0, stage.iterations - warm_up, warmup_target=stage.rate, warmup_steps=warm_up
            )
        optimizer = keras.optimizers.AdamW(
            rate,
            weight_decay=options.weight_decay,
            beta_1=options.beta_1,
            beta_2=options.beta_2,
            use_ema=options.averaging > 0,
            ema_momentum=options.averaging,
        )
        network.compile(optimizer=optimizer, loss={PROBABILITIES: self._loss, EMBEDDING: None})
        optimizer.build(network.trainable_variables)
        return optimizer

    def _planned(self, stage: _Stage, steered: bool) -> int:
        """The iteration at which the stage ends, as far as can be told now."""
        planned = stage.iterations
        if steered and self._options.extension:
            planned = max(planned, self._at.best_iteration + self._options.extension)
        if steered and self._options.patience:
            planned = min(planned, self._at.best_iteration + self._options.patience)
        return planned

    def _check(
        self, stage: _Stage, network: keras.Model, optimizer: keras.optimizers.Optimizer, loss: float, steered: bool
    ) -> None:
        """Look at the examples that are held out, and keep the state of the fit where it is time to."""
        if steered:  # what would be kept is looked at, not what is on its way
            on_its_way = network.get_weights()
            optimizer.finalize_variable_values(network.trainable_variables)
            held_out_loss, right = self._look(network, stage.held_out)
            if held_out_loss < self._at.best_loss:
                self._at.best_loss, self._at.best_iteration = held_out_loss, self._at.iteration
                self._best = network.get_weights()
            network.set_weights(on_its_way)
        else:
            held_out_loss, right = self._look(network, stage.held_out)
        self._checks.append(Check(stage.name, self._at.iteration, loss, held_out_loss, right))
        if self._checkpoints is not None and self._at.iteration - self._saved_at >= self._checkpoints.every:
            self._save(optimizer.variables)
        self._progress(
            self._done_before + self._at.iteration,
            self._done_before + self._planned(stage, steered) + self._planned_after,
            f"loss {loss:.3f}, {right:.3f} right of those held out",
        )

    def _look(self, network: keras.Model, rows: Rows) -> tuple[float, float]:
        """Mean loss over some real examples, and the share of them that is right."""
        said, truth = predict(network, self._real, rows)[PROBABILITIES], self._real.truth[rows]
        loss = _as_numpy(self._loss(self._one_hot[truth], said))
        return float(loss.mean()), float((said.argmax(axis=1) == truth).mean())

    def _save(self, optimizer_variables: Sequence[Any]) -> None:
        self._saved_at = self._at.iteration
        if self._checkpoints is None:
            return
        arrays = {f"member {i}": list(map(_as_numpy, network.variables)) for i, network in enumerate(self.members)}
        arrays |= {"optimizer": list(map(_as_numpy, optimizer_variables)), "best": self._best}
        meta = {
            "position": asdict(self._at),
            "checks": [asdict(check) for check in self._checks],
            "rng": self._rng.bit_generator.state,
        }
        self._checkpoints.save(Checkpoint(meta, arrays))
        self._curve(self._checks)

    def _restore(self, checkpoint: Checkpoint) -> None:
        for i, network in enumerate(self.members):
            _assign(network.variables, checkpoint.arrays[f"member {i}"])
        self._at = _Position(**checkpoint.meta["position"])
        self._best = list(checkpoint.arrays.get("best", []))
        self._checks = [Check(**check) for check in checkpoint.meta["checks"]]
        self._rng.bit_generator.state = checkpoint.meta["rng"]


def _batches(
    sources: Sequence[_Source],
    one_hot: NDArray[np.float32],
    first: NDArray[np.float32],
    mixup: float,
    options: FitOptions,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Endless batches of augmented examples: so many of each source, any class in it as likely as another."""
    by_class = [_rows_by_class(source) for source in sources]
    truths = (1.0 - options.label_smoothing) * one_hot + options.label_smoothing / len(one_hot)
    while True:
        drawn = []
        for source, classes in zip(sources, by_class, strict=True):
            chosen = rng.integers(len(classes), size=source.count)
            drawn.append(source.arrays.take(np.array([rng.choice(classes[c]) for c in chosen], dtype=np.int64)))
        examples = joined(*drawn)
        stamps = augmented_stamps(examples.stamps, options.augmentation, rng)
        features = augmented_features(examples.features, first, options.augmentation, rng)
        batch = (stamps, features, truths[examples.truth], examples.weight)
        yield mixed(batch, mixup, rng) if mixup else batch


def _rows_by_class(source: _Source) -> list[Rows]:
    truth = source.arrays.truth[source.rows]
    return [source.rows[truth == c] for c in np.unique(truth)]


def _as_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
