"""``broker-plugin evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_plugin.cli.evaluate_temporal import report_on_objects, show_objects
from broker_plugin.cli.options import weights_option
from broker_plugin.cli.problems import Failure, UsageProblem, described, require_extra, require_paths, told_as_usage
from broker_plugin.cli.terminal import console, loading_models, plural, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from broker_plugin.bundles import Bundle
    from broker_plugin.evaluation.answers import Answers
    from broker_plugin.evaluation.examples import Label
    from broker_plugin.evaluation.intervals import Interval
    from broker_plugin.evaluation.measurements import Measurements
    from broker_plugin.models import Model, TemporalModel


@click.command(short_help="Write a report of how well a bundle does on labelled packets.")
@click.argument("packets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKETS...")
@click.option(
    "--labels",
    required=True,
    metavar="CSV",
    type=click.Path(path_type=Path),
    help="Table with the columns candid (or alert_id) and label; object_id, split, label_trust, label_source, survey "
    "and doctored_metadata are used if there.",
)
@click.option(
    "--bundle",
    "bundles",
    required=True,
    multiple=True,
    metavar="NAME",
    help="Classifier to judge: NAME, NAME/VERSION or a bundle's folder. Further ones, trained with other seeds, give "
    "the spread.",
)
@click.option("--report", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The report's folder.")
@click.option(
    "--split",
    type=click.Choice(["train", "test", "all"]),
    default="all",
    show_default=True,
    help="Which rows of the labels to score, by their column split.",
)
@click.option(
    "--beta-bundle",
    "beta_bundles",
    multiple=True,
    metavar="BETA=NAME",
    help="A bundle trained with this weight of the entropy in the loss, to compare distributions. May be given several "
    "times.",
)
@click.option(
    "--other",
    "others",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Packets unlike the training data, such as another camera's, to see their novelty. May be given several "
    "times.",
)
@click.option(
    "--against",
    metavar="NAME",
    help="For a temporal bundle: a stamp bundle to compare it with, which is given the last alert of each object.",
)
@click.option(
    "--allwise",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="For a temporal bundle: AllWISE catalogue, made by broker-plugin crossmatch build.",
)
@click.option(
    "--card-figures", type=click.Path(path_type=Path), metavar="DIR", help="Write the model card's small figures here."
)
@weights_option
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="auto, cpu, gpu or gpu:N.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads for the network; all cores if absent.")
def evaluate(
    packets: tuple[Path, ...],
    labels: Path,
    bundles: tuple[str, ...],
    report: Path,
    split: str,
    beta_bundles: tuple[str, ...],
    others: tuple[Path, ...],
    against: str | None,
    allwise: Path | None,
    card_figures: Path | None,
    weights: Path | None,
    device: str,
    threads: int | None,
) -> None:
    """Judge a bundle by labelled packets, and write a report: a page to open in a browser, figures, numbers.

    Needs the extra: pip install 'broker-plugin[report]'. Packets without a label are passed over; those that can't be
    classified are counted and listed. A temporal bundle is judged by objects, each at its last alert; labels of classes
    that it lacks are passed over.

    \b
    For example:
      broker-plugin evaluate packets/ --labels labels.csv --bundle stamp-ztf --split test --report out/report
      broker-plugin evaluate packets/ --labels labels.csv --bundle temporal-ztf --against stamp-ztf --report out/objects
    """
    require_paths((*packets, labels, *others))
    _refuse_to_write_over(report)
    require_extra("a report", "report", "jinja2", "matplotlib", "sklearn")
    chosen = _labels(labels, split)
    betas = _betas(beta_bundles)
    found = _find((*bundles, *betas.values()), weights)
    if any(bundle.manifest.kind == "temporal" for bundle in found):
        _require_one_temporal(found, others)
        stamp = None if against is None else _find([against], weights)[0]
        models = _load_temporal(found[0], stamp, device, threads)
        with _progress(console(stderr=True)) as progress:
            objects = report_on_objects(*models, packets, chosen, split, allwise, report, card_figures, progress)
        show_objects(console(), objects, report)
        return
    _refuse_temporal_options(against, allwise)
    loaded = _load(found, device, threads)
    measured = _report_on_alerts(
        loaded[: len(bundles)], dict(zip(betas, loaded[len(bundles) :], strict=True)), packets, chosen, split, others,
        report, card_figures,
    )  # fmt: skip
    _show(console(), measured, report)


def _report_on_alerts(
    models: Sequence[Model],
    beta_models: Mapping[str, Model],
    packets: Sequence[Path],
    labels: Mapping[int, Label],
    split: str,
    others: Sequence[Path],
    report: Path,
    card: Path | None,
) -> Measurements:
    _require_alike([*models, *beta_models.values()])
    arithmetic = _megaflops(models[0])
    with _progress(console(stderr=True)) as progress:
        all_answers = [_answers(model, packets, labels, progress) for model in models]
        by_title = {f"beta = {beta}": _answers(model, packets, labels, progress) for beta, model in beta_models.items()}
        return _write(report, card, all_answers, by_title, split, others, arithmetic, progress)


def _refuse_to_write_over(report: Path) -> None:
    """Refuse to put a report among things that are none."""
    if report.exists() and not report.is_dir():
        raise UsageProblem(f"{report} is a file: name a folder for the report")
    if report.is_dir() and any(report.iterdir()) and not (report / "numbers.json").is_file():
        raise UsageProblem(f"{report} holds other things than a report: name a folder of its own")


def _labels(path: Path, split: str) -> dict[int, Label]:
    from broker_plugin.evaluation.examples import read_labels

    with told_as_usage():
        rows = read_labels(path)
    chosen = {alert_id: label for alert_id, label in rows.items() if split == "all" or label.split == split}
    if not chosen:
        where = "" if split == "all" else f" of split {split}"
        raise UsageProblem(f"{path} has no labels{where}")
    return chosen


def _betas(given: Sequence[str]) -> dict[str, str]:
    betas = {}
    for text in given:
        beta, equals, name = text.partition("=")
        try:
            betas[f"{float(beta):g}"] = name
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UsageProblem(f"--beta-bundle {text}: write it as BETA=NAME, such as 0.5=weights/beta-05/0.1.0")
    return betas


def _find(names: Sequence[str], weights: Path | None) -> list[Bundle]:
    from broker_plugin.bundles import load

    with told_as_usage():
        return [load(name, weights) for name in names]


def _load(bundles: Sequence[Bundle], device: str, threads: int | None) -> list[Model]:
    with loading_models(show=True), told_as_usage():
        from broker_plugin.models import Runtime

        runtime = Runtime(device, threads)
        return [runtime.load(bundle) for bundle in bundles]


def _load_temporal(
    bundle: Bundle, stamp: Bundle | None, device: str, threads: int | None
) -> tuple[TemporalModel, Model | None]:
    with loading_models(show=True), told_as_usage():
        from broker_plugin.models import Runtime

        runtime = Runtime(device, threads)
        return runtime.load_temporal(bundle), None if stamp is None else runtime.load(stamp)


def _require_one_temporal(bundles: Sequence[Bundle], others: Sequence[Path]) -> None:
    """Refuse what a report on objects has no place for."""
    label = next(bundle.manifest.label for bundle in bundles if bundle.manifest.kind == "temporal")
    if len(bundles) > 1:
        raise UsageProblem(f"{label} is a temporal bundle, which is judged alone: to compare it, give --against NAME")
    if others:
        raise UsageProblem(f"--other is for the novelty of alerts, and {label} is a temporal bundle")


def _refuse_temporal_options(against: str | None, allwise: Path | None) -> None:
    for option, value in (("--against", against), ("--allwise", allwise)):
        if value is not None:
            raise UsageProblem(f"{option} is for temporal bundles: name one with --bundle")


def _megaflops(model: Model) -> float:
    from broker_plugin.models.cost import megaflops

    with loading_models(show=False):  # what TensorFlow says while it counts is kept back as well
        return megaflops(model)


def _require_alike(models: Sequence[Model]) -> None:
    """Refuse bundles that can't be compared."""
    first = models[0].bundle.manifest
    for model in models[1:]:
        manifest = model.bundle.manifest
        if (manifest.survey, manifest.classes) != (first.survey, first.classes):
            raise UsageProblem(f"{manifest.label} is of another survey or other classes than {first.label}")


