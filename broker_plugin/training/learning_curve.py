"""How a fit went: its losses and scores as a table and as a figure."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CSV_NAME = "learning_curve.csv"
PNG_NAME = "learning_curve.png"
_FEW = 40  # checks of a stage of which each is marked
_ABOVE: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the examples that are held out.

    Attributes
    ----------
    stage
        What was being fitted: ``pretraining``, or ``member 1``, ``member 2``, ...
    iteration
        Batches learned from in this stage.
    loss
        Mean over the batches since the check before.
    validation_loss, validation_accuracy
        Mean loss over those held out, and the share of them that is right.
    """

    stage: str
    iteration: int
    loss: float
    validation_loss: float
    validation_accuracy: float


def write_learning_curve(folder: Path, checks: Sequence[Check]) -> None:
    """Write ``learning_curve.csv``, and ``learning_curve.png`` where matplotlib is installed."""
    with (folder / CSV_NAME).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Check)])
        table.writeheader()
        table.writerows(asdict(check) for check in checks)
    if checks and find_spec("matplotlib") is not None:
        _draw(folder / PNG_NAME, checks)


def _draw(path: Path, checks: Sequence[Check]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    losses, scores = figure.subplots(2, 1, sharex=True)
    stages = list(dict.fromkeys(check.stage for check in checks))
    before = 0
    for number, stage in enumerate(stages):
        own = [check for check in checks if check.stage == stage]
        x = [before + check.iteration for check in own]
        line: dict[str, Any] = {"lw": 1.2, "marker": "." if len(own) < _FEW else ""}
        losses.plot(x, [check.loss for check in own], color="tab:blue", label="learned from", **line)
        losses.plot(x, [check.validation_loss for check in own], color="tab:orange", label="held out", **line)
        scores.plot(x, [check.validation_accuracy for check in own], color="tab:orange", **line)
        if number % 2:
            for axes in (losses, scores):
                axes.axvspan(before, x[-1], color="0.5", alpha=0.1, lw=0)
        if len(stages) > 1:
            middle = ((before + x[-1]) / 2, 1.01)
            scores.annotate(stage, middle, xycoords=("data", "axes fraction"), ha="center", fontsize="small")
        before = x[-1]
    losses.set_ylabel("loss, nats")
    losses.legend(*[lines[:2] for lines in losses.get_legend_handles_labels()], frameon=False, ncols=2, **_ABOVE)
    scores.set_ylabel("share right of those held out")
    scores.set_xlabel("iteration")
    scores.set_xlim(0, before)
    for axes in (losses, scores):
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=120)
