"""Figures of how right the answers are, and how much their probabilities mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.calibration import Calibration
from broker_plugin.evaluation.figures.style import MAIN, OTHER, class_colour, new_figure, plain
from broker_plugin.evaluation.novelty import Strange
from broker_plugin.evaluation.roc import FALSE_POSITIVE_RATE, Roc
from broker_plugin.evaluation.summary import Confusion

_HIGHEST_FALSE_POSITIVE_RATE = 0.25  # nobody follows up more false alarms than that
_PROBABILITY_BINS = np.linspace(0.0, 1.0, 21)


def confusion_figure(matrix: Confusion) -> Figure:
    """Shares of each true class, with counts: Fig. 4 of Carrasco-Davis et al. 2021."""
    classes = len(matrix.classes)
    figure = new_figure(1.15 * classes + 1.2, 1.0 * classes + 0.9)
    axes = figure.add_subplot()
    draw_confusion(axes, matrix)
    axes.set_xlabel("said", fontsize=12)
    axes.set_ylabel("true", fontsize=12)
    return figure


def draw_confusion(axes: Axes, matrix: Confusion, font_size: float = 11) -> None:
    """The matrix itself."""
    axes.imshow(np.nan_to_num(matrix.mean), cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(matrix.counts.shape):
        mean, count = matrix.mean[row, column], matrix.counts[row, column]
        if np.isnan(mean):
            text = "-"
        elif matrix.bundles > 1:
            text = f"{mean:.2f}\n$\\pm$ {matrix.spread[row, column]:.2f}\n({count})"
        else:
            text = f"{mean:.2f}\n({count})"
        colour = "white" if mean > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=font_size, color=colour)
    places, totals = range(len(matrix.classes)), matrix.counts.sum(axis=1)
    axes.set_xticks(places, matrix.classes, fontsize=font_size)
    axes.set_yticks(places, [f"{n}\n({t})" for n, t in zip(matrix.classes, totals, strict=True)], fontsize=font_size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def roc_figure(curve: Roc) -> Figure:
    """One class against the others, with thresholds marked: Fig. 9 of the same paper."""
    figure = new_figure(6.0, 5.2)
    axes = figure.add_subplot()
    axes.step(curve.false_positive_rate, curve.true_positive_rate, where="post", color=MAIN, linewidth=2.0)
    axes.axvline(FALSE_POSITIVE_RATE, color="#999999", linestyle="--", linewidth=1.0)
    point = curve.at_rate
    axes.plot(FALSE_POSITIVE_RATE, point.true_positive_rate, "o", color="black", markersize=5)
    axes.annotate(
        f"{point.true_positive_rate:.2f} at {FALSE_POSITIVE_RATE}",
        (FALSE_POSITIVE_RATE, point.true_positive_rate),
        xytext=(10, -14),
        textcoords="offset points",
        fontsize=10,
    )
    for number, marked in enumerate(curve.marked):
        axes.plot(
            marked.false_positive_rate,
            marked.true_positive_rate,
            "so^"[number % 3],
            color=("#d55e00", "#e69f00", "#009e73")[number % 3],
            markersize=8,
            markeredgecolor="white",
            label=f"p $\\geq$ {marked.threshold:g}:  {marked.true_positive_rate:.2f} found,"
            f" {marked.false_positive_rate:.3f} false",
        )
    axes.set_xlim(-0.005, _HIGHEST_FALSE_POSITIVE_RATE)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel(f"false positive rate ({curve.negatives} other alerts)", fontsize=11)
    axes.set_ylabel(f"true positive rate ({curve.positives} {curve.class_name})", fontsize=11)
    axes.legend(loc="lower right", fontsize=10, frameon=False, title=f"area under the curve {curve.area:.3f}")
    plain(axes, grid="both")
    return figure


def reliability_figure(measured: Calibration) -> Figure:
    """The share that is right against the probability that was said."""
    figure = new_figure(5.6, 5.2)
    axes = figure.add_subplot()
    probability = [b.probability for b in measured.bins]
    share = np.array([b.share for b in measured.bins])
    count = np.array([b.count for b in measured.bins])
    error = np.sqrt(np.maximum(share * (1.0 - share), 0.25 / count) / count)
    error = [np.minimum(error, share), np.minimum(error, 1.0 - share)]
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1.2, linestyle=":")
    axes.errorbar(probability, share, error, fmt="o-", color=MAIN, markersize=6, linewidth=1.5, capsize=2)
    text = (
        f"calibration error {measured.error:.3f}\n"
        f"perfect calibration would show {measured.chance_error:.3f} (95%: up to {measured.chance_error_95:.3f})"
    )
    axes.text(0.98, 0.04, text, transform=axes.transAxes, ha="right", fontsize=10, linespacing=1.5)
    low = max(0.0, min(min(probability), float(share.min())) - 0.1)
    axes.set_xlim(low, 1.01)
    axes.set_ylim(low, 1.03)
    axes.set_xlabel(f"highest probability, mean of {len(count)} bins of equal count", fontsize=11)
    axes.set_ylabel("share that is right", fontsize=11)
    plain(axes, grid="both")
    return figure


def distributions_figure(answers_by_title: Mapping[str, Answers]) -> Figure:
    """The probability of the true class, by class: Fig. 7 of the same paper, a row for each bundle."""
    classes = next(iter(answers_by_title.values())).classes
    figure = new_figure(12.0, 2.4 * len(answers_by_title) + 0.3)
    panels = figure.subplots(len(answers_by_title), len(classes), sharex=True, squeeze=False)
    for row, (title, answers) in zip(panels, answers_by_title.items(), strict=True):
        for number, (axes, name) in enumerate(zip(row, classes, strict=True)):
            rows = answers.truth == number
            axes.hist(answers.probabilities[rows, number], _PROBABILITY_BINS, color=class_colour(number))
            axes.axvline(0.5, color="#999999", linewidth=0.8, linestyle="--")
            axes.set_title(f"{name} ({int(rows.sum())})", fontsize=11)
            axes.set_xlim(0.0, 1.0)
            axes.set_ylim(bottom=0.0, top=None if rows.any() else 1.0)
            axes.yaxis.get_major_locator().set_params(integer=True)
            plain(axes)
        row[0].set_ylabel(f"{title}\nalerts", fontsize=10)
    figure.supxlabel("probability of the true class", fontsize=11)
    return figure


def novelty_figure(usual: NDArray[np.float64], strange: Sequence[Strange]) -> Figure:
    """Novelty of the labelled alerts, and of those that are none."""
    shown = [one for one in strange if one.novelty]
    figure = new_figure(12.0, 1.15 * (len(shown) + 1) + 0.6)
    panels = figure.subplots(len(shown) + 1, 1, sharex=True, squeeze=False)[:, 0]
    parts = [(f"labelled alerts ({len(usual)})", usual, OTHER)]
    parts += [(f"{one.name} ({len(one.novelty)}): AUC {one.area:.3f}", np.array(one.novelty), MAIN) for one in shown]
    for axes, (title, values, colour) in zip(panels, parts, strict=True):
        axes.hist(values, np.linspace(0.0, 1.0, 41), weights=np.full(len(values), 1.0 / len(values)), color=colour)
        axes.set_title(title, fontsize=11, loc="left")
        axes.set_xlim(0.0, 1.0)
        axes.tick_params(labelsize=9)
        plain(axes)
    panels[-1].set_xlabel("novelty", fontsize=11)
    figure.supylabel("share of alerts", fontsize=11)
    return figure
