"""Gradients of a model's answer, through its SavedModel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.models.stamp import Model


def stamp_gradients(
    model: Model, stamps: NDArray[np.float32], features: NDArray[np.float32], class_number: int
) -> NDArray[np.float64]:
    """The gradient of a class's calibrated probability by each pixel.

    Parameters
    ----------
    stamps, features
        As for `Model.predict`; taken in chunks as there.

    Returns
    -------
    ndarray
        float64, the shape of ``stamps``: change of probability per unit of the pixel.
    """
    import tensorflow as tf

    def probability(pixels: Any, metadata: Any) -> Any:
        raw = model.run(pixels, metadata)[model.bundle.manifest.model.probabilities_output]
        # As `calibrated`, whose powers can't be taken of zero here: their gradient is infinite.
        log_raw = tf.math.log(tf.maximum(raw, 1e-30))
        return tf.nn.softmax(log_raw / model.bundle.manifest.temperature)[:, class_number]

    gradients = []
    for start in range(0, len(stamps), model.max_batch):
        chunk = slice(start, start + model.max_batch)
        pixels = tf.constant(stamps[chunk])
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            said = probability(pixels, tf.constant(features[chunk]))
        gradients.append(tape.gradient(said, pixels).numpy().astype(np.float64))
    return np.concatenate(gradients)
