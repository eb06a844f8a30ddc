"""The published network in a graph of TensorFlow 1, for what is imported to be held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


class PublishedNetwork:
    """The network of the published code with random weights, in ops as plain as can be.

    Parameters
    ----------
    features
        23, 26, or 0 for stamps alone.
    scope
        Goes before the names of all variables.
    """

    def __init__(self, features: int, kernel: int = 3, scope: str = "network", seed: int = 5) -> None:
        self._rng = np.random.default_rng(seed)
        self._graph = tf.Graph()
        self._scope = scope
        with self._graph.as_default():
            v1.set_random_seed(seed)  # needed where another test has asked TensorFlow for determinism
            self._stamps = v1.placeholder(tf.float32, (None, 21, 21, 3))
            self._features = v1.placeholder(tf.float32, (None, features))
            self._probabilities = tf.nn.softmax(self._logits(features, kernel))
            self._add_slots()
            self._session = v1.Session(graph=self._graph)
            self._session.run(v1.global_variables_initializer())

    def probabilities(self, stamps: np.ndarray, features: np.ndarray) -> np.ndarray:
        """What the original says, (n, 5)."""
        inputs = {self._stamps: stamps, self._features: features}
        return np.asarray(self._session.run(self._probabilities, inputs))

    def save(self, prefix: Path, without: str = "nothing") -> Path:
        """Write a checkpoint as `tf.train.Saver` does, less the variables whose names begin so."""
        with self._graph.as_default():
            kept = [v for v in v1.global_variables() if not v.op.name.startswith(f"{self._scope}/{without}")]
            return Path(v1.train.Saver(kept).save(self._session, str(prefix)))

    def _variable(self, name: str, values: np.ndarray) -> Any:
        return v1.get_variable(f"{self._scope}/{name}", initializer=values.astype(np.float32))

    def _kernel_and_bias(self, name: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
        scale = np.sqrt(2.0 / np.prod(shape[:-1]))
        kernel = self._variable(f"{name}/kernel", self._rng.normal(scale=scale, size=shape))
        return kernel, self._variable(f"{name}/bias", self._rng.normal(scale=0.1, size=shape[-1]))

    def _conv(self, x: Any, name: str, side: int, filters: int, padding: str = "SAME") -> Any:
        kernel, bias = self._kernel_and_bias(f"{name}/conv2d", (side, side, int(x.shape[-1]), filters))
        return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, padding) + bias)

    def _dense(self, x: Any, name: str, units: int = 64) -> Any:
        kernel, bias = self._kernel_and_bias(name, (int(x.shape[-1]), units))
        return x @ kernel + bias

    def _batch_norm(self, x: Any, name: str) -> Any:
        size = int(x.shape[-1])
        gamma = self._variable(f"{name}/gamma", self._rng.uniform(0.5, 1.5, size))
        beta = self._variable(f"{name}/beta", self._rng.normal(size=size))
        mean = self._variable(f"{name}/moving_mean", self._rng.normal(size=size))
        variance = self._variable(f"{name}/moving_variance", self._rng.uniform(0.5, 1.5, size))
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)

    def _logits(self, features: int, kernel: int) -> Any:
        turned = tf.concat([tf.image.rot90(self._stamps, k) for k in range(4)], axis=0)
        x = tf.pad(turned, [[0, 0], [3, 3], [3, 3], [0, 0]])
        x = self._conv(x, "conv_1_1", 4, 32, "VALID")
        x = tf.nn.max_pool2d(self._conv(x, "conv_2_2", kernel, 32), 2, 2, "VALID")
        x = self._conv(self._conv(x, "conv_3_4", kernel, 64), "conv_4_5", kernel, 64)
        x = tf.nn.max_pool2d(self._conv(x, "conv_5_6", kernel, 64), 2, 2, "VALID")
        x = tf.reshape(x, (-1, 6 * 6 * 64))
        if not features:
            x = tf.nn.relu(self._dense(x, "dense_1_9/dense_1_9"))
            x = tf.nn.relu(self._dense(x, "dense_2_10/dense_2_10"))
            return self._dense(self._cyclic_mean(x), "output_logits", 5)
        x = self._cyclic_mean(tf.nn.relu(self._dense(x, "dense_1_10/dense_1_10")))
        x = tf.concat([x, self._batch_norm(self._features, "batchnorm_features")], axis=1)
        x = tf.nn.relu(self._dense(x, "dense_2_12/dense_2_12"))
        x = tf.nn.relu(self._dense(x, "dense_3_13/dense_3_13"))
        return self._dense(x, "output_logits", 5)

    @staticmethod
    def _cyclic_mean(x: Any) -> Any:
        return tf.reduce_mean(tf.reshape(x, (4, -1, 64)), axis=0)

    def _add_slots(self) -> None:
        """What an optimiser and a running mean of the weights leave in a checkpoint."""
        weights = v1.global_variables()
        for weight in weights:
            for slot in ("Adam", "Adam_1", "ExponentialMovingAverage"):
                v1.get_variable(f"{weight.op.name}/{slot}", shape=weight.shape)
        for name in ("beta1_power", "global_step"):
            v1.get_variable(name, initializer=np.float32(1.0))
