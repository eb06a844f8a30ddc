"""Tensors: from `Alert` to the arrays that a bundle's manifest declares."""

from broker_plugin.tensors.batch import TensorBatch, make_batch
from broker_plugin.tensors.light_curve import LIGHT_CURVE
from broker_plugin.tensors.metadata import DERIVED, NON_DETECTIONS, needed_fields, needs_history

__all__ = ["DERIVED", "LIGHT_CURVE", "NON_DETECTIONS", "TensorBatch", "make_batch", "needed_fields", "needs_history"]
