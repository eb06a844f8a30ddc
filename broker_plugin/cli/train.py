"""``broker-plugin train``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker_plugin.cli.problems import UsageProblem, described, refuse_to_overwrite, require_keras, require_paths
from broker_plugin.cli.terminal import console, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from broker_plugin.bundles import Manifest


@click.group()
def train() -> None:
    """Fit a classifier to labelled packets. Needs the extra: pip install 'broker-plugin[train]'.

    \b
    For example:
      broker-plugin train stamp packets/ --labels labels.csv --survey ztf -o weights/my-stamp/0.1.0
    """


@train.command()
@click.argument("packets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKETS...")
@click.option(
    "--labels",
    required=True,
    metavar="CSV",
    type=click.Path(path_type=Path),
    help="Table with the columns candid (or alert_id) and label; object_id, split and label_trust are used if there.",
)
@click.option("-o", "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The bundle's folder.")
@click.option("--survey", type=click.Choice(["ztf", "rubin"]), help="Whose alerts to learn from, where both are there.")
@click.option("--name", help="Name of the bundle: lower-case words joined by hyphens.")
@click.option("--version", default="0.1.0", show_default=True, help="Version of the bundle: MAJOR.MINOR.PATCH.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
@click.option(
    "--architecture",
    type=click.Choice(["fast", "polar", "paper-2021", "paper-2021-5x5", "paper-2021-images", "enhanced-2024"]),
    default="fast",
    show_default=True,
    help="The network: our own, or a form of the published ones.",
)
@click.option("--iterations", type=click.IntRange(min=1), help="Batches of real alerts to learn from.")
@click.option("--pretraining", type=click.IntRange(min=0), help="Batches of simulated alerts to learn from before.")
@click.option(
    "--simulated",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Simulated alerts of each class to learn from first, and besides.",
)
@click.option("--no-test", is_flag=True, help="Leave the test split closed: for as long as you still choose.")
@click.option(
    "--notes", type=click.Path(path_type=Path), metavar="FILE", help="Markdown to put into the model card as it is."
)
def stamp(
    packets: tuple[Path, ...],
    labels: Path,
    out: Path,
    survey: str | None,
    name: str | None,
    version: str,
    seed: int,
    architecture: str,
    iterations: int | None,
    pretraining: int | None,
    simulated: int,
    no_test: bool,
    notes: Path | None,
) -> None:
    """Fit a stamp classifier and write it as a bundle to DIR, which is made anew.

    \b
    For example:
      broker-plugin train stamp packets/ --labels labels.csv --survey ztf -o weights/my-stamp/0.1.0
    """
    require_paths((*packets, labels, *([notes] if notes else [])))
    refuse_to_overwrite(out)
    require_keras("training")
    from broker_plugin.bundles import BundleError
    from broker_plugin.training.fit import FitOptions
    from broker_plugin.training.train import train_stamp

    wishes: dict[str, Any] = {"iterations": iterations, "pretraining": pretraining}
    given = {name: value for name, value in wishes.items() if value is not None}
    screen = console(stderr=True)
    try:
        with _progress(screen) as progress:
            manifest = train_stamp(
                packets,
                labels,
                out,
                survey=survey,
                name=name,
                version=version,
                seed=seed,
                architecture=architecture,
                simulated=simulated,
                score_test=not no_test,
                options=FitOptions(**given),
                command=shlex.join(["broker-plugin", *sys.argv[1:]]),
                notes="" if notes is None else notes.read_text(encoding="utf-8"),
                progress=progress,
            )
    except (ValueError, BundleError) as problem:
        raise UsageProblem(str(problem)) from problem
    except OSError as problem:
        raise UsageProblem(described(problem)) from problem
    _show(console(), manifest, out)


def _show(screen: Console, manifest: Manifest, out: Path) -> None:
    scores = table(
        "", "alerts", "right", "balanced", "-log p", *manifest.classes, right=["alerts", "right", "balanced"]
    )
    for column in scores.columns[4:]:
        column.justify = "right"
    for name, metrics in manifest.metrics.items():
        recall = metrics["recall"]
        scores.add_row(
            name.replace("_", " "),
            f"{metrics['n']:,}",
            f"{metrics['accuracy']:.3f}",
            f"{metrics['balanced_accuracy']:.3f}",
            f"{metrics['negative_log_likelihood']:.3f}",
            *(f"{recall[c]:.3f}" if c in recall else "-" for c in manifest.classes),
        )
    screen.print(scores)
    screen.print("right: share of alerts; balanced: mean recall of the classes; -log p: in nats; then recall by class")
    screen.print(f"{manifest.label} is in {printable(out)}")


@contextmanager
def _progress(screen: Console) -> Iterator[Callable[[int, int, str], None]]:
    """A bar with the last line of validation; without a terminal, a line for each tenth of the work."""
    if not screen.is_terminal:
        shown = -1

        def tell(done: int, total: int, text: str) -> None:
            nonlocal shown
            if (tenth := 10 * done // total) > shown:
                shown = tenth
                click.echo(f"{done:,} of {total:,} iterations: {text}", err=True)

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("reading packets", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)
