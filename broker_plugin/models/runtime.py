"""Runs a bundle's SavedModel: on which device, in which precision, in chunks of which size.

TensorFlow is imported when a `Runtime` is made, not before.  Keras is never imported.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import Bundle, BundleError

_DEVICE = re.compile(r"auto|cpu|gpu(:\d+)?")


class DeviceError(RuntimeError):
    """The device that was asked for is not there; the message says what is."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """A model's answer for a batch.

    Attributes
    ----------
    probabilities
        float64, (alerts, classes), rows sum to one; NaN in a row for which the model gave no finite answer.
    novelty
        float64, (alerts,), from 0 to 1; None where the bundle does not tell it.
    """

    probabilities: NDArray[np.float64]
    novelty: NDArray[np.float64] | None


class Runtime:
    """TensorFlow, set up once for this process.

    Parameters
    ----------
    device
        ``auto`` (the first GPU if there is one, else the CPU), ``cpu``, ``gpu`` or ``gpu:N``.
    threads
        Threads that share one operation; None leaves it to TensorFlow, which takes all cores.  One is
        fastest for alerts that come one by one, and for several workers on one machine.

    Raises
    ------
    DeviceError
        That GPU is not there, or TensorFlow has already been started with another number of threads.
    ValueError
        ``device`` is not of the forms above.
    """

    def __init__(self, device: str = "auto", threads: int | None = None) -> None:
        if not _DEVICE.fullmatch(device):
            raise ValueError(f"device {device!r} is not auto, cpu, gpu or gpu:N")
        import tensorflow as tf

        self._tf = tf
        # A record that says float32 means it: on newer GPUs TensorFlow would multiply with 10 bits of mantissa.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        if threads is not None:
            self._set_threads(threads)
        self.device = self._find(device)
        """TensorFlow's name of the device: ``/CPU:0``, ``/GPU:1``."""

    def load(self, bundle: Bundle, *, precision: str = "float32", max_batch: int = 128) -> Model:
        """Load a bundle whose digests have been checked, and warm it up.

        Parameters
        ----------
        precision
            ``float32`` or another that the bundle has a signature for.
        max_batch
            Alerts that the network takes at a time; larger batches go in chunks.

        Raises
        ------
        BundleError
            The SavedModel can't be loaded, or has not the signature, inputs or outputs that the manifest names.
        """
        return Model(self._tf, self.device, bundle, precision, max_batch)

    def _set_threads(self, threads: int) -> None:
        settings = self._tf.config.threading
        wanted = (threads, 1)  # one operation after the other: a single network has hardly any to run side by side
        if (settings.get_intra_op_parallelism_threads(), settings.get_inter_op_parallelism_threads()) == wanted:
            return
        try:
            settings.set_intra_op_parallelism_threads(wanted[0])
            settings.set_inter_op_parallelism_threads(wanted[1])
        except RuntimeError as problem:
            raise DeviceError(f"threads={threads}: TensorFlow is already running with another setting") from problem

    def _find(self, device: str) -> str:
        gpus = self._tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            # Else TensorFlow takes all of a card's memory, and a broker's other stages get none; it must be the same
            # for all cards.  Where this process uses them already, it has decided for itself.
            with suppress(RuntimeError):
                self._tf.config.experimental.set_memory_growth(gpu, True)
        if device == "cpu" or (device == "auto" and not gpus):
            return "/CPU:0"
        number = int(device.partition(":")[2] or 0) if device != "auto" else 0
        if number >= len(gpus):
            found = ", ".join(f"gpu:{i}" for i in range(len(gpus))) or "no GPU"
            raise DeviceError(f"device {device} was asked for; TensorFlow sees {found}")
        return f"/GPU:{number}"


