"""A temporal model: the detections of an object in, one answer out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from broker_plugin.models.loaded import LoadedModel, Outputs

_FEWEST_ROWS = 2
"""A batch of one row is multiplied by another routine than larger ones, and gets other bits."""


class TemporalModel(LoadedModel):
    """A loaded bundle of a temporal model.  Made by `Runtime.load_temporal`.

    It is run in two steps: the trunk takes the stamps of all detections, whatever object they are of, and gives an
    embedding of each; the second network takes the embeddings of each object's detections and the rest.  So stamps are
    paid for one by one, and detections without any cost none.
    """

    def predict(
        self,
        stamps: NDArray[np.float32],
        places: NDArray[np.int64],
        detections: NDArray[np.float32],
        present: NDArray[np.float32],
        features: NDArray[np.float32],
    ) -> Outputs:
        """The model's answer for a batch of objects, of any size; see `tensors.sequences.SequenceBatch`.

        Parameters
        ----------
        stamps
            Of all detections that have any, float32, (stamps, size, size, channels), finite.
        places
            Object and detection that each belongs to, (stamps, 2).
        detections
            float32, (objects, length, features of a detection), finite.
        present
            float32, (objects, length): 1 where there is a detection.
        features
            float32, (objects, features), finite.
        """
        spec, manifest = self.bundle.manifest.model, self.bundle.manifest
        embeddings = np.zeros((*present.shape, self._embedding_size), dtype=np.float32)
        embeddings[places[:, 0], places[:, 1]] = self._embedded(stamps)
        raw = np.empty((len(present), len(manifest.classes)))
        distance = np.empty(len(present))
        for chunk in self._chunks(len(present)):
            inputs = {
                spec.embeddings_input: embeddings[chunk],
                spec.detections_input: detections[chunk],
                spec.present_input: present[chunk],
                spec.features_input: features[chunk],
            }
            rows = len(present[chunk])
            outputs = self._call(self._network, {name: _with_enough_rows(value) for name, value in inputs.items()})
            raw[chunk] = outputs[spec.probabilities_output].numpy()[:rows]
            if spec.distance_output is not None:
                distance[chunk] = outputs[spec.distance_output].numpy()[:rows]
        return self._outputs(raw, distance)

    def _embedded(self, stamps: NDArray[np.float32]) -> NDArray[np.float32]:
        spec = self.bundle.manifest.model
        embedded = np.empty((len(stamps), self._embedding_size), dtype=np.float32)
        for chunk in self._chunks(len(stamps)):
            outputs = self._call(self._trunk, {spec.stamps_input: stamps[chunk]})
            embedded[chunk] = outputs[spec.embedding_output].numpy()
        return embedded

    def _find_signatures(self) -> None:
        spec = self.bundle.manifest.model
        self._trunk = self._signature(spec.trunk_signatures, takes=(spec.stamps_input,), gives=(spec.embedding_output,))
        self._network = self._signature(
            spec.signatures,
            takes=(spec.embeddings_input, spec.detections_input, spec.present_input, spec.features_input),
            gives=(spec.probabilities_output, spec.distance_output),
        )
        self._embedding_size = int(self._trunk.structured_outputs[spec.embedding_output].shape[-1])

    def _run_zeros(self, size: int) -> None:
        manifest, sequence = self.bundle.manifest, self.bundle.manifest.sequence
        assert sequence is not None  # noqa: S101 - for the type checker: `Runtime.load_temporal` has looked
        pixels = (manifest.stamps.size, manifest.stamps.size, len(manifest.stamps.channels))
        self.predict(
            stamps=np.zeros((size, *pixels), np.float32),
            places=np.stack([np.arange(size), np.zeros(size, np.int64)], axis=1),
            detections=np.zeros((size, sequence.length, len(sequence.features)), np.float32),
            present=np.ones((size, sequence.length), np.float32),
            features=np.zeros((size, len(manifest.features)), np.float32),
        )


def _with_enough_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values if len(values) >= _FEWEST_ROWS else np.repeat(values, _FEWEST_ROWS, axis=0)
