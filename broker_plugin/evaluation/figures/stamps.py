"""Figures with stamps in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from broker_plugin.alert import AlertError
from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.figures.style import literal, new_figure
from broker_plugin.evaluation.stretch import SIGNED, stretch_of
from broker_plugin.packets import read_stamp

_MISTAKES_IN_A_ROW = 2


def mistakes_figure(answers: Answers, rows: Sequence[int]) -> Figure:
    """The stamps of these alerts as they came, with what was said of them."""
    lines = math.ceil(len(rows) / _MISTAKES_IN_A_ROW)
    figure = new_figure(12.0, 2.45 * lines)
    parts = figure.subfigures(lines, _MISTAKES_IN_A_ROW, squeeze=False, wspace=0.04).ravel()
    for part, row in zip(parts, rows, strict=False):
        alert = answers.examples.alerts[row]
        part.suptitle(literal(_title(answers, row)), fontsize=10)
        channels = answers.manifest.stamps.channels
        for axes, name in zip(part.subplots(1, len(channels), squeeze=False)[0], channels, strict=True):
            try:
                draw_stamp(axes, read_stamp(alert, name).pixels, name)
            except AlertError as problem:
                axes.set_axis_off()
                axes.text(
                    0.5, 0.5, literal(problem.detail), transform=axes.transAxes, ha="center", wrap=True, fontsize=8
                )
            axes.set_xlabel(name, fontsize=9)
    return figure


def _title(answers: Answers, row: int) -> str:
    label, probabilities, said = answers.examples.labels[row], answers.probabilities[row], answers.said[row]
    return (
        f"{answers.examples.alerts[row].identity.alert_id}   ({label.object_id})\n"
        f"true {label.class_name} (trust {label.trust}, p {probabilities[answers.truth[row]]:.2f}), "
        f"said {answers.classes[said]} (p {probabilities[said]:.2f})"
    )


def draw_stamp(axes: Axes, pixels: NDArray[np.floating], name: str) -> None:
    """A stamp, its first row at the bottom, stretched as everywhere in this package."""
    stretch = stretch_of(pixels, name)
    norm = Normalize() if stretch is None else FuncNorm((stretch, stretch.inverse), stretch.low, stretch.high)
    colours = colormaps["RdBu_r" if name == SIGNED else "viridis"].with_extremes(bad="#787878")
    axes.imshow(pixels, origin="lower", cmap=colours, norm=norm, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
