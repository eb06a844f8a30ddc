"""The report of a bundle: a page to open in a browser, its figures, and the numbers behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from broker_plugin.evaluation.ablation import SHUFFLES
from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.calibration import BINS
from broker_plugin.evaluation.figures.cost import timing_figure
from broker_plugin.evaluation.figures.inputs import (
    ablation_figure,
    group_ablation_figure,
    image_subsets_figure,
    relations_figure,
    relevance_figure,
)
from broker_plugin.evaluation.figures.quality import (
    confusion_figure,
    distributions_figure,
    novelty_figure,
    reliability_figure,
    roc_figure,
)
from broker_plugin.evaluation.figures.sky import sky_figure
from broker_plugin.evaluation.figures.stamps import mistakes_figure
from broker_plugin.evaluation.figures.style import CARD_DPI, save
from broker_plugin.evaluation.measurements import Measurements
from broker_plugin.evaluation.page import NUMBERS, PAGE, css_widths, rendered
from broker_plugin.evaluation.robustness import ANGLES
from broker_plugin.evaluation.roc import FALSE_POSITIVE_RATE


def write_report(out: Path, measured: Measurements, answers: Answers, by_title: Mapping[str, Answers]) -> None:
    """Write the page, its figures and ``numbers.json`` to a folder, which is made if it is not there.

    Parameters
    ----------
    answers
        Of the bundle that the report is about.
    by_title
        As for `measurements.measure`.

    Raises
    ------
    OSError
        Something can't be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures = _figures(measured, answers, by_title)
    for name, figure in figures.items():
        save(figure, out / f"{name}.png")
    (out / NUMBERS).write_text(json.dumps(measured.to_json(), indent=1) + "\n", encoding="utf-8")
    (out / PAGE).write_text(_page(measured, css_widths(figures)), encoding="utf-8")


def card_figures(out: Path, measured: Measurements) -> None:
    """Write the four small figures of a model card: confusion, SN ROC, reliability, ablation.

    They stand outside the bundle, whose files are digested: a figure that is drawn anew must not change the identity
    that every record carries.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures = {
        "confusion": confusion_figure(measured.confusion),
        "reliability": reliability_figure(measured.calibration),
        "ablation": group_ablation_figure(measured.summary.accuracy.value, measured.groups_ablated),
    }
    if measured.roc is not None:
        figures["roc"] = roc_figure(measured.roc)
    for name, figure in figures.items():
        save(figure, out / f"{name}.png", CARD_DPI)


def _figures(measured: Measurements, answers: Answers, by_title: Mapping[str, Answers]) -> dict[str, Figure]:
    """By file name; what has nothing to show is left out."""
    accuracy = measured.summary.accuracy.value
    figures = {
        "confusion": confusion_figure(measured.confusion),
        "distributions": distributions_figure(by_title),
        "reliability": reliability_figure(measured.calibration),
        "sky": sky_figure(answers),
        "images": image_subsets_figure(measured.image_subsets),
        "ablation": ablation_figure(accuracy, measured.features_ablated, measured.groups_ablated),
        "timing": timing_figure(measured.cost.times),
    }
    if measured.roc is not None:
        figures["roc"] = roc_figure(measured.roc)
    if answers.novelty is not None:
        figures["novelty"] = novelty_figure(answers.novelty, measured.strange)
    if measured.relevance:
        figures["relevance"] = relevance_figure(measured.relevance)
    if measured.relations:
        figures["relations"] = relations_figure(measured.relations, answers.classes)
    if measured.mistakes:
        figures["mistakes"] = mistakes_figure(answers, [one.row for one in measured.mistakes])
    return figures


def _page(measured: Measurements, widths: Mapping[str, int]) -> str:
    """The page, with the figures of these names and widths."""
    return rendered(
        "report.html.j2",
        m=measured,
        figures=widths,
        shuffles=SHUFFLES,
        bins=BINS,
        angles=ANGLES,
        rate=FALSE_POSITIVE_RATE,
    )
