"""``broker-plugin train temporal`` and ``train recurrences``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker_plugin.cli.problems import (
    UsageProblem,
    refuse_to_overwrite,
    require_extra,
    require_paths,
    told_as_usage,
)
from broker_plugin.cli.terminal import console, fit_progress, printable, table

if TYPE_CHECKING:
    from broker_plugin.bundles import Manifest

_MEMBERS = 5


def _data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands learn from."""
    for option in reversed(
        (
            click.argument("packets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKETS..."),
            click.option(
                "--labels",
                required=True,
                metavar="CSV",
                type=click.Path(path_type=Path),
                help="Table as for 'train stamp'; alerts of other classes than AGN, SN and VS are passed over.",
            ),
            click.option(
                "--simulated",
                type=click.IntRange(min=15),
                default=3000,
                show_default=True,
                metavar="N",
                help="Simulated objects to learn from first, and besides.",
            ),
            click.option("--seed", type=int, default=1, show_default=True, help="Of everything random."),
        )
    ):
        command = option(command)
    return command


@click.command()
@_data_options
@click.option("-o", "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The bundle's folder.")
@click.option("--name", help="Name of the bundle: lower-case words joined by hyphens.")
@click.option("--version", default="0.1.0", show_default=True, help="Version of the bundle: MAJOR.MINOR.PATCH.")
@click.option("--recurrence", default="gru", show_default=True, help="What goes over the detections.")
@click.option("--no-test", is_flag=True, help="Leave the test split closed: for as long as you still choose.")
@click.option(
    "--notes", type=click.Path(path_type=Path), metavar="FILE", help="Markdown to put into the model card as it is."
)
def temporal(
    packets: tuple[Path, ...],
    labels: Path,
    simulated: int,
    seed: int,
    out: Path,
    name: str | None,
    version: str,
    recurrence: str,
    no_test: bool,
    notes: Path | None,
) -> None:
    """Fit a temporal classifier of ZTF objects and write it as a bundle to DIR, which is made anew.

    \b
    For example:
      broker-plugin train temporal packets/ --labels labels.csv -o weights/my-temporal/0.1.0
    """
    require_paths(tuple(path for path in (*packets, labels, notes) if path))
    refuse_to_overwrite(out)
    require_extra("training", "train", "keras")
    from broker_plugin.training.architecture.temporal import RECURRENCES
    from broker_plugin.training.temporal.fit import TemporalFitOptions
    from broker_plugin.training.temporal.train import train_temporal

    if recurrence not in RECURRENCES:
        raise UsageProblem(f"--recurrence {recurrence} is not one of {', '.join(RECURRENCES)}")
    with told_as_usage(), fit_progress(console(stderr=True)) as progress:
        manifest = train_temporal(
            packets,
            labels,
            out,
            name=name,
            version=version,
            seed=seed,
            options=TemporalFitOptions(recurrence=recurrence),
            simulated=simulated,
            score_test=not no_test,
            command=shlex.join(["broker-plugin", *sys.argv[1:]]),
            notes="" if notes is None else notes.read_text(encoding="utf-8"),
            progress=progress,
        )
    _show(manifest, out)


@click.command()
@_data_options
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the table and the figure; what it holds already is not done again.",
)
def recurrences(packets: tuple[Path, ...], labels: Path, simulated: int, seed: int, out: Path) -> None:
    """Compare what can go over the detections of an object by accuracy and time; the test split stays closed.

    Real objects are judged by cross-validation, simulated ones of another seed with AllWISE and without.

    \b
    For example:
      broker-plugin train recurrences packets/ --labels labels.csv -o recurrences/
    """
    require_paths((*packets, labels))
    require_extra("training", "train", "keras")
    require_extra("the figure", "report", "matplotlib")
    from broker_plugin.training.temporal.comparison import TABLE_NAME, compare_recurrences
    from broker_plugin.training.temporal.fit import TemporalFitOptions
    from broker_plugin.training.temporal.train import prepare_sequences

    options = TemporalFitOptions()
    with told_as_usage(), fit_progress(console(stderr=True)) as progress:
        prepared = prepare_sequences(packets, labels, "ztf", None, "0.1.0", seed, simulated, options.members, progress)
        compare_recurrences(prepared, options, seed, out, progress)
    click.echo((out / TABLE_NAME).read_text(encoding="utf-8"), nl=False)
    click.echo(f"share of right answers in percent with 2, 3, 4 and 5 detections; the figure is in {printable(out)}")


def _show(manifest: Manifest, out: Path) -> None:
    counts = list(next(iter(manifest.metrics.values()))["by_detections"])
    columns = ["objects", "right", *(f"with {count}" for count in counts), *manifest.classes]
    shown = table("", *columns, right=columns)
    for name, metrics in manifest.metrics.items():
        shown.add_row(
            name.replace("_", " "),
            f"{metrics['n']:,}",
            f"{metrics['accuracy']:.3f}",
            *(f"{share:.3f}" for share in metrics["by_detections"].values()),
            *(f"{metrics['recall'].get(c, float('nan')):.3f}" for c in manifest.classes),
        )
    screen = console()
    screen.print(shown)
    screen.print("right: share of objects, in all and with 2 to 5 detections; then recall by class")
    screen.print(f"{manifest.label} is in {printable(out)}")