class Model:
    """A loaded bundle.  Made by `Runtime.load`."""

    def __init__(self, tf: Any, device: str, bundle: Bundle, precision: str, max_batch: int) -> None:
        manifest = bundle.manifest
        if max_batch < 1:
            raise ValueError(f"max_batch {max_batch} must be at least 1")
        if precision not in manifest.model.signatures:
            known = ", ".join(manifest.model.signatures)
            raise BundleError(f"{manifest.label} has no signature for precision {precision!r}; it has {known}")
        self.bundle = bundle
        self.precision = precision
        self._tf = tf
        self.device = device
        self.max_batch = max_batch
        try:
            with tf.device(device):
                self._loaded = tf.saved_model.load(str(bundle.saved_model))
            self._signature = self._loaded.signatures[manifest.model.signatures[precision]]
        except Exception as problem:
            raise BundleError(f"{manifest.label}: its SavedModel can't be loaded: {problem}") from problem
        self._check_signature()
        self._warm_up()

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the stamps and of the features of one alert."""
        stamps = self.bundle.manifest.stamps
        return (stamps.size, stamps.size, len(stamps.channels)), (len(self.bundle.manifest.features),)

    def predict(self, stamps: NDArray[np.float32], features: NDArray[np.float32]) -> Outputs:
        """The model's answer for a batch of tensors, of any size.

        Parameters
        ----------
        stamps
            float32, (alerts, size, size, channels), finite.
        features
            float32, (alerts, features), finite.
        """
        spec, manifest = self.bundle.manifest.model, self.bundle.manifest
        raw = np.empty((len(stamps), len(manifest.classes)))
        distance = np.empty(len(stamps))
        for start in range(0, len(stamps), self.max_batch):
            chunk = slice(start, start + self.max_batch)
            outputs = self.run(stamps[chunk], features[chunk])
            raw[chunk] = outputs[spec.probabilities_output].numpy()
            if spec.distance_output is not None:
                distance[chunk] = outputs[spec.distance_output].numpy()
        return Outputs(calibrated(raw, manifest.temperature), self._novelty(distance))

    def run(self, stamps: Any, features: Any) -> dict[str, Any]:
        """The network's own outputs by name, before calibration: TensorFlow's tensors, of arrays or of tensors.

        Of a tensor that a ``tf.GradientTape`` watches, they can be differentiated.
        """
        spec, to_tensor = self.bundle.manifest.model, self._tf.convert_to_tensor
        with self._tf.device(self.device):
            inputs = {spec.stamps_input: to_tensor(stamps)}
            if spec.features_input is not None:
                inputs[spec.features_input] = to_tensor(features)
            return self._signature(**inputs)  # type: ignore[no-any-return]

    def _novelty(self, distance: NDArray[np.float64]) -> NDArray[np.float64] | None:
        novelty = self.bundle.manifest.novelty
        if novelty is None or self.bundle.manifest.model.distance_output is None:
            return None
        return np.interp(distance, novelty.quantiles, np.linspace(0.0, 1.0, len(novelty.quantiles)))

    def _check_signature(self) -> None:
        manifest = self.bundle.manifest
        spec = manifest.model
        wanted_in = {spec.stamps_input, spec.features_input} - {None}
        has_in = set(self._signature.structured_input_signature[1])
        wanted_out = {spec.probabilities_output, spec.distance_output} - {None}
        has_out = set(self._signature.structured_outputs)
        if wanted_in != has_in or not wanted_out <= has_out:
            raise BundleError(
                f"{manifest.label}: the SavedModel takes {sorted(has_in)} and gives {sorted(has_out)}, "
                f"the manifest wants {sorted(map(str, wanted_in))} and {sorted(map(str, wanted_out))}"
            )

    def _warm_up(self) -> None:
        """Run the sizes that will occur most: the first call at a new size costs up to 100 ms."""
        manifest = self.bundle.manifest
        for size in {1, self.max_batch}:
            stamps, features = (np.zeros((size, *shape), np.float32) for shape in self.input_shapes)
            try:
                self.predict(stamps, features)
            except Exception as problem:
                raise BundleError(f"{manifest.label}: the SavedModel does not run: {problem}") from problem


def calibrated(raw: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities to the power 1/temperature, normalised: Guo et al. 2017, arXiv:1706.04599.

    Parameters
    ----------
    raw
        (n, classes), as a network gives them.
    temperature
        Above 1 for a network that is too sure, below 1 for one that is not sure enough.

    Returns
    -------
    ndarray
        (n, classes); rows sum to one, and are NaN where that has no value.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        powered = raw ** (1.0 / temperature)
        probabilities: NDArray[np.float64] = powered / powered.sum(axis=1, keepdims=True)
    probabilities[~np.isfinite(probabilities).all(axis=1)] = np.nan
    return probabilities
