"""Figures of how right answers about objects are, by what is known of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from broker_plugin.evaluation.figures.quality import draw_confusion
from broker_plugin.evaluation.figures.style import MAIN, OTHER, new_figure, plain
from broker_plugin.evaluation.intervals import Interval
from broker_plugin.evaluation.object_measurements import Against, Part
from broker_plugin.evaluation.summary import confusion_of

_SECOND = "#d55e00"


def confusions_figure(rows: dict[str, Sequence[Part]], classes: tuple[str, ...]) -> Figure:
    """A confusion matrix for each number of detections: a row of them for each choice of objects."""
    rows = {title: parts for title, parts in rows.items() if parts}
    most = max(map(len, rows.values()))
    figure = new_figure(0.7 * len(classes) * most + 1.0, (0.7 * len(classes) + 0.7) * len(rows) + 0.2)
    panels = figure.subplots(len(rows), most, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for of_row, (title, parts) in zip(panels, rows.items(), strict=True):
        for axes, part in zip(of_row, parts, strict=False):
            axes.set_axis_on()
            draw_confusion(axes, confusion_of(classes, [part.score.confusion]), font_size=9)
            axes.set_title(f"{part.name}: {part.score.accuracy.value:.1%} of {part.score.objects}", fontsize=10)
        of_row[0].set_ylabel(f"{title}\ntrue", fontsize=11)
    figure.supxlabel("said", fontsize=11)
    return figure


def gain_figure(
    same_objects: Sequence[Part], at_least: Sequence[Part], without_allwise: Sequence[Part], against: Against | None
) -> Figure:
    """Accuracy, and mean probability of the true class, against the number of detections."""
    figure = new_figure(10.0, 4.2)
    left, right = figure.subplots(1, 2)
    lines = [
        (_of_objects("the same objects", same_objects), same_objects, MAIN, "o-", 0.0),
        ("the same, without AllWISE", without_allwise, _SECOND, "s--", 0.06),
        ("all objects with so many", at_least, "#7f7f7f", "^:", -0.06),
    ]
    for title, parts, colour, style, shift in lines:
        _draw_gain(left, title, parts, [part.score.accuracy for part in parts], colour, style, shift)
        _draw_gain(right, title, parts, [part.score.probability_of_true for part in parts], colour, style, shift)
    if against is not None:
        last = against.parts[0].stamp.value
        left.axhline(last, color="black", linewidth=1.0, linestyle="--")
        left.annotate(
            f"{against.bundle}: {last:.3f}", (0.02, last), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    for axes, name in ((left, "share that is right"), (right, "mean probability of the true class")):
        names = [part.name for part in at_least]
        axes.set_xticks(range(len(names)), names)
        axes.set_xlabel("detections shown", fontsize=11)
        axes.set_ylabel(name, fontsize=11)
        plain(axes, grid="y")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=10, frameon=False)
    return figure


def parts_figure(groups: dict[str, Sequence[Part]]) -> Figure:
    """The accuracy of parts of the objects, and of the same objects with less known of them."""
    groups = {title: parts for title, parts in groups.items() if parts}
    heights = [len(parts) for parts in groups.values()]
    figure = new_figure(8.0, 0.32 * sum(heights) + 0.5 * len(groups) + 0.5)
    panels = figure.subplots(len(groups), 1, height_ratios=heights, sharex=True, squeeze=False)[:, 0]
    for axes, (title, parts) in zip(panels, groups.items(), strict=True):
        places = np.arange(len(parts))
        accuracy = [part.score.accuracy for part in parts]
        axes.errorbar(
            [each.value for each in accuracy], places, xerr=_errors(accuracy), fmt="o", color=MAIN, ecolor=OTHER,
            elinewidth=2.0, markersize=6,
        )  # fmt: skip
        axes.set_yticks(places, [f"{part.name} ({part.score.objects})" for part in parts], fontsize=10)
        axes.set_ylim(len(parts) - 0.5, -0.5)
        axes.set_title(title, fontsize=11, loc="left")
        plain(axes, grid="x")
    panels[-1].set_xlabel("share that is right", fontsize=11)
    return figure


def _of_objects(title: str, parts: Sequence[Part]) -> str:
    return f"{title} ({parts[0].score.objects})" if parts else title


def _draw_gain(
    axes: Axes,
    title: str,
    parts: Sequence[Part],
    values: Sequence[Interval],
    colour: str,
    style: str,
    shift: float,
) -> None:
    if not parts:
        return
    axes.errorbar(
        np.arange(len(parts)) + shift, [each.value for each in values], yerr=_errors(values), fmt=style, color=colour,
        markersize=5, linewidth=1.6, elinewidth=1.0, capsize=2, label=title,
    )  # fmt: skip


def _errors(values: Sequence[Interval]) -> list[list[float]]:
    """How far the intervals reach, to the left and to the right."""
    return [
        [max(each.value - each.low, 0.0) for each in values],
        [max(each.high - each.value, 0.0) for each in values],
    ]
