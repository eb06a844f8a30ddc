"""How a fit went: its losses and scores as a table and as a figure."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path

CSV_NAME = "learning_curve.csv"
PNG_NAME = "learning_curve.png"


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
        labels = ("learned from", "held out") if number == 0 else (None, None)
        losses.plot(x, [check.loss for check in own], color="tab:blue", lw=1.2, label=labels[0])
        losses.plot(x, [check.validation_loss for check in own], color="tab:orange", lw=1.2, label=labels[1])
        scores.plot(x, [check.validation_accuracy for check in own], color="tab:orange", lw=1.2)
        for axes in (losses, scores):
            axes.axvspan(before, x[-1], color="0.5" if number % 2 else "1.0", alpha=0.08, lw=0)
        scores.annotate(
            stage, ((before + x[-1]) / 2, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize="small"
        )
        before = x[-1]
    losses.set_ylabel("loss, nats")
    losses.legend(loc="upper right", frameon=False)
    scores.set_ylabel("share right of those held out")
    scores.set_xlabel("iteration")
    scores.set_xlim(0, max(before, 1))
    for axes in (losses, scores):
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=120)
