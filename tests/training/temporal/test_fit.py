"""Fitting temporal networks, and the networks that can be fitted."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from broker_plugin.tensors.sequences import RawSequences
from broker_plugin.training.architecture.temporal import RECURRENCES, averaged_temporal, temporal_network
from broker_plugin.training.temporal import fit
from broker_plugin.training.temporal.examples import SequenceExamples
from broker_plugin.training.temporal.fit import (
    Hideable,
    SequenceArrays,
    TemporalFitOptions,
    fit_temporal_network,
    predict_sequences,
)

LENGTH, EMBEDDING, DETECTIONS, FEATURES = 4, 6, 3, 5
SHORT = TemporalFitOptions(pretraining=4, iterations=60, batch_size=16, members=1, averaging=0.5)


def build(recurrence: str = "gru") -> keras.Model:
    return temporal_network(
        recurrence=recurrence,
        length=LENGTH,
        embedding=EMBEDDING,
        detections=DETECTIONS,
        features=FEATURES,
        classes=3,
    )


def arrays(count: int = 60, seed: int = 0, **columns: np.ndarray) -> SequenceArrays:
    """Examples whose class shows in their first feature."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    present = np.arange(LENGTH) < rng.integers(1, LENGTH + 1, (count, 1))
    raw = RawSequences(
        detections=rng.normal(size=(count, LENGTH, DETECTIONS)) * present[..., None],
        present=present,
        latest=rng.normal(size=(count, FEATURES)),
        stamps=np.zeros((0, 3, 3, 3), np.float16),
        places=np.zeros((0, 2), np.int64),
    )
    features = rng.normal(size=(count, FEATURES)).astype(np.float32)
    features[:, 0] = truth - 1.0
    about = {
        "truth": truth,
        "weight": np.ones(count, np.float32),
        "objects": np.arange(count),
        "alert_ids": np.arange(count),
        "cut": np.zeros(count, np.int64),
        "is_last": np.ones(count, bool),
        "edited": np.zeros(count, bool),
        "copied_edits": np.zeros(count, bool),
        **columns,
    }
    return SequenceArrays(
        embeddings=rng.normal(size=(count, LENGTH, EMBEDDING)).astype(np.float32) * present[..., None],
        detections=raw.detections.astype(np.float32),
        present=present.astype(np.float32),
        features=features,
        about=SequenceExamples(raw=raw, **about),
    )


HIDEABLE = Hideable(
    history=np.array([False, True, False, False, False]),
    allwise=np.array([False, False, False, False, True]),
    unknown=np.full(FEATURES, -1.5, np.float32),
    stamped=2,
    unstamped=-2.0,
)


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_what_stands_behind_the_last_detection_changes_nothing(recurrence: str) -> None:
    keras.utils.set_random_seed(1)
    network = build(recurrence)
    given = arrays(8)
    behind = (1.0 - given.present)[..., None] * 7.0
    other = replace(given, embeddings=given.embeddings + behind, detections=given.detections + behind)
    np.testing.assert_allclose(predict_sequences(network, given), predict_sequences(network, other), atol=1e-6)


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_an_object_is_told_by_all_of_its_detections(recurrence: str) -> None:
    keras.utils.set_random_seed(1)
    network = build(recurrence)
    given = arrays(8)
    changed = given.detections.copy()
    changed[:, 0] += 1.0
    assert not np.allclose(
        predict_sequences(network, given), predict_sequences(network, replace(given, detections=changed)), atol=1e-5
    )


def test_a_fit_learns_what_there_is_to_learn() -> None:
    keras.utils.set_random_seed(1)
    network, given = build(), arrays()
    options = replace(SHORT, iterations=250, mixup=0.0, feature_dropout=0.0, metadata_dropout=0.0, dropout=0.1)
    fit_temporal_network(network, given, np.arange(40), None, HIDEABLE, options, np.random.default_rng(1))
    said = predict_sequences(network, given, np.arange(40, 60)).argmax(axis=1)
    assert (said == given.about.truth[40:60]).mean() > 0.8


def test_the_same_seed_gives_the_same_weights() -> None:
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        network, given = build(), arrays()
        fit_temporal_network(network, given, np.arange(60), arrays(30, 1), HIDEABLE, SHORT, np.random.default_rng(1))
        weights.append(network.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_examples_that_are_not_to_be_learned_from_change_nothing() -> None:
    weights = []
    for noise in (0.0, 5.0):
        keras.utils.set_random_seed(3)
        network, given = build(), arrays()
        features = given.features.copy()
        features[40:] += noise
        rows = np.arange(40)
        fit_temporal_network(
            network, replace(given, features=features), rows, None, HIDEABLE, SHORT, np.random.default_rng(1)
        )
        weights.append(network.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_edited_packets_are_as_frequent_in_every_class() -> None:
    count = 3000
    copied = np.arange(count) % 2 == 1
    truth = (np.arange(count) // 2) % 3
    edited = (truth == 0) & (np.arange(count) // 2 % 9 == 0)
    copied &= ~edited
    given = arrays(count, truth=truth, objects=np.arange(count) // 2, edited=edited, copied_edits=copied)
    draw = fit._Draw(given, np.arange(count), 0.05, np.random.default_rng(1))
    rows = draw(20_000)
    shares = [float((edited | copied)[rows[truth[rows] == number]].mean()) for number in range(3)]
    assert max(shares) - min(shares) < 0.03
    assert min(shares) > 0.2


def test_hidden_stamps_are_told_as_not_there() -> None:
    given = arrays(40)
    inputs = given.inputs(np.arange(40))
    options = replace(SHORT, stamp_dropout=1.0, sequence_dropout=0.0)
    fit._hide(inputs, HIDEABLE, options, np.random.default_rng(1))
    assert not inputs[0].any()
    np.testing.assert_array_equal(inputs[1][..., HIDEABLE.stamped], -2.0 * given.present)


def test_a_hidden_counterpart_is_one_that_nobody_has_looked_for() -> None:
    inputs = arrays(40).inputs(np.arange(40))
    options = replace(SHORT, allwise_dropout=1.0, history_dropout=0.0, feature_dropout=0.0, metadata_dropout=0.0)
    fit._hide(inputs, HIDEABLE, options, np.random.default_rng(1))
    assert (inputs[3][:, 4] == -1.5).all()
    assert (inputs[3][:, 1] != -1.5).all()


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_the_average_of_networks_is_the_mean_of_what_they_say(recurrence: str) -> None:
    networks, given = [build(recurrence) for _ in range(3)], arrays(8)
    for number, network in enumerate(networks):  # with biases, which an untrained network has not
        rng = np.random.default_rng(number)
        network.set_weights([w + rng.normal(0.0, 0.2, w.shape) for w in network.get_weights()])
    mean = np.mean([predict_sequences(network, given) for network in networks], axis=0)
    np.testing.assert_allclose(predict_sequences(averaged_temporal(networks), given), mean, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"members": 0}, {"simulated_share": 1.0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TemporalFitOptions(**wrong)
