"""The report of a temporal bundle: a page to open in a browser, its figures, and the numbers behind them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from matplotlib.figure import Figure

from broker_plugin.evaluation.calibration import BINS
from broker_plugin.evaluation.figures.cost import timing_figure
from broker_plugin.evaluation.figures.objects import confusions_figure, gain_figure, parts_figure
from broker_plugin.evaluation.figures.quality import confusion_figure, reliability_figure
from broker_plugin.evaluation.figures.style import CARD_DPI, save
from broker_plugin.evaluation.object_measurements import COUNTS, ObjectMeasurements
from broker_plugin.evaluation.page import NUMBERS, PAGE, css_widths, rendered
from broker_plugin.evaluation.sequences import ObjectAnswers
from broker_plugin.evaluation.summary import confusion_of

OBJECTS = "objects.csv"
_COUNTERPART = {True: "found", False: "none_there", None: "not_looked_up"}


def write_object_report(out: Path, measured: ObjectMeasurements, answers: ObjectAnswers) -> None:
    """Write the page, its figures, ``numbers.json`` and a table of the objects to a folder, made if it is not there.

    Raises
    ------
    OSError
        Something can't be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures = _figures(measured)
    for name, figure in figures.items():
        save(figure, out / f"{name}.png")
    (out / NUMBERS).write_text(json.dumps(measured.to_json(), indent=1) + "\n", encoding="utf-8")
    _write_objects(out / OBJECTS, answers)
    page = rendered(
        "object_report.html.j2",
        m=measured,
        figures=css_widths(figures),
        bins=BINS,
        most=max(COUNTS),
        length=answers.classifier.form.sequence.length,
        uses_allwise=answers.classifier.form.uses_allwise,
    )
    (out / PAGE).write_text(page, encoding="utf-8")


def object_card_figures(out: Path, measured: ObjectMeasurements) -> None:
    """Write the small figures of a model card, as `report.card_figures`: confusion, gain per detection, reliability."""
    out.mkdir(parents=True, exist_ok=True)
    figures = _figures(measured)
    for name in ("confusion", "gain", "reliability"):
        save(figures[name], out / f"{name}.png", CARD_DPI)


def _figures(measured: ObjectMeasurements) -> dict[str, Figure]:
    """By file name; what has nothing to show is left out."""
    classes = tuple(measured.classes)
    figures = {
        "confusion": confusion_figure(confusion_of(classes, [measured.whole.score.confusion])),
        "confusions": confusions_figure(
            {"the same objects": measured.same_objects, "all objects with so many": measured.at_least}, classes
        ),
        "gain": gain_figure(measured.same_objects, measured.at_least, measured.without_allwise, measured.against),
        "reliability": reliability_figure(measured.calibration),
        "parts": parts_figure(
            {"Stamps": measured.by_stamps, "AllWISE": measured.by_allwise, "Labels": measured.by_label}
        ),
    }
    if measured.timing is not None:
        figures["timing"] = timing_figure(measured.timing.times, "object")
    return figures


def _write_objects(path: Path, answers: ObjectAnswers) -> None:
    """A line for each object that was classified."""
    probabilities, counts, stamped = answers.shown.probabilities, answers.counts, answers.stamped
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        columns = ("object_id", "alert_id", "label", "label_trust", "said", "detections", "with_stamps", "allwise")
        table.writerow([*columns, *(f"p_{name}" for name in answers.classes)])
        for row, one in enumerate(answers.objects):
            identity, said = one.last.identity, answers.classes[probabilities[row].argmax()]
            about = (identity.object_id, identity.alert_id, one.label.class_name, one.label.trust, said)
            known = (counts[row], stamped[row], _COUNTERPART[answers.counterpart[row]])
            table.writerow([*about, *known, *(f"{probability:.6f}" for probability in probabilities[row])])
