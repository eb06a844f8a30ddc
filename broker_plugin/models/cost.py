"""The arithmetic that a model takes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from broker_plugin.models.stamp import Model


def megaflops(model: Model) -> float:
    """Millions of floating-point operations for one alert, as TensorFlow's profiler counts them.

    A multiplication and the addition that follows are two.  Counted in the graph of the SavedModel, with its variables
    turned to constants so that every operation stands in one graph.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tensorflow.python.profiler import model_analyzer, option_builder

    function = tf.function(model.run).get_concrete_function(
        *(tf.TensorSpec((1, *shape)) for shape in model.input_shapes)
    )
    graph = convert_variables_to_constants_v2(function).graph
    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    with _without_warnings():  # the profiler uses what TensorFlow itself calls deprecated
        return float(model_analyzer.profile(graph, options=options).total_float_ops) / 1e6


@contextmanager
def _without_warnings() -> Iterator[None]:
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
