"""Figures of what the answers rest on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from broker_plugin.evaluation.ablation import Ablated, ImageSubset
from broker_plugin.evaluation.figures.style import MAIN, OTHER, class_colour, literal, new_figure, plain
from broker_plugin.evaluation.relations import Relation
from broker_plugin.evaluation.relevance import Relevance

_REMOVED, _SHUFFLED = MAIN, "#d55e00"
_RELATIONS_IN_A_ROW = 4


def ablation_figure(accuracy: float, features: Sequence[Ablated], groups: Sequence[Ablated]) -> Figure:
    """The accuracy without each feature and group, and with it shuffled."""
    heights = [max(len(features), 1), len(groups)]
    figure = new_figure(8.0, 0.26 * sum(heights) + 2.0)
    upper, lower = figure.subplots(2, 1, height_ratios=heights, sharex=True)
    _draw_ablated(upper, accuracy, sorted(features, key=lambda one: one.shuffled))
    _draw_ablated(lower, accuracy, groups)
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.01), ncols=3, fontsize=10, frameon=False)
    lower.set_xlabel("accuracy", fontsize=11)
    return figure


def group_ablation_figure(accuracy: float, groups: Sequence[Ablated]) -> Figure:
    """The same for groups alone."""
    figure = new_figure(6.0, 0.36 * len(groups) + 1.3)
    axes = figure.add_subplot()
    _draw_ablated(axes, accuracy, groups)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=9, frameon=False)
    axes.set_xlabel("accuracy", fontsize=11)
    return figure


def _draw_ablated(axes: Axes, accuracy: float, results: Sequence[Ablated]) -> None:
    places = np.arange(len(results))
    axes.axvline(accuracy, color="black", linewidth=1.0, label=f"with all: {accuracy:.3f}")
    axes.hlines(places, [one.removed for one in results], [one.shuffled for one in results], color=OTHER, linewidth=2.0)
    axes.plot([one.removed for one in results], places, "o", color=_REMOVED, markersize=6, label="missing")
    axes.errorbar(
        [one.shuffled for one in results],
        places,
        xerr=[one.shuffled_spread for one in results],
        fmt="s",
        color=_SHUFFLED,
        markersize=5,
        elinewidth=1.0,
        label="shuffled",
    )
    axes.set_yticks(places, [one.name for one in results], fontsize=10)
    axes.set_ylim(len(results) - 0.4, -0.6)
    plain(axes, grid="both")


def image_subsets_figure(subsets: Sequence[ImageSubset]) -> Figure:
    """The accuracy with each choice of stamps: Fig. 10 of Carrasco-Davis et al. 2021."""
    figure = new_figure(8.0, 0.4 * len(subsets) + 1.0)
    axes = figure.add_subplot()
    names = [" + ".join(one.stamps) or "none, metadata alone" for one in subsets]
    places = np.arange(len(subsets))
    upper = axes.barh(places - 0.19, [one.accuracy for one in subsets], 0.36, color=MAIN, label="accuracy")
    lower = axes.barh(
        places + 0.19, [one.balanced_accuracy for one in subsets], 0.36, color=OTHER, label="balanced accuracy"
    )
    for bars in (upper, lower):
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
    axes.set_yticks(places, names, fontsize=10)
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.08)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, fontsize=10, frameon=False)
    plain(axes, grid="x")
    return figure


def relevance_figure(results: Sequence[Relevance]) -> Figure:
    """Importance of each feature in a forest, and accuracy with it and all above: Fig. 11 of the same paper."""
    figure = new_figure(9.0, 0.28 * len(results) + 1.2)
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(results))
    left.barh(places, [one.importance for one in results], color=MAIN, height=0.7)
    left.set_yticks(places, [one.feature for one in results], fontsize=10)
    left.invert_yaxis()
    left.set_xlabel("importance", fontsize=11)
    right.plot([one.cumulative_accuracy for one in results], places, "o-", color=MAIN, markersize=5)
    right.set_xlabel("accuracy with it and all above", fontsize=11)
    plain(left, grid="x")
    plain(right, grid="both")
    return figure


def relations_figure(results: Sequence[Relation], classes: Sequence[str]) -> Figure:
    """The mean probability of each class against each feature: Figs. E3 and E4 of the same paper."""
    rows = math.ceil(len(results) / _RELATIONS_IN_A_ROW)
    figure = new_figure(12.0, 2.3 * rows + 0.4)
    panels = figure.subplots(rows, _RELATIONS_IN_A_ROW, sharey=True, squeeze=False).ravel()
    for axes, one in zip(panels, results, strict=False):
        for number, name in enumerate(classes):
            axes.plot(one.values, one.probabilities[name], "o-", color=class_colour(number), markersize=3, label=name)
        axes.set_xlabel(literal(one.feature), fontsize=10)
        if one.missing:
            axes.set_title(f"{one.missing} missing", fontsize=9, color="#777777", loc="right", pad=2)
        axes.set_ylim(0.0, 1.0)
        axes.tick_params(labelsize=9)
        plain(axes, grid="both")
    for axes in panels[len(results) :]:
        axes.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(classes), fontsize=11, frameon=False)
    figure.supylabel("mean probability", fontsize=11)
    return figure
