"""Writing a bundle: the network as a SavedModel that loads without Keras, and its manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from broker_plugin.bundles import Manifest, ModelSpec, NoveltySpec
from broker_plugin.bundles.manifest import MANIFEST_NAME
from broker_plugin.bundles.store import SAVED_MODEL, bundle_files, file_sha256
from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES

DISTANCE = "distance"
_SIGNATURES = {"float32": "serving_default", "bfloat16": "serving_bfloat16"}


class EmbeddingDistance:
    """How far an alert lies from the training data: Mahalanobis distance of its embedding to the nearest class.

    One covariance for all classes (Lee et al. 2018, arXiv:1807.03888), shrunk towards the diagonal because
    the classes have hardly more members than the embedding has dimensions.

    Parameters
    ----------
    embedding
        (n, d), of the training set.
    truth
        (n,), class numbers.
    """

    def __init__(self, embedding: np.ndarray, truth: np.ndarray, shrinkage: float = 0.2) -> None:
        data = embedding.astype(np.float64)
        self.means = np.stack([data[truth == c].mean(axis=0) for c in np.unique(truth)]).astype(np.float32)
        residual = np.concatenate([data[truth == c] - data[truth == c].mean(axis=0) for c in np.unique(truth)])
        covariance = residual.T @ residual / len(residual)
        diagonal = np.diag(np.maximum(np.diag(covariance), 1e-6 * max(float(np.trace(covariance)), 1.0)))
        precision = np.linalg.inv((1.0 - shrinkage) * covariance + shrinkage * diagonal)
        self.whitening = np.linalg.cholesky(precision).astype(np.float32)  # |L^T x|^2 = x^T P x

    def of(self, embedding: np.ndarray) -> np.ndarray:
        """Distance of each row of (n, d)."""
        offset = (embedding[:, None, :] - self.means) @ self.whitening
        return np.asarray(np.sqrt((offset**2).sum(axis=2).min(axis=1)))


def novelty_of(held_out_distances: np.ndarray) -> NoveltySpec:
    """The quantiles of the distance over alerts that the network has not learned by heart, (n,)."""
    quantiles = np.quantile(held_out_distances, np.linspace(0.0, 1.0, 101))
    return NoveltySpec("mahalanobis-embedding", tuple(round(float(q), 6) for q in quantiles))


def write_bundle(
    folder: Path,
    manifest: Manifest,
    network: keras.Model,
    build: Callable[[], keras.Model],
    distances: Sequence[EmbeddingDistance],
    model_card: str,
) -> Manifest:
    """Write SavedModel, model card and manifest to ``folder``, which is made anew.

    Parameters
    ----------
    build
        Makes the untrained network, for the signatures in other precisions.
    distances
        For each part of the network's embedding, in their order; their mean is the output ``distance``.  Where there
        is none, the bundle tells no novelty.

    Returns
    -------
    Manifest
        With the model's signatures, the versions of what made it and the digests of its files.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    _save(folder / SAVED_MODEL, manifest, network, build, distances)
    (folder / "MODEL_CARD.md").write_text(model_card, encoding="utf-8")
    done = replace(
        manifest,
        model=ModelSpec(
            signatures=_SIGNATURES,
            features_input="features" if manifest.features else None,
            distance_output=DISTANCE if distances else None,
        ),
        versions=_versions(),
        files={name: file_sha256(folder / name) for name in bundle_files(folder)},
    )
    (folder / MANIFEST_NAME).write_text(done.to_json(), encoding="utf-8")
    return done


def _save(
    path: Path,
    manifest: Manifest,
    network: keras.Model,
    build: Callable[[], keras.Model],
    distances: Sequence[EmbeddingDistance],
) -> None:
    import tensorflow as tf

    size, channels = manifest.stamps.size, len(manifest.stamps.channels)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        in_bfloat16 = build()
    finally:
        keras.config.set_dtype_policy(before)
    in_bfloat16.set_weights(network.get_weights())

    module = tf.Module()
    # Only the weights are kept with the SavedModel: a tracked Keras model would bring its optimizer along.
    module.weights = [[variable.value for variable in model.variables] for model in (network, in_bfloat16)]

    def mean_distance(embedding: Any) -> Any:
        parts = tf.split(tf.cast(embedding, tf.float32), len(distances), axis=1)
        nearest = []
        for part, distance in zip(parts, distances, strict=True):
            whitened = tf.linalg.matmul(part[:, None, :] - distance.means, distance.whitening)
            nearest.append(tf.sqrt(tf.reduce_min(tf.reduce_sum(whitened**2, axis=2), axis=1)))
        return tf.add_n(nearest) / float(len(nearest))

    def signature(model: keras.Model) -> Any:
        inputs = [tf.TensorSpec((None, size, size, channels), tf.float32, "stamps")]
        if manifest.features:
            inputs.append(tf.TensorSpec((None, len(manifest.features)), tf.float32, "features"))

        @tf.function(input_signature=inputs)
        def serve(stamps, features=None):  # type: ignore[no-untyped-def]
            if features is None:
                features = tf.zeros((tf.shape(stamps)[0], 0))
            outputs = model([stamps, features], training=False)
            answer = {PROBABILITIES: tf.cast(outputs[PROBABILITIES], tf.float32)}
            return answer | {DISTANCE: mean_distance(outputs[EMBEDDING])} if distances else answer

        return serve

    tf.saved_model.save(
        module,
        str(path),
        signatures={
            _SIGNATURES["float32"]: signature(network),
            _SIGNATURES["bfloat16"]: signature(in_bfloat16),
        },
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
    )


def _versions() -> dict[str, str]:
    import tensorflow as tf

    from broker_plugin._version import __version__

    return {"broker_plugin": __version__, "keras": keras.__version__, "tensorflow": tf.__version__}
