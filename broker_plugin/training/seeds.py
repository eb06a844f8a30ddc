"""What a way of training is worth, rather than one network that came of it: scores over several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SEEDS_NAME = "seeds.json"
_SCORES = ("accuracy", "balanced_accuracy", "negative_log_likelihood")


def across_seeds(metrics: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation of the scores of several fits.

    Parameters
    ----------
    metrics
        `Manifest.metrics` of each fit.

    Returns
    -------
    dict
        For each split that all fits have been scored on: ``n``; and under each score, and each class in ``recall``,
        ``mean`` and ``std``, with n in its denominator, as the published figures have it.
    """
    summary: dict[str, dict[str, Any]] = {}
    for split in metrics[0]:
        of_split = [one[split] for one in metrics]
        summary[split] = {"n": of_split[0]["n"], **{name: _spread([s[name] for s in of_split]) for name in _SCORES}}
        summary[split]["recall"] = {
            class_name: _spread([s["recall"][class_name] for s in of_split]) for class_name in of_split[0]["recall"]
        }
    return summary


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 4), "std": round(float(np.std(values)), 4)}
