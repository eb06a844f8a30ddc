"""What every loaded model is: a SavedModel on a device, checked against its manifest, warmed up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import Bundle, BundleError


@dataclass(frozen=True, slots=True)
class Outputs:
    """A model's answer for a batch: a row for each alert or object.

    Attributes
    ----------
    probabilities
        float64, (rows, classes), rows sum to one; NaN in a row for which the model gave no finite answer.
    novelty
        float64, (rows,), from 0 to 1; None where the bundle does not tell it.
    """

    probabilities: NDArray[np.float64]
    novelty: NDArray[np.float64] | None


class LoadedModel(ABC):
    """A loaded bundle.

    Attributes
    ----------
    bundle, precision, device, max_batch
        What it was loaded with; see `Runtime.load`.

    Raises
    ------
    BundleError
        The SavedModel can't be loaded, or has not the signatures, inputs or outputs that the manifest names.
    ValueError
        ``max_batch`` is below one.
    """

    def __init__(self, tf: Any, device: str, bundle: Bundle, precision: str, max_batch: int) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch {max_batch} must be at least 1")
        self.bundle = bundle
        self.precision = precision
        self.device = device
        self.max_batch = max_batch
        self._tf = tf
        self._require_precision(bundle.manifest.model.signatures)
        try:
            with tf.device(device):
                self._loaded = tf.saved_model.load(str(bundle.saved_model))
        except Exception as problem:
            raise BundleError(f"{bundle.manifest.label}: its SavedModel can't be loaded: {problem}") from problem
        self._find_signatures()
        self._warm_up()

    @abstractmethod
    def _find_signatures(self) -> None:
        """Take what is needed of the SavedModel by `_signature`."""

    @abstractmethod
    def _run_zeros(self, size: int) -> None:
        """Run a batch of this size, of zeros."""

    def _signature(self, names: Mapping[str, str], takes: Collection[str | None], gives: Collection[str | None]) -> Any:
        """The signature for this model's precision, which takes and gives at least what the manifest says."""
        self._require_precision(names)
        label, name = self.bundle.manifest.label, names[self.precision]
        if name not in self._loaded.signatures:
            raise BundleError(f"{label}: its SavedModel can't be loaded: there is no signature {name!r}")
        signature = self._loaded.signatures[name]
        wanted_in, wanted_out = set(takes) - {None}, set(gives) - {None}
        has_in, has_out = set(signature.structured_input_signature[1]), set(signature.structured_outputs)
        if wanted_in != has_in or not wanted_out <= has_out:
            raise BundleError(
                f"{label}: the SavedModel takes {sorted(has_in)} and gives {sorted(has_out)}, "
                f"the manifest wants {sorted(map(str, wanted_in))} and {sorted(map(str, wanted_out))}"
            )
        return signature

    def _call(self, signature: Any, inputs: Mapping[str | None, Any]) -> dict[str, Any]:
        """A signature's outputs by name; an input whose name is None is left out."""
        with self._tf.device(self.device):
            tensors = {name: self._tf.convert_to_tensor(value) for name, value in inputs.items() if name is not None}
            return signature(**tensors)  # type: ignore[no-any-return]

    def _chunks(self, count: int) -> Iterator[slice]:
        for start in range(0, count, self.max_batch):
            yield slice(start, min(start + self.max_batch, count))

    def _outputs(self, raw: NDArray[np.float64], distance: NDArray[np.float64]) -> Outputs:
        """The answer that a network's own outputs stand for."""
        manifest = self.bundle.manifest
        novelty = None
        if manifest.novelty is not None and manifest.model.distance_output is not None:
            quantiles = manifest.novelty.quantiles
            novelty = np.interp(distance, quantiles, np.linspace(0.0, 1.0, len(quantiles)))
        return Outputs(calibrated(raw, manifest.temperature), novelty)

    def _require_precision(self, names: Mapping[str, str]) -> None:
        if self.precision not in names:
            label, known = self.bundle.manifest.label, ", ".join(names)
            raise BundleError(f"{label} has no signature for precision {self.precision!r}; it has {known}")

    def _warm_up(self) -> None:
        """Run the sizes that will occur most: the first call at a new size costs up to 100 ms."""
        for size in {1, self.max_batch}:
            try:
                self._run_zeros(size)
            except Exception as problem:
                raise BundleError(f"{self.bundle.manifest.label}: the SavedModel does not run: {problem}") from problem


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
