"""What goes into a model: the tensors of a batch of alerts, as the bundle declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Identity, Reason
from broker_plugin.bundles import FeatureSpec, Manifest
from broker_plugin.packets.fields import one_line
from broker_plugin.tensors.metadata import FeatureMatrix, feature_matrix
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
    detections
        For each alert, how many detections its tensors were made of, its own included, (alerts,).
    """

    stamps: NDArray[np.float32]
    features: NDArray[np.float32]
    imputed: list[tuple[str, ...]]
    problems: dict[int, AlertError]
    detections: NDArray[np.int64]


def make_batch(alerts: Sequence[Alert], manifest: Manifest) -> TensorBatch:
    """The tensors of alerts of the bundle's survey.  Every number in them is finite.

    Nothing raises, whatever a caller's own `Alert` holds.
    """
    spec = manifest.stamps
    matrix = _features(alerts, manifest.features)
    stamps = np.zeros((len(alerts), spec.size, spec.size, len(spec.channels)), dtype=np.float32)
    problems = matrix.problems
    for row, alert in enumerate(alerts):
        try:
            fill_stamps(alert, spec, stamps[row])
        except AlertError as problem:
            # What is wrong with the images comes first: without them no metadata would help.
            problems[row] = problem
        except Exception as problem:  # noqa: BLE001 - the last line: one alert may never cost the others
            problems[row] = AlertError(Reason.CORRUPT_CUTOUT, f"the cutouts can't be read: {one_line(problem)}")
    bad = list(problems)
    stamps[bad] = 0.0
    matrix.values[bad] = 0.0
    return TensorBatch(stamps, matrix.values, matrix.imputed, problems, matrix.detections)


def _features(alerts: Sequence[Alert], features: Sequence[FeatureSpec]) -> FeatureMatrix:
    try:
        return feature_matrix(alerts, features)
    except Exception:  # noqa: BLE001 - the last line, as above
        return _features_one_by_one(alerts, features)


def _features_one_by_one(alerts: Sequence[Alert], features: Sequence[FeatureSpec]) -> FeatureMatrix:
    """The features of alerts of which some make `feature_matrix` raise; the others' bits are the same."""
    rows = []
    problems: dict[int, AlertError] = {}
    for row, alert in enumerate(alerts):
        try:
            matrix = feature_matrix([alert], features)
            if matrix.problems:
                problems[row] = matrix.problems[0]
        except Exception as problem:  # noqa: BLE001 - as above
            matrix = feature_matrix([Alert(Identity())], features)
            problems[row] = AlertError(Reason.INVALID_FIELD, f"the fields can't be read: {one_line(problem)}")
        rows.append(matrix)
    values = np.concatenate([matrix.values for matrix in rows])
    detections = np.concatenate([matrix.detections for matrix in rows])
    return FeatureMatrix(values, [matrix.imputed[0] for matrix in rows], problems, detections)
