"""Models: the TensorFlow runtime, the only part that imports TensorFlow at run time."""

from broker_plugin.models.runtime import DeviceError, Model, Outputs, Runtime, calibrated

__all__ = ["DeviceError", "Model", "Outputs", "Runtime", "calibrated"]
