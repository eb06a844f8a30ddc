"""Writing a bundle: the network as a SavedModel that loads without Keras, and its manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras

from broker_plugin.bundles import Manifest, ModelSpec
from broker_plugin.bundles.manifest import MANIFEST_NAME
from broker_plugin.bundles.store import SAVED_MODEL, bundle_files, file_sha256
from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES

STRANGENESS = "strangeness"
TRUNK = "trunk"
_SIGNATURES = {"float32": "serving_default", "bfloat16": "serving_bfloat16"}


def write_bundle(
    folder: Path,
    manifest: Manifest,
    network: keras.Model,
    build: Callable[[], keras.Model],
    strangeness: Sequence[keras.Model],
    model_card: str,
) -> Manifest:
    """Write SavedModel, model card and manifest to ``folder``, which is made anew.

    Parameters
    ----------
    build
        Makes the untrained network, for the signatures in other precisions.
    strangeness
        For each part of the network's embedding, in their order, what makes one number of it; their mean is the output
        ``strangeness``.  Where there is none, the bundle tells no novelty.

    Returns
    -------
    Manifest
        With the model's signatures, the versions of what made it and the digests of its files.
    """
    model = ModelSpec(
        signatures=_SIGNATURES,
        features_input="features" if manifest.features else None,
        distance_output=STRANGENESS if strangeness else None,
    )
    save = partial(_save, manifest=manifest, network=network, build=build, strangeness=strangeness)
    return _written(folder, replace(manifest, model=model), save, model_card)


def write_temporal_bundle(
    folder: Path,
    manifest: Manifest,
    trunk: keras.Model,
    network: keras.Model,
    build: Callable[[], keras.Model],
    model_card: str,
) -> Manifest:
    """Write the bundle of a temporal model; see `write_bundle`.

    Parameters
    ----------
    trunk
        From stamps to an embedding; float32 in every precision.
    network, build
        The network behind it, fitted; and what makes it untrained.
    """
    model = ModelSpec(
        signatures=_SIGNATURES,
        trunk_signatures={precision: f"{name}_{TRUNK}" for precision, name in _SIGNATURES.items()},
        embedding_output=EMBEDDING,
    )
    save = partial(_save_temporal, model=model, trunk=trunk, network=network, build=build)
    return _written(folder, replace(manifest, model=model), save, model_card)


def _written(folder: Path, manifest: Manifest, save: Callable[[Path], None], model_card: str) -> Manifest:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    save(folder / SAVED_MODEL)
    (folder / "MODEL_CARD.md").write_text(model_card, encoding="utf-8")
    files = {name: file_sha256(folder / name) for name in bundle_files(folder)}
    done = replace(manifest, versions=_versions(), files=files)
    (folder / MANIFEST_NAME).write_text(done.to_json(), encoding="utf-8")
    return done


def _save_temporal(
    path: Path, *, model: ModelSpec, trunk: keras.Model, network: keras.Model, build: Callable[[], keras.Model]
) -> None:
    import tensorflow as tf

    in_bfloat16 = _in_bfloat16(network, build)
    module = tf.Module()
    module.weights = [[variable.value for variable in part.variables] for part in (trunk, network, in_bfloat16)]

    def trunk_signature() -> Any:
        @tf.function(input_signature=[tf.TensorSpec(trunk.inputs[0].shape, tf.float32, model.stamps_input)])
        def embed(stamps):  # type: ignore[no-untyped-def]
            return {model.embedding_output: tf.cast(trunk(stamps, training=False)[EMBEDDING], tf.float32)}

        return embed

    def signature(of: keras.Model) -> Any:
        names = (model.embeddings_input, model.detections_input, model.present_input, model.features_input)
        inputs = [tf.TensorSpec(tensor.shape, tf.float32, name) for tensor, name in zip(of.inputs, names, strict=True)]

        @tf.function(input_signature=inputs)
        def serve(embeddings, detections, present, features):  # type: ignore[no-untyped-def]
            outputs = of([embeddings, detections, present, features], training=False)
            return {PROBABILITIES: tf.cast(outputs[PROBABILITIES], tf.float32)}

        return serve

    tf.saved_model.save(
        module,
        str(path),
        signatures={
            model.signatures["float32"]: signature(network),
            model.signatures["bfloat16"]: signature(in_bfloat16),
            **{name: trunk_signature() for name in model.trunk_signatures.values()},
        },
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
    )


def _in_bfloat16(network: keras.Model, build: Callable[[], keras.Model]) -> keras.Model:
    """The same network, computing in bfloat16."""
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        other = build()
    finally:
        keras.config.set_dtype_policy(before)
    other.set_weights(network.get_weights())
    return other


def _save(
    path: Path,
    *,
    manifest: Manifest,
    network: keras.Model,
    build: Callable[[], keras.Model],
    strangeness: Sequence[keras.Model],
) -> None:
    import tensorflow as tf

    size, channels = manifest.stamps.size, len(manifest.stamps.channels)
    in_bfloat16 = _in_bfloat16(network, build)
    module = tf.Module()
    # Only the weights are kept with the SavedModel: a tracked Keras model would bring its optimizer along.
    module.weights = [
        [variable.value for variable in model.variables] for model in (network, in_bfloat16, *strangeness)
    ]

    def mean_strangeness(embedding: Any) -> Any:
        parts = tf.split(tf.cast(embedding, tf.float32), len(strangeness), axis=1)
        each = [of(part, training=False)[:, 0] for of, part in zip(strangeness, parts, strict=True)]
        return tf.add_n(each) / float(len(each))

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
            return answer | {STRANGENESS: mean_strangeness(outputs[EMBEDDING])} if strangeness else answer

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
