"""The TensorFlow runtime, on a small untrained bundle and on the packaged ones."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.bundles import Bundle, BundleError, load
from broker_plugin.models import DeviceError, Model, Runtime


@pytest.fixture(scope="module", params=["tiny-ztf", "stamp-ztf", "stamp-rubin"])
def bundle(request: pytest.FixtureRequest, tiny_weights: Path) -> Bundle:
    return load(request.param, tiny_weights)


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return Runtime("cpu").load(bundle, max_batch=32)


@pytest.fixture(scope="module")
def tensors(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    size = bundle.manifest.stamps.size
    brightness = rng.lognormal(1.0, 2.0, (100, 1, 1, 1))
    stamps = (brightness * rng.standard_normal((100, size, size, 3))).astype(np.float32)
    return stamps, rng.standard_normal((100, len(bundle.manifest.features)), dtype=np.float32)


def with_manifest(bundle: Bundle, **changes: object) -> Bundle:
    return replace(bundle, manifest=replace(bundle.manifest, **changes))


def test_probabilities_sum_to_one(model: Model, tensors: tuple[np.ndarray, np.ndarray]) -> None:
    outputs = model.predict(*tensors)
    assert outputs.probabilities.shape == (100, 5)
    np.testing.assert_allclose(outputs.probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert outputs.probabilities.min() >= 0.0
    assert outputs.novelty is not None
    assert ((outputs.novelty >= 0.0) & (outputs.novelty <= 1.0)).all()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 31, 32, 33, 64, 99])
def test_an_answer_does_not_depend_on_the_size_of_the_batch(
    model: Model, tensors: tuple[np.ndarray, np.ndarray], size: int
) -> None:
    stamps, features = tensors
    whole, part = model.predict(stamps, features), model.predict(stamps[:size], features[:size])
    assert np.array_equal(whole.probabilities[:size], part.probabilities)
    assert np.array_equal(whole.novelty[:size], part.novelty)


def test_an_answer_does_not_depend_on_its_neighbours(model: Model, tensors: tuple[np.ndarray, np.ndarray]) -> None:
    stamps, features = tensors[0].copy(), tensors[1].copy()
    before = model.predict(stamps, features).probabilities
    stamps[10], features[10] = 0.0, 0.0
    stamps[20], features[20] = 1.0, 1e6
    after = model.predict(stamps, features).probabilities
    others = ~np.isin(np.arange(100), (10, 20))
    assert np.array_equal(before[others], after[others])


def test_an_empty_batch_gives_an_empty_answer(model: Model, tensors: tuple[np.ndarray, np.ndarray]) -> None:
    assert model.predict(tensors[0][:0], tensors[1][:0]).probabilities.shape == (0, 5)


def test_temperature_sharpens_and_keeps_the_winner(bundle: Bundle, tensors: tuple[np.ndarray, np.ndarray]) -> None:
    runtime = Runtime("cpu")
    plain = runtime.load(with_manifest(bundle, temperature=1.0)).predict(*tensors).probabilities
    sharp = runtime.load(with_manifest(bundle, temperature=0.5)).predict(*tensors).probabilities
    np.testing.assert_allclose(sharp, plain**2 / (plain**2).sum(axis=1, keepdims=True), rtol=1e-12)
    assert (sharp.max(axis=1) >= plain.max(axis=1)).all()


def test_bfloat16_gives_nearly_the_same_answer(bundle: Bundle, model: Model, tensors: tuple[np.ndarray, ...]) -> None:
    half = Runtime("cpu").load(bundle, precision="bfloat16", max_batch=32)
    assert half.precision == "bfloat16"
    outputs = half.predict(*tensors).probabilities
    np.testing.assert_allclose(outputs, model.predict(*tensors).probabilities, atol=0.03)
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0, atol=1e-12)


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DeviceError, match=r"gpu:99 was asked for; TensorFlow sees"):
        Runtime("gpu:99")


def test_a_device_of_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="tpu"):
        Runtime("tpu")


def test_auto_takes_what_is_there() -> None:
    assert Runtime("auto").device in ("/CPU:0", "/GPU:0")


def test_a_precision_without_signature_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="'int4'; it has float32, bfloat16"):
        Runtime("cpu").load(bundle, precision="int4")


def test_a_batch_size_below_one_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="max_batch 0"):
        Runtime("cpu").load(bundle, max_batch=0)


def test_a_manifest_that_does_not_fit_the_model_is_an_error(bundle: Bundle) -> None:
    spec = replace(bundle.manifest.model, stamps_input="pictures")
    with pytest.raises(BundleError, match="the manifest wants"):
        Runtime("cpu").load(with_manifest(bundle, model=spec))


def test_a_model_for_another_number_of_features_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="does not run"):
        Runtime("cpu").load(with_manifest(bundle, features=bundle.manifest.features[:-1]))


def test_a_folder_that_is_no_saved_model_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "copy")
    (tmp_path / "copy" / "saved_model" / "saved_model.pb").write_bytes(b"garbage")
    with pytest.raises(BundleError, match="can't be loaded"):
        Runtime("cpu").load(replace(bundle, path=tmp_path / "copy"))
