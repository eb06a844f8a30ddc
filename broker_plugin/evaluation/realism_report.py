"""The comparison of real and simulated alerts as a page: figures, the numbers behind them, and stamps to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from broker_plugin.alert import STAMP_NAMES, Alert
from broker_plugin.evaluation.examples import Examples
from broker_plugin.evaluation.pixels import MISMATCH, STATISTICS
from broker_plugin.evaluation.realism import Comparison, Quantities, distributions
from broker_plugin.packets import read_stamp

NUMBERS_NAME = "realism.json"
PAGE_NAME = "index.html"

_REAL, _SIMULATED = "#1f6f8b", "#e07a1f"
_DRAWN_AS: tuple[dict[str, Any], dict[str, Any]] = (
    {"histtype": "stepfilled", "color": _REAL, "alpha": 0.45},
    {"histtype": "step", "color": _SIMULATED, "linewidth": 1.6},
)
_DPI = 80
_BINS = 24
_TOP = 15
_EXAMPLES = 5


def write_report(
    folder: Path,
    survey: str,
    real: tuple[Examples, Quantities],
    simulated: tuple[Examples, Quantities],
    comparison: Comparison,
) -> None:
    """Write ``index.html``, its figures as PNG, and ``realism.json``.

    Parameters
    ----------
    folder
        Made if it does not exist.
    real, simulated
        Both sides: the alerts, and what was measured of them.

    Raises
    ------
    OSError
        A file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {
        "survey": survey,
        "alerts": {"real": len(real[1]), "simulated": len(simulated[1])},
        "auc": dict(comparison.auc),
        "auc_by_class": dict(comparison.auc_by_class),
        "importance": dict(comparison.importance),
        "distributions": distributions(real[1], simulated[1]),
    }
    (folder / NUMBERS_NAME).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    figures = {
        "stamps": _stamps(real[0], simulated[0]),
        "importance": _importance(comparison),
        "metadata": _histograms(real[1], simulated[1], list(real[1].metadata)),
    }
    for stamp in STAMP_NAMES:
        names = [f"{stamp}_{statistic}" for statistic in STATISTICS]
        figures[stamp] = _histograms(real[1], simulated[1], [*names, MISMATCH] if stamp == "difference" else names)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", format="png")
    (folder / PAGE_NAME).write_text(_page(survey, numbers), encoding="utf-8")


