"""What goes into a model: the tensors of a batch of alerts, as the bundle declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError
from broker_plugin.bundles import Manifest
from broker_plugin.tensors.metadata import feature_matrix
from broker_plugin.tensors.stamps import fill_stamps


@dataclass(frozen=True, slots=True)
class TensorBatch:
    """Tensors of a batch.

    A bad alert keeps its row, filled with zeros: the rows around it are then computed exactly as they
    would be beside a good one.

    Attributes
    ----------
    stamps
        float32, (alerts, size, size, channels).
    features
        float32, (alerts, features).
    imputed
        For each alert, names of the features that were not in its packet.
    problems
        Row number to what is wrong with that alert.
    """

    stamps: NDArray[np.float32]
    features: NDArray[np.float32]
    imputed: list[tuple[str, ...]]
    problems: dict[int, AlertError]


def make_batch(alerts: Sequence[Alert], manifest: Manifest) -> TensorBatch:
    """The tensors of alerts of the bundle's survey.  Every number in them is finite; nothing raises."""
    spec = manifest.stamps
    matrix = feature_matrix(alerts, manifest.features)
    stamps = np.zeros((len(alerts), spec.size, spec.size, len(spec.channels)), dtype=np.float32)
    problems = matrix.problems
    for row, alert in enumerate(alerts):
        try:
            fill_stamps(alert, spec, stamps[row])
        except AlertError as problem:
            # What is wrong with the images comes first: without them no metadata would help.
            problems[row] = problem
    bad = list(problems)
    stamps[bad] = 0.0
    matrix.values[bad] = 0.0
    return TensorBatch(stamps, matrix.values, matrix.imputed, problems)
