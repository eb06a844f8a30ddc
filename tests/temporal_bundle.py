"""A bundle of an untrained temporal model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec, NoveltySpec, SequenceSpec, StampSpec
from broker_plugin.bundles.manifest import MANIFEST_NAME
from broker_plugin.bundles.store import bundle_files, file_sha256

LENGTH = 5
EMBEDDING = 8
CLASSES = ("AGN", "SN", "VS")
_HIDDEN = 600  # long enough sums for TensorFlow to multiply one row otherwise than several

_OF_EACH = (
    FeatureSpec("days_since_first", "days_since_first", std=10.0),
    FeatureSpec("days_before_last", "days_before_last", std=10.0),
    FeatureSpec("difference_mag", "difference_mag", mean=19.0, fill=19.0),
    FeatureSpec("has_stamps", "has_stamps"),
    FeatureSpec("band_is_g", "band_is_g"),
)
_OF_SURVEY = {"ztf": FeatureSpec("distnr", "distnr", clip=(0.0, 30.0)), "rubin": FeatureSpec("snr", "snr", std=10.0)}
ALLWISE = (
    FeatureSpec("w1", "allwise.w1_mag", mean=14.0, std=2.0, fill=14.0),
    FeatureSpec("w1_w2", "allwise_w1_w2"),
    FeatureSpec("allwise_found", "allwise.found"),
    FeatureSpec("allwise_looked_up", "allwise.looked_up"),
)
LATITUDE = FeatureSpec("galactic_latitude", "abs_galactic_latitude_deg", mean=45.0, std=30.0)


def write(folder: Path, survey: str = "ztf", **changes: Any) -> Path:
    """Write the bundle ``tiny-temporal-SURVEY/0.1.0``, with these changes to its manifest, and return its folder."""
    manifest = Manifest(
        name=f"tiny-temporal-{survey}",
        version="0.1.0",
        kind="temporal",
        survey=survey,
        description="An untrained network, for tests.",
        taxonomy="test",
        taxonomy_version="1.0",
        classes=CLASSES,
        preprocessing_version="1.0",
        stamps=StampSpec(channels=STAMP_NAMES, size=21),
        features=(LATITUDE, *ALLWISE),
        sequence=SequenceSpec(LENGTH, (*_OF_EACH, _OF_SURVEY[survey])),
        model=ModelSpec(
            signatures={"float32": "serving_default", "bfloat16": "serving_bfloat16"},
            distance_output="distance",
            trunk_signatures={"float32": "trunk", "bfloat16": "trunk_bfloat16"},
        ),
        novelty=NoveltySpec("test", (0.0, 5.0, 100.0)),
    )
    manifest = replace(manifest, **changes)
    _save(folder / "saved_model", manifest)
    (folder / "MODEL_CARD.md").write_text("# Untrained, for tests\n")
    files = {name: file_sha256(folder / name) for name in bundle_files(folder)}
    (folder / MANIFEST_NAME).write_text(replace(manifest, files=files).to_json())
    return folder


def _save(path: Path, manifest: Manifest) -> None:
    import tensorflow as tf

    assert manifest.sequence is not None
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Any:
        return tf.Variable(rng.normal(scale=shape[0] ** -0.5, size=shape).astype(np.float32))

    size, of_each = manifest.stamps.size, len(manifest.sequence.features)
    length, of_alert = manifest.sequence.length, len(manifest.features)
    module = tf.Module()
    module.pixels = weights(size * size * 3, EMBEDDING)
    module.each = weights(EMBEDDING + of_each, _HIDDEN)
    module.both = weights(_HIDDEN + of_alert, 16)
    module.last = weights(16, len(CLASSES))

    def trunk(dtype: Any) -> Any:
        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, "stamps")])
        def embed(stamps):  # type: ignore[no-untyped-def]
            pixels = tf.cast(tf.reshape(stamps, (-1, size * size * 3, 1)), dtype)
            # Not a matrix product: each stamp is to get the same bits in every batch.
            total = tf.reduce_sum(pixels * tf.cast(module.pixels, dtype), axis=1)
            return {"embedding": tf.cast(tf.tanh(total), tf.float32)}

        return embed

    def network(dtype: Any) -> Any:
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, length, EMBEDDING), tf.float32, "embeddings"),
                tf.TensorSpec((None, length, of_each), tf.float32, "detections"),
                tf.TensorSpec((None, length), tf.float32, "present"),
                tf.TensorSpec((None, of_alert), tf.float32, "features"),
            ]
        )
        def serve(embeddings, detections, present, features):  # type: ignore[no-untyped-def]
            each = tf.cast(tf.concat([embeddings, detections], axis=2), dtype)
            hidden = tf.tanh(tf.tensordot(each, tf.cast(module.each, dtype), 1)) * tf.cast(present, dtype)[..., None]
            both = tf.concat([tf.reduce_sum(hidden, axis=1), tf.cast(features, dtype)], axis=1)
            said = tf.tanh(tf.matmul(both, tf.cast(module.both, dtype)))
            logits = tf.cast(tf.matmul(said, tf.cast(module.last, dtype)), tf.float32)
            distance = tf.reduce_sum(tf.abs(tf.cast(both, tf.float32)), axis=1)
            return {"probabilities": tf.nn.softmax(logits), "distance": distance}

        return serve

    signatures = {
        "trunk": trunk(tf.float32),
        "trunk_bfloat16": trunk(tf.bfloat16),
        "serving_default": network(tf.float32),
        "serving_bfloat16": network(tf.bfloat16),
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
