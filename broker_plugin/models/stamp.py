"""A stamp model: one alert in, one answer out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.models.loaded import LoadedModel, Outputs


class Model(LoadedModel):
    """A loaded bundle of a stamp model.  Made by `Runtime.load`."""

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
        for chunk in self._chunks(len(stamps)):
            outputs = self.run(stamps[chunk], features[chunk])
            raw[chunk] = outputs[spec.probabilities_output].numpy()
            if spec.distance_output is not None:
                distance[chunk] = outputs[spec.distance_output].numpy()
        return self._outputs(raw, distance)

    def run(self, stamps: Any, features: Any) -> dict[str, Any]:
        """The network's own outputs by name, before calibration: TensorFlow's tensors, of arrays or of tensors.

        Of a tensor that a ``tf.GradientTape`` watches, they can be differentiated.
        """
        spec = self.bundle.manifest.model
        return self._call(self._network, {spec.stamps_input: stamps, spec.features_input: features})

    def _find_signatures(self) -> None:
        spec = self.bundle.manifest.model
        self._network = self._signature(
            spec.signatures,
            takes=(spec.stamps_input, spec.features_input),
            gives=(spec.probabilities_output, spec.distance_output),
        )

    def _run_zeros(self, size: int) -> None:
        stamps, features = (np.zeros((size, *shape), np.float32) for shape in self.input_shapes)
        self.predict(stamps, features)
