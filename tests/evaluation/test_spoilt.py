"""What is made of real stamps, and is none."""

import numpy as np
import pytest

from broker_plugin.bundles import Manifest, ModelSpec, StampSpec
from broker_plugin.bundles.manifest import SCALINGS
from broker_plugin.evaluation.spoilt import SPOILINGS

STAMPS = np.random.default_rng(1).normal(size=(12, 21, 21, 3)).astype(np.float32)


def manifest(scaling: str = "scale_noise") -> Manifest:
    """Of a bundle with this scaling."""
    spec = StampSpec(("science", "template", "difference"), 21, (scaling, "crop", "nan_to_zero"))
    model = ModelSpec({"float32": ""})
    return Manifest("a", "0.1.0", "stamp", "ztf", "", "t", "1", ("a", "b"), "1", spec, (), model)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("name", SPOILINGS)
def test_every_alert_is_spoilt_in_its_own_way_and_the_same_with_the_same_seed(name: str, scaling: str) -> None:
    before = STAMPS.copy()
    made, again = (SPOILINGS[name](STAMPS, manifest(scaling), np.random.default_rng(7)) for _ in range(2))
    assert made.shape == STAMPS.shape and made.dtype == np.float32 and np.isfinite(made).all()
    np.testing.assert_array_equal(made, again)
    np.testing.assert_array_equal(STAMPS, before)
    changed = (made != STAMPS).any(axis=(1, 2, 3))
    assert changed.mean() >= 11 / 12  # another alert's stamp may be one's own


def test_shuffling_keeps_the_pixels_of_each_stamp() -> None:
    made = SPOILINGS["pixels shuffled"](STAMPS, manifest(), np.random.default_rng(7))
    np.testing.assert_array_equal(np.sort(made, axis=None), np.sort(STAMPS, axis=None))
    assert set(made[3, :, :, 1].ravel()) == set(STAMPS[3, :, :, 1].ravel())