def _figure(width_inches: float, height_inches: float) -> Figure:
    figure = Figure(figsize=(width_inches, height_inches), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _histograms(real: Quantities, simulated: Quantities, names: Sequence[str]) -> Figure:
    """A row for each quantity, a column for each class; both sides have the same area."""
    classes = sorted(set(real.classes) & set(simulated.classes))
    figure = _figure(2.4 * len(classes), 1.25 * len(names) + 0.6)
    grid = figure.subplots(len(names), len(classes), squeeze=False)
    for row, name in zip(grid, names, strict=True):
        for axes, class_name in zip(row, classes, strict=True):
            columns = [q.matrix([name])[q.classes == class_name, 0] for q in (real, simulated)]
            _draw_histogram(axes, [column[np.isfinite(column)] for column in columns])
        row[0].set_ylabel(name.replace("_", "\n", 1), fontsize=9, rotation=0, ha="right", va="center")
    for axes, class_name in zip(grid[0], classes, strict=True):
        axes.set_title(class_name, fontsize=11, fontweight="bold")
    return figure


def _draw_histogram(axes: Axes, columns: Sequence[np.ndarray]) -> None:
    axes.set_yticks([])
    axes.tick_params(labelsize=8)
    both = np.concatenate(columns)
    if not both.size:
        axes.set_xticks([])
        return
    low, high = np.percentile(both, [0.5, 99.5])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    for column, drawn_as in zip(columns, _DRAWN_AS, strict=True):
        if column.size:
            axes.hist(np.clip(column, low, high), edges.tolist(), density=True, **drawn_as)
    axes.locator_params(axis="x", nbins=4)


def _importance(comparison: Comparison) -> Figure:
    top = dict(list(comparison.importance.items())[:_TOP])
    figure = _figure(7.0, 0.28 * len(top) + 0.8)
    axes = figure.subplots()
    axes.barh(list(top), list(top.values()), color=_REAL, height=0.7)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=10, length=0)
    axes.set_xlabel("loss of AUC when it is shuffled")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def _stamps(real: Examples, simulated: Examples) -> Figure:
    """A few alerts of each class, real above simulated, each as science, template and difference."""
    classes = sorted({label.class_name for label in real.labels} & {label.class_name for label in simulated.labels})
    figure = Figure(figsize=(12.5, 1.75 * len(classes) + 0.2), dpi=_DPI)
    FigureCanvasAgg(figure)
    grid = figure.subplots(2 * len(classes), 3 * _EXAMPLES, squeeze=False)
    figure.subplots_adjust(left=0.07, right=0.998, bottom=0.005, top=0.995, wspace=0.04, hspace=0.04)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    for number, class_name in enumerate(classes):
        for row, (side, examples) in enumerate((("real", real), ("simulated", simulated)), start=2 * number):
            chosen = [
                a for a, label in zip(examples.alerts, examples.labels, strict=True) if label.class_name == class_name
            ]
            step = max(len(chosen) // _EXAMPLES, 1)
            for column, alert in enumerate(chosen[::step][:_EXAMPLES]):
                _draw_stamps(grid[row, 3 * column : 3 * column + 3], alert)
            grid[row, 0].set_ylabel(f"{class_name}\n{side}", fontsize=9, rotation=0, ha="right", va="center")
    return figure


def _draw_stamps(row: np.ndarray, alert: Alert) -> None:
    for axes, name in zip(row, STAMP_NAMES, strict=True):
        pixels = read_stamp(alert, name).pixels.astype(np.float64)
        finite = pixels[np.isfinite(pixels)]
        if not finite.size:
            continue
        sky = np.median(finite)
        noise = 1.4826 * np.median(np.abs(finite - sky)) or finite.std() or 1.0
        # Linear in the noise, logarithmic above it.
        axes.imshow(np.arcsinh((pixels - sky) / (2.0 * noise)), vmin=-1.5, vmax=4.0, origin="lower", cmap="gray")
        axes.set_facecolor("#4a5d7a")  # where there is no pixel


def _page(survey: str, numbers: Mapping[str, Any]) -> str:
    auc, by_class = numbers["auc"], numbers["auc_by_class"]
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.3f}</td></tr>"
        for name, value in (*((f"given {given}", auc[given]) for given in auc), *by_class.items())
    )
    units = "".join(f"<li><b>{escape(name)}</b>: {escape(text)}</li>" for name, text in STATISTICS.items())
    alerts = numbers["alerts"]
    figures = "".join(
        f'<h2 id="{name}">{escape(title)}</h2><p>{escape(text)}</p><img src="{name}.png" alt="{escape(title)}">'
        for name, title, text in _SECTIONS
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Real and simulated {escape(survey)} alerts</title>
<style>
body {{ font: 16px/1.45 sans-serif; max-width: 1060px; margin: 2em auto; padding: 0 1em; color: #222 }}
img {{ max-width: 100%; border: 1px solid #ddd }}
td {{ padding: 0 1.5em 0 0 }}
.real {{ color: {_REAL}; font-weight: bold }} .simulated {{ color: {_SIMULATED}; font-weight: bold }}
</style></head><body>
<h1>Real and simulated {escape(survey)} alerts</h1>
<p>{alerts["real"]:,} <span class="real">real</span> alerts, {alerts["simulated"]:,}
<span class="simulated">simulated</span> ones. Boosted trees were told to tell them apart, cross-validated by object;
the area under their ROC curve is 0.5 where they can't, 1 where they always can. Of a class, the trees given all are
meant.</p>
<table>{rows}</table>
{figures}
<h2>What is measured of the pixels</h2><ul>{units}</ul>
<p>All numbers: <a href="{NUMBERS_NAME}">{NUMBERS_NAME}</a></p>
</body></html>
"""


_SECTIONS = (
    ("stamps", "Stamps", "Science, template and difference of a few alerts of each class."),
    ("importance", "What gives a simulated alert away", "By how much the area shrinks when a quantity is shuffled."),
    ("metadata", "Metadata", "The features of the packaged classifier: real filled, simulated as a line."),
    ("science", "Science stamps", "Real filled, simulated as a line."),
    ("template", "Template stamps", "Real filled, simulated as a line."),
    ("difference", "Difference stamps", "Real filled, simulated as a line."),
)
