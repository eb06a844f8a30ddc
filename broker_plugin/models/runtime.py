"""Runs a bundle's SavedModel: on which device, in which precision, in chunks of which size.

TensorFlow is imported when a `Runtime` is made, not before.  Keras is never imported.
"""

from __future__ import annotations

import re
from contextlib import suppress

from broker_plugin.bundles import Bundle, BundleError
from broker_plugin.models.stamp import Model
from broker_plugin.models.temporal import TemporalModel

_DEVICE = re.compile(r"auto|cpu|gpu(:\d+)?")


class DeviceError(RuntimeError):
    """The device that was asked for is not there; the message says what is."""


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
        """Load a bundle of a stamp model, whose digests have been checked, and warm it up.

        Parameters
        ----------
        precision
            ``float32`` or another that the bundle has a signature for.
        max_batch
            Alerts that the network takes at a time; larger batches go in chunks.

        Raises
        ------
        BundleError
            It is of another kind, or the SavedModel can't be loaded, or has not the signature, inputs or outputs that
            the manifest names.
        """
        _require_kind(bundle, "stamp")
        return Model(self._tf, self.device, bundle, precision, max_batch)

    def load_temporal(self, bundle: Bundle, *, precision: str = "float32", max_batch: int = 128) -> TemporalModel:
        """`load`, of a temporal model; ``max_batch`` is of stamps for its trunk, and of objects for the rest."""
        _require_kind(bundle, "temporal")
        return TemporalModel(self._tf, self.device, bundle, precision, max_batch)

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


def _require_kind(bundle: Bundle, kind: str) -> None:
    manifest = bundle.manifest
    if manifest.kind != kind:
        raise BundleError(f"{manifest.label} is of the kind {manifest.kind}, and one of the kind {kind} is needed")
