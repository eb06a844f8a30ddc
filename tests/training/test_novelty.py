"""What tells the strange from the usual."""

from dataclasses import replace

import keras
import numpy as np

from broker_plugin.bundles import Manifest, ModelSpec, StampSpec
from broker_plugin.evaluation.spoilt import SPOILINGS
from broker_plugin.training.architecture import EMBEDDING, ring_network
from broker_plugin.training.augment import NO_AUGMENTATION, Augmentation
from broker_plugin.training.dataset import Arrays
from broker_plugin.training.fit import predict
from broker_plugin.training.novelty import KEPT_BACK, fit_strangeness, novelty_of, strangeness_of, usual_alerts

STAMPS = StampSpec(("science", "template", "difference"), 21, ("scale_noise", "crop", "nan_to_zero"))
MODEL = ModelSpec({"float32": ""})
MANIFEST = Manifest("a", "0.1.0", "stamp", "ztf", "", "t", "1", ("a", "b"), "1", STAMPS, (), MODEL)


def alerts(count: int, seed: int) -> Arrays:
    """A source in the middle of science and difference, on noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:21, :21] - 10
    source = np.exp(-(x**2 + y**2) / 8.0)[..., None] * np.array([1.0, 0.0, 1.0])
    stamps = rng.normal(size=(count, 21, 21, 3)) + rng.uniform(10, 100, (count, 1, 1, 1)) * source
    return Arrays(stamps.astype(np.float32), np.zeros((count, 0), np.float32), np.zeros(count, int), np.ones(count))


def test_what_is_spoilt_is_stranger_than_alerts_that_were_not_seen() -> None:
    keras.utils.set_random_seed(3)
    member = ring_network(size=21, channels=3, features=0, classes=5)

    def embed(arrays: Arrays) -> np.ndarray:
        return np.asarray(predict(member, arrays)[EMBEDDING])

    network = fit_strangeness(embed, alerts(300, seed=1), MANIFEST, seed=1)
    new = alerts(100, seed=2)
    usual = strangeness_of(network, embed(new))
    for name in ("pixels shuffled", "noise alone", "source off centre"):
        spoilt = replace(new, stamps=SPOILINGS[name](new.stamps, MANIFEST, np.random.default_rng(3)))
        strange = strangeness_of(network, embed(spoilt))
        assert np.median(strange) > np.quantile(usual, 0.95), name


def test_few_alerts_are_usual_in_many_forms_and_simulated_ones_of_every_class_as_well() -> None:
    real, simulated = alerts(60, seed=1), alerts(500, seed=2)
    simulated.truth[100:] = 4
    rows = np.arange(50)
    usual = usual_alerts(real, rows, simulated, Augmentation(), seed=1)
    kept = usual_alerts(real, rows, None, NO_AUGMENTATION, seed=1)
    assert len(kept) == 200 and len(usual) == 200 + 100 + 200
    known = {stamp.tobytes() for stamp in real.stamps[rows]}
    assert {stamp.tobytes() for stamp in kept.stamps} == known  # and none of those that were left out
    assert {stamp.tobytes() for stamp in usual.stamps[:50]} == known
    assert len({stamp.tobytes() for stamp in usual.stamps[50:200]} - known) > 100  # turned, mirrored, shifted


def test_some_ways_of_spoiling_are_kept_back() -> None:
    assert set(SPOILINGS) > KEPT_BACK


def test_novelty_is_a_share_of_held_out_alerts() -> None:
    quantiles = novelty_of(np.arange(1001.0)).quantiles
    assert (quantiles[0], quantiles[50], quantiles[100]) == (0.0, 500.0, 1000.0)
