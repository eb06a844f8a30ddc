"""The figure of `designs`: accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from broker_plugin.training.designs import Result

_SIZE_INCHES = (11.0, 6.0)
_DPI = 130
_COLOUR = "#1f6f8b"


def write_figure(results: Sequence[Result], path: Path) -> None:
    """Draw designs by their cost and accuracy, numbered, with a key beside, and write it as PNG.

    Parameters
    ----------
    results
        Of one budget, one or more.
    """
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes, key = figure.subplots(1, 2, width_ratios=[1.15, 1.0])
    by_design = _by_design(results)
    _draw_points(axes, by_design)
    _write_key(key, by_design)
    budget = results[0].budget
    before = f"{budget.pretraining:,} batches of simulated alerts and then " if budget.pretraining else ""
    figure.suptitle(
        f"Cross-validation by object in {budget.folds} folds, test split closed; each network learned from "
        f"{before}{budget.iterations:,} batches of real alerts, with some simulated among them",
        fontsize=10,
    )
    figure.savefig(path)


def _by_design(results: Sequence[Result]) -> list[list[Result]]:
    """The results of each design, the cheapest design first."""
    names = sorted({result.design for result in results})
    groups = [[result for result in results if result.design == name] for name in names]
    return sorted(groups, key=lambda group: group[0].megaflops)


def _mean(group: Sequence[Result]) -> tuple[float, float]:
    """Balanced accuracy over the folds, and the standard error of that mean; 0 for a single fold."""
    values = np.array([result.balanced_accuracy for result in group])
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


def _draw_points(axes: Axes, by_design: Sequence[Sequence[Result]]) -> None:
    for number, group in enumerate(by_design, start=1):
        mean, error = _mean(group)
        axes.errorbar(
            group[0].megaflops, mean, error, fmt="o", markersize=13, color=_COLOUR, elinewidth=1.0, alpha=0.85
        )
        axes.annotate(
            str(number), (group[0].megaflops, mean), ha="center", va="center", color="white", fontsize=7, weight="bold"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(0.08)
    axes.grid(alpha=0.25)
    axes.set_xlabel("cost of one network, MFLOP per alert")
    axes.set_ylabel("balanced accuracy of alerts not learned from")


def _short(number: float) -> str:
    """Two or more digits, without an exponent."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _write_key(axes: Axes, by_design: Sequence[Sequence[Result]]) -> None:
    """A table of what the numbers stand for."""
    axes.axis("off")
    rows = []
    for number, group in enumerate(by_design, start=1):
        mean, error = _mean(group)
        first = group[0]
        rows.append(
            [
                str(number),
                first.design,
                _short(first.megaflops),
                f"{first.parameters / 1e3:,.0f}k",
                _short(np.median([result.microseconds for result in group])),
                f"{mean:.3f} ± {error:.3f}",
            ]
        )
    heads = ["", "design", "MFLOP", "weights", "µs", "accuracy"]
    table = axes.table(rows, colLabels=heads, loc="center", cellLoc="right", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.auto_set_column_width(list(range(len(heads))))
    table.scale(1.0, 1.35)
    for (_, column), cell in table.get_celld().items():
        cell.set_linewidth(0.4)
        if column == 1:
            cell.set_text_props(ha="left")
