"""A temporal model at run time, on a small untrained one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.bundles import Bundle, BundleError, load
from broker_plugin.models import Outputs, Runtime, TemporalModel

N = 50
LENGTH = 5
Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def bundle(temporal_weights: Path) -> Bundle:
    return load("tiny-temporal-ztf", temporal_weights)


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> TemporalModel:
    return Runtime("cpu").load_temporal(bundle, max_batch=16)


@pytest.fixture(scope="module")
def tensors(bundle: Bundle) -> Tensors:
    """Objects with one to all detections, two thirds of them with stamps; the last object has no stamps at all."""
    rng = np.random.default_rng(2)
    manifest = bundle.manifest
    present = (np.arange(LENGTH) < rng.integers(1, LENGTH + 1, size=N)[:, None]).astype(np.float32)
    stamped = present.astype(bool) & (rng.random(present.shape) < 0.67)
    stamped[-1] = False
    places = np.argwhere(stamped)
    of_each = len(manifest.sequence.features)
    return {
        "stamps": rng.normal(size=(len(places), 21, 21, 3)).astype(np.float32),
        "places": places,
        "detections": (rng.normal(size=(N, LENGTH, of_each)) * present[..., None]).astype(np.float32),
        "present": present,
        "features": rng.normal(size=(N, len(manifest.features))).astype(np.float32),
    }


def some(tensors: Tensors, rows: list[int]) -> Tensors:
    """The tensors of a batch of these objects alone, in this order."""
    picked = [(place, rows.index(row), slot) for place, (row, slot) in enumerate(tensors["places"]) if row in rows]
    stamps = tensors["stamps"][[place for place, _, _ in picked]]
    places = np.array([(row, slot) for _, row, slot in picked], dtype=np.int64).reshape(-1, 2)
    return {name: values[rows] for name, values in tensors.items()} | {"stamps": stamps, "places": places}


def same(one: Outputs, other: Outputs) -> bool:
    return np.array_equal(one.probabilities, other.probabilities) and np.array_equal(one.novelty, other.novelty)


def test_each_object_has_probabilities_and_a_novelty(model: TemporalModel, tensors: Tensors) -> None:
    outputs = model.predict(**tensors)
    assert outputs.probabilities.shape == (N, 3)
    np.testing.assert_allclose(outputs.probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert ((outputs.novelty >= 0.0) & (outputs.novelty <= 1.0)).all()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 15, 16, 17, 32, 33])
def test_an_answer_does_not_depend_on_the_size_of_the_batch(model: TemporalModel, tensors: Tensors, size: int) -> None:
    whole, part = model.predict(**tensors), model.predict(**some(tensors, list(range(size))))
    assert same(Outputs(whole.probabilities[:size], whole.novelty[:size]), part)


def test_an_object_alone_has_the_same_answer_as_among_others(model: TemporalModel, tensors: Tensors) -> None:
    whole = model.predict(**tensors)
    for row in range(N):
        alone = model.predict(**some(tensors, [row]))
        assert same(Outputs(whole.probabilities[[row]], whole.novelty[[row]]), alone)


def test_the_order_of_stamps_and_objects_is_kept(model: TemporalModel, tensors: Tensors) -> None:
    backwards = model.predict(**some(tensors, list(range(N))[::-1]))
    whole = model.predict(**tensors)
    assert np.array_equal(backwards.probabilities[::-1], whole.probabilities)


def test_stamps_count(model: TemporalModel, tensors: Tensors) -> None:
    without = {**tensors, "stamps": tensors["stamps"][:0], "places": tensors["places"][:0]}
    changed = (model.predict(**without).probabilities != model.predict(**tensors).probabilities).any(axis=1)
    assert np.array_equal(np.unique(tensors["places"][:, 0]), np.flatnonzero(changed))


def test_an_empty_batch_has_an_empty_answer(model: TemporalModel, tensors: Tensors) -> None:
    assert model.predict(**some(tensors, [])).probabilities.shape == (0, 3)


def test_bfloat16_gives_nearly_the_same_answer(bundle: Bundle, model: TemporalModel, tensors: Tensors) -> None:
    half = Runtime("cpu").load_temporal(bundle, precision="bfloat16", max_batch=16)
    difference = half.predict(**tensors).probabilities - model.predict(**tensors).probabilities
    assert 0.0 < np.abs(difference).max() < 0.1


def test_a_precision_that_the_trunk_lacks_is_an_error(bundle: Bundle) -> None:
    spec = replace(bundle.manifest.model, trunk_signatures={"float32": "trunk"})
    lacking = replace(bundle, manifest=replace(bundle.manifest, model=spec))
    with pytest.raises(BundleError, match="'bfloat16'; it has float32"):
        Runtime("cpu").load_temporal(lacking, precision="bfloat16")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embeddings_input": "pictures"}, "the manifest wants .*pictures"),
        ({"embedding_output": "vector"}, "the manifest wants .*vector"),
        ({"trunk_signatures": {"float32": "nonesuch"}}, "there is no signature 'nonesuch'"),
    ],
)
def test_a_manifest_that_does_not_fit_the_model_is_an_error(bundle: Bundle, change: dict, said: str) -> None:
    spec = replace(bundle.manifest.model, **change)
    with pytest.raises(BundleError, match=said):
        Runtime("cpu").load_temporal(replace(bundle, manifest=replace(bundle.manifest, model=spec)))


def test_a_model_of_other_detections_is_an_error(bundle: Bundle) -> None:
    blind = replace(bundle.manifest, sequence=replace(bundle.manifest.sequence, features=()))
    with pytest.raises(BundleError, match="does not run"):
        Runtime("cpu").load_temporal(replace(bundle, manifest=blind))


def test_a_model_of_the_other_kind_is_an_error(bundle: Bundle, tiny_weights: Path) -> None:
    with pytest.raises(BundleError, match=r"tiny-temporal-ztf/0.1.0 is of the kind temporal, and one .* stamp"):
        Runtime("cpu").load(bundle)
    with pytest.raises(BundleError, match="of the kind stamp, and one of the kind temporal is needed"):
        Runtime("cpu").load_temporal(load("tiny-ztf", tiny_weights))
