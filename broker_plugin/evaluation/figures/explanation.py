"""The figure that explains an answer."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from broker_plugin.evaluation.explanation import Explanation
from broker_plugin.evaluation.figures.stamps import draw_stamp
from broker_plugin.evaluation.figures.style import literal, new_figure, plain

_FOR, _AGAINST = "#b2182b", "#2166ac"  # the ends of the maps' colours
_MOST_FEATURES = 24
_SHOWN_PERCENTILE = 99.8  # of a map's pixels; a single one must not fade all others


def explanation_figure(explained: Explanation, title: str) -> Figure:
    """Each stamp with its maps, a row each, and the effects of the features beside them."""
    figure = new_figure(13.5, 3.0 * len(explained.stamps) + 1.0)
    figure.suptitle(literal(title), fontsize=13)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(2.1, 1.0), wspace=0.03)[0]
    panels = left.subplots(len(explained.stamps), 3, squeeze=False)
    for column, heading in enumerate(("as the network sees it", "occlusion", "integrated gradients")):
        panels[0, column].set_title(heading, fontsize=12, fontweight="bold")
    occlusions = [stamp.occlusion for stamp in explained.stamps]
    gradients = [stamp.integrated_gradients for stamp in explained.stamps]
    for row, stamp in zip(panels, explained.stamps, strict=True):
        draw_stamp(row[0], stamp.pixels, stamp.name)
        row[0].set_ylabel(stamp.name, fontsize=12, fontweight="bold")
        row[0].set_xlabel(f"if blank: {-stamp.effect:+.3f}", fontsize=10)
        _draw_map(row[1], stamp.occlusion, _reach(occlusions))
        _draw_map(row[2], stamp.integrated_gradients, _reach(gradients))
        row[2].set_xlabel(f"sum {stamp.integrated_gradients.sum():+.3f}", fontsize=10)
    for column in (1, 2):
        bar = left.colorbar(panels[0, column].images[0], ax=panels[:, column], location="bottom", shrink=0.9, aspect=30)
        bar.ax.tick_params(labelsize=9)
        bar.ax.locator_params(nbins=3)
        bar.set_label(f"red: for {explained.class_name}", fontsize=10)
    _draw_features(right.add_subplot(), explained)
    return figure


def _reach(maps: list[NDArray[np.float64]]) -> float:
    return max(float(np.percentile(np.abs(np.stack(maps)), _SHOWN_PERCENTILE)), 1e-6)


def _draw_map(axes: Axes, values: NDArray[np.float64], reach: float) -> None:
    axes.imshow(values, origin="lower", cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_features(axes: Axes, explained: Explanation) -> None:
    shown = explained.features[:_MOST_FEATURES]
    effects = [one.effect for one in shown]
    axes.set_title("metadata", fontsize=12, fontweight="bold")
    axes.barh(range(len(shown)), effects, color=[_FOR if effect > 0 else _AGAINST for effect in effects], height=0.7)
    names = [f"{one.name} = " + ("missing" if one.value is None else f"{one.value:.4g}") for one in shown]
    axes.set_yticks(range(len(shown)), [literal(name) for name in names], fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0.0, color="black", linewidth=0.8)
    reach = 1.1 * max((abs(effect) for effect in effects), default=0.0) or 1.0
    axes.set_xlim(-reach, reach)
    axes.locator_params(axis="x", nbins=3)
    axes.invert_yaxis()
    axes.set_xlabel("adds to the probability", fontsize=10)
    plain(axes, grid="x")
