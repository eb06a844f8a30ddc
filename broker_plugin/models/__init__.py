"""Models: the TensorFlow runtime, the only part that imports TensorFlow at run time."""

from broker_plugin.models.loaded import LoadedModel, Outputs, calibrated
from broker_plugin.models.runtime import DeviceError, Runtime
from broker_plugin.models.stamp import Model
from broker_plugin.models.temporal import TemporalModel

__all__ = ["DeviceError", "LoadedModel", "Model", "Outputs", "Runtime", "TemporalModel", "calibrated"]
