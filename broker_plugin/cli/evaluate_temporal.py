"""``broker-plugin evaluate`` of a temporal bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from broker_plugin.cli.problems import Failure, UsageProblem, described, require_extra, told_as_usage
from broker_plugin.cli.terminal import plural, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from broker_plugin.crossmatch import Sources
    from broker_plugin.evaluation.answers import Answers
    from broker_plugin.evaluation.examples import Label
    from broker_plugin.evaluation.intervals import Interval
    from broker_plugin.evaluation.object_measurements import Against, ObjectMeasurements, Part
    from broker_plugin.evaluation.sequences import ObjectAnswers
    from broker_plugin.models import Model, TemporalModel


_TIMES_SHOWN = (1, 128)

Progress = Callable[[int, int, str], None]


def report_on_objects(
    model: TemporalModel,
    stamp: Model | None,
    packets: Sequence[Path],
    labels: Mapping[int, Label],
    split: str,
    allwise: Path | None,
    report: Path,
    card: Path | None,
    progress: Progress,
) -> ObjectMeasurements:
    """Measure a temporal bundle, beside a stamp bundle perhaps, and write the report.

    Parameters
    ----------
    allwise
        Folder of a catalogue.
    report, card
        Folders of the report, and of a model card's figures.
    """
    from broker_plugin.evaluation.object_measurements import measure_objects
    from broker_plugin.evaluation.object_report import object_card_figures, write_object_report

    answers = _answers(model, packets, labels, _catalogue(allwise), progress)
    of_stamp = None if stamp is None else _stamp_answers(stamp, answers, packets, progress)
    measured = measure_objects(answers, split=split, stamp=of_stamp, progress=progress)
    try:
        write_object_report(report, measured, answers)
        if card is not None:
            object_card_figures(card, measured)
    except OSError as problem:
        raise Failure(f"the report can't be written: {described(problem)}") from problem
    return measured


def show_objects(screen: Console, measured: ObjectMeasurements, report: Path) -> None:
    """Print the summary."""
    numbers = ("objects", "right", "trust 1 and 2")
    shown = table(measured.bundle, "objects", "right", "95%", "trust 1 and 2", right=numbers)
    for name, part in _parts_shown(measured):
        right, strong = part.score.accuracy, part.strong
        of_strong = "-" if strong is None else f"{strong.accuracy.value:.3f} of {strong.objects:,}"
        shown.add_row(name, f"{part.score.objects:,}", f"{right.value:.3f}", _bounds(right), of_strong)
    screen.print(shown)
    if measured.against is not None:
        _show_against(screen, measured.against)
    whole = measured.whole.score
    screen.print(
        f"balanced {whole.balanced_accuracy.value:.3f}, negative log-likelihood {whole.negative_log_likelihood:.3f},"
        f" calibration error {whole.calibration_error:.3f}"
    )
    if measured.timing is not None:
        times = {time.batch: time.microseconds_per_alert for time in measured.timing.times}
        told = ", ".join(f"{times[batch]:,.0f} us in a batch of {batch}" for batch in _TIMES_SHOWN)
        screen.print(f"an update of an object with five detections takes {told}")
    passed = (
        f"; {plural(measured.passed_over, 'object')} with one detection passed over" if measured.passed_over else ""
    )
    failed = f"; {len(measured.unclassified):,} not classified" if measured.unclassified else ""
    screen.print(f"{plural(whole.objects, 'object')}{passed}{failed}")
    screen.print(f"the report is {printable(report / 'index.html')}")


def _parts_shown(measured: ObjectMeasurements) -> list[tuple[str, Part]]:
    return [
        ("all that is known", measured.whole),
        *((f"the same objects, {part.name} detections", part) for part in measured.same_objects),
        *((f"stamps: {part.name}", part) for part in measured.by_stamps),
        *((f"AllWISE: {part.name}", part) for part in measured.by_allwise),
    ]


def _show_against(screen: Console, against: Against) -> None:
    heads = ("objects", "right", "gain")
    compared = table(f"against {against.bundle}", *heads, "95%", right=heads)
    for one in against.parts:
        gain = one.difference
        bounds = f"{gain.low:+.3f} to {gain.high:+.3f}"
        compared.add_row(one.name, f"{one.objects:,}", f"{one.stamp.value:.3f}", f"{gain.value:+.3f}", bounds)
    screen.print(compared)


def _bounds(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _catalogue(folder: Path | None) -> Sources:
    """Where AllWISE counterparts are looked up."""
    if folder is not None:
        require_extra("--allwise", "crossmatch", "pyarrow", "astropy_healpix")
    from broker_plugin.crossmatch import HatsCatalogue, Sources

    with told_as_usage():
        return Sources([] if folder is None else [HatsCatalogue(folder)])


def _answers(
    model: TemporalModel, packets: Sequence[Path], labels: Mapping[int, Label], allwise: Sources, progress: Progress
) -> ObjectAnswers:
    from broker_plugin.evaluation.sequences import answers_of_objects
    from broker_plugin.packets import MissingExtraError

    reading = _reading(model.bundle.manifest.label, progress)
    try:
        return answers_of_objects(model, packets, labels, allwise, progress=reading)
    except (ValueError, MissingExtraError) as problem:
        raise UsageProblem(str(problem)) from problem


def _stamp_answers(stamp: Model, answers: ObjectAnswers, packets: Sequence[Path], progress: Progress) -> Answers:
    """What a stamp bundle says of the last alert of each object."""
    from broker_plugin.evaluation.answers import answers_of

    last = {one.last.identity.alert_id or 0: one.label for one in answers.objects}
    reading = _reading(stamp.bundle.manifest.label, progress)
    try:
        return answers_of(stamp, packets, last, progress=reading)
    except ValueError as problem:
        raise UsageProblem(str(problem)) from problem


def _reading(label: str, progress: Progress) -> Callable[[float], None]:
    return lambda share: progress(round(100 * share), 100, f"{label}: reading and classifying")
