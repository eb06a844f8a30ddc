"""The fit itself, on a network that is small enough to fit in a moment."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES
from broker_plugin.training.augment import NO_AUGMENTATION
from broker_plugin.training.checkpoints import CheckpointError, CheckpointFile
from broker_plugin.training.dataset import Arrays
from broker_plugin.training.fit import NOT_LEARNED, FitOptions, fit_stamp_network, predict
from broker_plugin.training.learning_curve import Check
from broker_plugin.training.recipes import PUBLISHED_FIT

FEW = FitOptions(pretraining=8, iterations=10, batch_size=8, check_every=2, members=2)
STEERED = replace(PUBLISHED_FIT, iterations=6, extension=4, batch_size=8, check_every=2)


class Interrupted(Exception):
    pass


def tiny_network() -> keras.Model:
    stamps, metadata = keras.Input((5, 5, 3), name="stamps"), keras.Input((4,), name="features")
    x = keras.layers.Concatenate()([keras.layers.Flatten()(stamps), keras.layers.BatchNormalization()(metadata)])
    embedding = keras.layers.Dropout(0.5)(keras.layers.Dense(8, activation="relu", name=EMBEDDING)(x))
    probabilities = keras.layers.Dense(3, activation="softmax", name=PROBABILITIES)(embedding)
    return keras.Model([stamps, metadata], {PROBABILITIES: probabilities, EMBEDDING: embedding})


def examples(count: int, seed: int) -> Arrays:
    """Three classes that the first feature tells apart, but for its noise."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    features = rng.normal(size=(count, 4)).astype(np.float32)
    features[:, 0] += truth
    return Arrays(
        rng.normal(size=(count, 5, 5, 3)).astype(np.float32), features, truth, np.ones(count, dtype=np.float32)
    )


REAL, SIMULATED = examples(40, 1), examples(30, 2)


def fitted(
    options: FitOptions,
    *,
    folds: np.ndarray | None = None,
    checkpoints: CheckpointFile | None = None,
    resume: bool = False,
    interrupt_at: int | None = None,
) -> tuple[list[list[np.ndarray]], list[Check]]:
    """Weights of the members, and the learning curve."""
    checks: list[Check] = []

    def progress(done: int, total: int, text: str) -> None:
        if done == interrupt_at:
            raise Interrupted

    def curve(made: Sequence[Check]) -> None:
        checks[:] = made

    members = fit_stamp_network(
        tiny_network,
        REAL,
        SIMULATED if options.pretraining else None,
        np.arange(40) % 2 if folds is None else folds,
        classes=3,
        first=np.full(4, np.nan, dtype=np.float32),
        options=options,
        seed=5,
        progress=progress,
        checkpoints=checkpoints,
        resume=resume,
        curve=curve,
    )
    return [member.get_weights() for member in members], checks


def same(one: list[list[np.ndarray]], other: list[list[np.ndarray]]) -> bool:
    flat = [[array for member in members for array in member] for members in (one, other)]
    return all(np.array_equal(a, b) for a, b in zip(*flat, strict=True))


@pytest.mark.parametrize("stop", [4, 8, 14, 24])
def test_a_fit_that_was_interrupted_goes_on_as_if_nothing_had_happened(tmp_path: Path, stop: int) -> None:
    whole, curve = fitted(FEW)
    checkpoints = CheckpointFile(tmp_path / "checkpoint.npz", {"seed": 5}, every=2)
    with pytest.raises(Interrupted):
        fitted(FEW, checkpoints=checkpoints, interrupt_at=stop)
    resumed, resumed_curve = fitted(FEW, checkpoints=checkpoints, resume=True)
    assert same(whole, resumed)
    assert resumed_curve == curve


def test_so_does_one_that_is_steered_by_validation(tmp_path: Path) -> None:
    whole, curve = fitted(STEERED)
    checkpoints = CheckpointFile(tmp_path / "checkpoint.npz", {"seed": 5}, every=4)
    with pytest.raises(Interrupted):
        fitted(STEERED, checkpoints=checkpoints, interrupt_at=6)
    resumed, resumed_curve = fitted(STEERED, checkpoints=checkpoints, resume=True)
    assert same(whole, resumed)
    assert resumed_curve == curve


def test_a_finished_fit_is_not_done_again(tmp_path: Path) -> None:
    checkpoints = CheckpointFile(tmp_path / "checkpoint.npz", {"seed": 5})
    whole, _ = fitted(FEW, checkpoints=checkpoints)
    again, _ = fitted(FEW, checkpoints=checkpoints, resume=True, interrupt_at=8)
    assert same(whole, again)


def test_without_resume_a_fit_begins_anew(tmp_path: Path) -> None:
    checkpoints = CheckpointFile(tmp_path / "checkpoint.npz", {"seed": 5}, every=2)
    fitted(FEW, checkpoints=checkpoints)
    with pytest.raises(Interrupted):
        fitted(FEW, checkpoints=checkpoints, interrupt_at=4)


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    fitted(FEW, checkpoints=CheckpointFile(tmp_path / "checkpoint.npz", {"seed": 5, "options": (1, 2)}))
    other = CheckpointFile(tmp_path / "checkpoint.npz", {"seed": 6, "options": (1, 2)})
    with pytest.raises(CheckpointError, match="of another fit: seed differ"):
        fitted(FEW, checkpoints=other, resume=True)


def test_the_published_rule_goes_on_after_each_lowest_loss_and_keeps_it() -> None:
    [weights], checks = fitted(STEERED)
    best = min(checks, key=lambda check: check.validation_loss)
    assert checks[-1].iteration == max(6, best.iteration + 4)
    network = tiny_network()
    network.set_weights(weights)
    said = predict(network, REAL, np.arange(0, 40, 2))[PROBABILITIES]
    entropy = -(said * np.log(said)).sum(axis=1)
    loss = -np.log(said[np.arange(20), REAL.truth[::2]]) - 0.5 * entropy
    assert loss.mean() == pytest.approx(best.validation_loss, rel=1e-5)


def test_patience_ends_a_fit_early() -> None:
    options = replace(STEERED, iterations=1000, extension=0, patience=6, learning_rate=0.3)
    _, checks = fitted(options)
    best = min(checks, key=lambda check: check.validation_loss)
    assert checks[-1].iteration == best.iteration + 6 < 1000


def test_patience_looks_at_the_running_mean_that_would_be_kept() -> None:
    options = replace(FEW, members=1, pretraining=0, simulated_share=0.0, patience=100, averaging=0.9)
    [weights], checks = fitted(options)
    best = min(checks, key=lambda check: check.validation_loss)
    network = tiny_network()
    network.set_weights(weights)
    said = predict(network, REAL, np.arange(0, 40, 2))[PROBABILITIES]
    loss = -np.log(said[np.arange(20), REAL.truth[::2]]).mean()
    assert loss == pytest.approx(best.validation_loss, rel=1e-5)


def test_what_is_kept_for_the_test_is_not_learned_from() -> None:
    options = replace(FEW, pretraining=0, simulated_share=0.0, augmentation=NO_AUGMENTATION)
    folds = np.where(np.arange(40) < 10, NOT_LEARNED, np.arange(40) % 2)
    plain, _ = fitted(options, folds=folds)
    changed = REAL.features.copy()
    try:
        REAL.features[:10] = 1e6
        other, _ = fitted(options, folds=folds)
    finally:
        REAL.features[:] = changed
    assert same(plain, other)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        FitOptions(batch_size=0)
