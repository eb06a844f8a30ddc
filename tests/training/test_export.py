"""Bundles answer as the networks that they were made of."""

from pathlib import Path

import numpy as np
import pytest

from broker_plugin.bundles import Manifest, ModelSpec, NoveltySpec, load
from broker_plugin.models import Runtime
from broker_plugin.training.architecture import ARCHITECTURES, EMBEDDING, PROBABILITIES
from broker_plugin.training.export import write_bundle
from broker_plugin.training.novelty import strangeness_network
from broker_plugin.training.presets import CLASSES, PRESETS


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_bundle_of_every_network_answers_as_it_does(architecture: str, tmp_path: Path) -> None:
    preset = PRESETS["rubin"]
    features = () if architecture == "paper-2021-images" else preset.features
    spec, model = preset.stamps, ModelSpec({"float32": ""})
    novelty = NoveltySpec("test", (0.0, 100.0))
    arguments = ("a", "0.1.0", "stamp", "rubin", "", "t", "1", CLASSES, "1", spec, features, model)

    def build():  # type: ignore[no-untyped-def]
        return ARCHITECTURES[architecture](size=spec.size, channels=3, features=len(features), classes=len(CLASSES))

    network = build()
    rng = np.random.default_rng(2)
    width = network.output[EMBEDDING].shape[1]
    strangeness = strangeness_network(np.zeros(width, np.float32), np.ones(width, np.float32))
    write_bundle(tmp_path / "bundle", Manifest(*arguments, novelty=novelty), network, build, [strangeness], "")

    stamps = rng.random((5, spec.size, spec.size, 3), dtype=np.float32)
    metadata = rng.normal(size=(5, len(features))).astype(np.float32)
    outputs = Runtime("cpu").load(load(str(tmp_path / "bundle")), max_batch=3).predict(stamps, metadata)
    expected = network([stamps, metadata], training=False)[PROBABILITIES]
    np.testing.assert_allclose(outputs.probabilities, expected, atol=1e-5)
    assert outputs.novelty is not None and np.isfinite(outputs.novelty).all()