def _answers(
    model: Model, packets: Sequence[Path], labels: Mapping[int, Label], progress: Callable[[int, int, str], None]
) -> Answers:
    from broker_plugin.evaluation.answers import answers_of
    from broker_plugin.packets import MissingExtraError

    def reading(share: float) -> None:
        progress(round(100 * share), 100, f"{model.bundle.manifest.label}: reading and classifying")

    try:
        return answers_of(model, packets, labels, progress=reading)
    except (ValueError, MissingExtraError) as problem:
        raise UsageProblem(str(problem)) from problem


def _write(
    report: Path,
    card: Path | None,
    all_answers: Sequence[Answers],
    by_title: Mapping[str, Answers],
    split: str,
    others: Sequence[Path],
    megaflops_per_alert: float,
    progress: Callable[[int, int, str], None],
) -> Measurements:
    from broker_plugin.evaluation.measurements import measure
    from broker_plugin.evaluation.report import card_figures, write_report

    by_title = by_title or {all_answers[0].manifest.label: all_answers[0]}
    measured = measure(
        all_answers,
        split=split,
        by_title=by_title,
        other_packets=others,
        megaflops_per_alert=megaflops_per_alert,
        progress=progress,
    )
    try:
        write_report(report, measured, all_answers[0], by_title)
        if card is not None:
            card_figures(card, measured)
    except OSError as problem:
        raise Failure(f"the report can't be written: {described(problem)}") from problem
    return measured


def _show(screen: Console, measured: Measurements, report: Path) -> None:
    summary = measured.summary
    rows: dict[str, Interval | None] = {
        "right, all labels": summary.accuracy,
        "right, trust 1 and 2": summary.strong_accuracy,
        "balanced": summary.balanced_accuracy,
        "calibration error": summary.calibration_error,
    }
    if measured.roc is not None:
        point = f"{measured.roc.class_name} found at a false positive rate of 0.03"
        rows[point] = summary.true_positive_rate
    rows |= {f"recall of {name}": interval for name, interval in summary.recall.items()}
    shown = table(measured.bundle, "", "95%", right=[""])
    for name, interval in rows.items():
        if interval is not None:
            shown.add_row(name, f"{interval.value:.3f}", f"{interval.low:.3f} to {interval.high:.3f}")
    screen.print(shown)
    unclassified = f"; {plural(len(measured.unclassified), 'packet')} not classified" if measured.unclassified else ""
    screen.print(f"{plural(summary.alerts, 'alert')} of {plural(summary.objects, 'object')}{unclassified}")
    screen.print(f"the report is {printable(report / 'index.html')}")


@contextmanager
def _progress(screen: Console) -> Iterator[Callable[[int, int, str], None]]:
    """A bar, on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%  {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=printable(text))
