"""Gradients against finite differences."""

from pathlib import Path

import numpy as np

from broker_plugin.bundles import load
from broker_plugin.models import Runtime
from broker_plugin.models.gradients import stamp_gradients


def test_a_gradient_is_the_slope(tiny_weights: Path) -> None:
    model = Runtime("cpu").load(load("tiny-rubin", tiny_weights), max_batch=2)
    rng = np.random.default_rng(1)
    stamps, features = (rng.normal(size=(3, *shape)).astype(np.float32) for shape in model.input_shapes)
    gradient = stamp_gradients(model, stamps, features, 1)
    assert gradient.shape == stamps.shape
    steepest = np.sqrt((gradient**2).sum(axis=(1, 2, 3), keepdims=True))
    step = (0.02 * gradient / steepest).astype(np.float32)
    ahead = model.predict(stamps + step, features).probabilities[:, 1]
    behind = model.predict(stamps - step, features).probabilities[:, 1]
    np.testing.assert_allclose(steepest.ravel(), (ahead - behind) / 0.04, rtol=0.05)
