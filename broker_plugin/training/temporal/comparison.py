"""Recurrences compared: accuracy by number of detections, with AllWISE and without, against the time they take."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.training.architecture.temporal import RECURRENCES
from broker_plugin.training.fit import NOT_LEARNED, Progress
from broker_plugin.training.temporal.fit import SequenceArrays, TemporalFitOptions, predict_sequences
from broker_plugin.training.temporal.train import (
    COUNTS,
    PreparedSequences,
    fit_members,
    held_out_predictions,
    right_by_detections,
    strongly_labelled,
    without_allwise,
)

JSON_NAME, TABLE_NAME, FIGURE_NAME = "recurrences.json", "recurrences.md", "recurrences.png"
_TIMED_OBJECTS = 128
_TIMED_CALLS = 50


@dataclass(frozen=True)
class RecurrenceResult:
    """What one recurrence can do.

    Attributes
    ----------
    parameters
        Weights of one network, behind the trunk.
    microseconds
        Median time of one network for one object in a batch of 128, behind the trunk, one thread.
    real
        Share of right answers of real objects that were not learned from, by number of detections, as a text.
    simulated, simulated_without_allwise
        The same of simulated objects: mean over the networks.
    real_objects, simulated_objects
        How many of them there are, the same real ones for each number.
    """

    recurrence: str
    parameters: int
    microseconds: float
    real: dict[str, float]
    simulated: dict[str, float]
    simulated_without_allwise: dict[str, float]
    real_objects: int
    simulated_objects: dict[str, int]


def compare_recurrences(
    prepared: PreparedSequences,
    options: TemporalFitOptions,
    seed: int,
    out: Path,
    progress: Progress = lambda done, total, text: None,
) -> list[RecurrenceResult]:
    """Fit every recurrence by cross-validation over the objects that are not for the test, and write what came of it.

    Writes a table as Markdown, the numbers as JSON and a figure to the folder ``out``.  What its JSON has already is
    not fitted again.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = _read(out / JSON_NAME)
    for number, recurrence in enumerate(RECURRENCES):
        if recurrence in done:
            continue

        def tell(batches: int, total: int, text: str, number: int = number, name: str = recurrence) -> None:
            progress(number * total + batches, len(RECURRENCES) * total, f"{name}, {text}")

        chosen = replace(options, recurrence=recurrence)
        done[recurrence] = _result(prepared, fit_members(prepared, chosen, seed, tell), recurrence)
        (out / JSON_NAME).write_text(json.dumps([asdict(r) for r in done.values()], indent=1) + "\n", encoding="utf-8")
    results = [done[recurrence] for recurrence in RECURRENCES]
    (out / TABLE_NAME).write_text(table(results), encoding="utf-8")
    write_figure(results, out / FIGURE_NAME)
    return results


def table(results: Sequence[RecurrenceResult]) -> str:
    """The results as a table in Markdown: percentages for 2, 3, 4 and 5 detections."""
    lines = [
        "| recurrence | weights | µs an object | real objects | simulated, with AllWISE | simulated, without |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        cells = [
            " ".join(f"{100 * of[str(count)]:.1f}" for count in COUNTS)
            for of in (result.real, result.simulated, result.simulated_without_allwise)
        ]
        lines.append(
            f"| {result.recurrence} | {result.parameters:,} | {result.microseconds:.0f} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def write_figure(results: Sequence[RecurrenceResult], path: Path) -> None:
    """Draw accuracy against time, and against the number of detections with AllWISE and without, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 4.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    against_time, against_count, of_real = figure.subplots(1, 3)
    for number, result in enumerate(results):
        colour = f"C{number}"
        against_time.scatter(
            [result.microseconds] * len(COUNTS),
            [result.simulated[str(count)] for count in COUNTS],
            s=[18 * count for count in COUNTS],
            color=colour,
            alpha=0.8,
            label=result.recurrence,
        )
        for of, style in ((result.simulated, "o-"), (result.simulated_without_allwise, "s--")):
            against_count.plot(COUNTS, [of[str(count)] for count in COUNTS], style, color=colour, markersize=4)
        of_real.plot(COUNTS, [result.real[str(count)] for count in COUNTS], "o-", color=colour, markersize=4)
    against_time.set(xlabel="µs an object, one network behind the trunk", ylabel="right, simulated with AllWISE")
    against_time.set_title("larger dots: more detections, 2 to 5", fontsize=9)
    against_time.legend(fontsize=8)
    against_count.set(xlabel="detections", ylabel="right, simulated", xticks=COUNTS)
    against_count.set_title("solid: with AllWISE, dashed: without", fontsize=9)
    of_real.set(xlabel="detections", ylabel="right, real", xticks=COUNTS)
    of_real.set_title(f"{results[0].real_objects} real objects, cross-validation", fontsize=9)
    for axes in (against_time, against_count, of_real):
        axes.grid(alpha=0.25)
    figure.savefig(path)


def _result(prepared: PreparedSequences, members: Sequence[keras.Model], recurrence: str) -> RecurrenceResult:
    learned = strongly_labelled(prepared) & (prepared.folds != NOT_LEARNED)
    real, real_objects = right_by_detections(prepared.real.about, held_out_predictions(prepared, members), learned)
    detections = prepared.scored.about.detections
    bare = replace(prepared.scored, features=without_allwise(prepared))
    return RecurrenceResult(
        recurrence=recurrence,
        parameters=int(members[0].count_params()),
        microseconds=_microseconds(members[0], prepared.scored),
        real=real,
        simulated=_by_count(members, prepared.scored, detections),
        simulated_without_allwise=_by_count(members, bare, detections),
        real_objects=real_objects,
        simulated_objects={str(count): int(np.sum(detections == count)) for count in COUNTS},
    )


def _by_count(
    members: Sequence[keras.Model], arrays: SequenceArrays, detections: NDArray[np.int64]
) -> dict[str, float]:
    right = np.mean(
        [predict_sequences(member, arrays).argmax(axis=1) == arrays.about.truth for member in members], axis=0
    )
    return {str(count): float(right[detections == count].mean()) for count in COUNTS}


def _microseconds(network: keras.Model, arrays: SequenceArrays) -> float:
    import tensorflow as tf

    call = tf.function(lambda inputs: network(inputs, training=False))
    inputs = [
        tf.convert_to_tensor(values) for values in arrays.inputs(np.resize(np.arange(len(arrays)), _TIMED_OBJECTS))
    ]
    call(inputs)
    times = []
    for _ in range(_TIMED_CALLS):
        begun = time.perf_counter()
        call(inputs)
        times.append(time.perf_counter() - begun)
    return float(1e6 * np.median(times) / _TIMED_OBJECTS)


def _read(path: Path) -> dict[str, RecurrenceResult]:
    if not path.exists():
        return {}
    results = [RecurrenceResult(**raw) for raw in json.loads(path.read_text(encoding="utf-8"))]
    return {result.recurrence: result for result in results}
