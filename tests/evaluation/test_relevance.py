"""The forest finds the feature that tells."""

import numpy as np

from broker_plugin.evaluation.relevance import relevance


def test_the_feature_that_tells_comes_first() -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(60) % 2
    features = rng.normal(size=(60, 3)).astype(np.float32)
    features[:, 1] += 6.0 * truth
    done: list[None] = []
    found = relevance(features, truth, [str(i) for i in range(60)], ("a", "b", "c"), progress=lambda: done.append(None))
    assert found[0].feature == "b"
    assert found[0].cumulative_accuracy > 0.95
    assert abs(sum(one.importance for one in found) - 1.0) < 1e-6
    assert len(done) == 3


def test_an_object_is_in_one_fold() -> None:
    """A feature that names the object tells nothing of other objects."""
    truth = np.repeat(np.random.default_rng(2).integers(2, size=20), 10)
    number = np.repeat(np.arange(20), 10)
    found = relevance(
        number[:, None].astype(np.float32), truth, [str(i) for i in number], ("object",), progress=lambda: None
    )
    assert found[0].cumulative_accuracy < 0.9


def test_too_few_objects_for_folds() -> None:
    truth = np.array([0, 1] * 4)
    assert relevance(truth[:, None].astype(np.float32), truth, list("abcdefgh"), ("a",), progress=lambda: None) == []
