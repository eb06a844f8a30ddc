"""What a network costs: operations and time."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np

_BATCH = 128
_ROUNDS = 7


def megaflops(network: keras.Model) -> float:
    """Floating-point operations for one alert, in millions, as TensorFlow's profiler counts them.

    A multiplication and an addition are two.
    """
    from tensorflow.python.profiler import model_analyzer, option_builder

    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return float(model_analyzer.profile(_compiled(network, 1).graph, options=options).total_float_ops) / 1e6


def microseconds(network: keras.Model) -> float:
    """Time for one alert in batches of 128 on the CPU, the shortest of several rounds.

    It is that of one core if TensorFlow was given one thread.
    """
    import tensorflow as tf

    rng = np.random.default_rng(1)
    with tf.device("/CPU:0"):
        answer = _compiled(network, _BATCH)
        inputs = [tf.constant(rng.random((_BATCH, *each.shape[1:]), dtype=np.float32)) for each in network.inputs]
        answer(*inputs)
        seconds = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            answer(*inputs)
            seconds.append(time.perf_counter() - start)
    return min(seconds) / _BATCH * 1e6


def _compiled(network: keras.Model, batch: int) -> Any:
    """The network as a graph for batches of this size."""
    import tensorflow as tf

    function = tf.function(lambda stamps, features: network([stamps, features], training=False))
    return function.get_concrete_function(*(tf.TensorSpec((batch, *each.shape[1:])) for each in network.inputs))
