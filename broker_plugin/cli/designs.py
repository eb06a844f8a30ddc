"""``broker-plugin train designs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_plugin.cli.problems import UsageProblem, require_extra, require_paths, told_as_usage
from broker_plugin.cli.terminal import plural, printable

if TYPE_CHECKING:
    from broker_plugin.training.designs import Result


@click.command()
@click.argument("packets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKETS...")
@click.option(
    "--labels", required=True, metavar="CSV", type=click.Path(path_type=Path), help="Table as for 'train stamp'."
)
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the results and the figure; what it holds already is not done again.",
)
@click.option("--design", "names", metavar="NAME", multiple=True, help="A design to take; all without it.")
@click.option("--pretraining", type=click.IntRange(min=0), default=0, show_default=True, help="Simulated batches.")
@click.option(
    "--iterations", type=click.IntRange(min=1), default=600, show_default=True, help="Batches with real ones."
)
@click.option(
    "--simulated",
    type=click.IntRange(min=0),
    default=600,
    show_default=True,
    metavar="N",
    help="Simulated alerts of each class.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Shares of the objects.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
def designs(
    packets: tuple[Path, ...],
    labels: Path,
    out: Path,
    names: tuple[str, ...],
    pretraining: int,
    iterations: int,
    simulated: int,
    folds: int,
    seed: int,
) -> None:
    """Compare networks by accuracy and cost, each taught alike on labelled ZTF alerts; the test split stays closed.

    Takes one core and hours; after an interrupt the same command goes on. Times are those of one core.

    \b
    For example:
      broker-plugin train designs packets/ --labels labels.csv -o out/designs
    """
    require_paths((*packets, labels))
    require_extra("the comparison", "train", "keras")
    _compute_on_one_core()
    from broker_plugin.training.designs import DESIGNS, Budget, survey_designs
    from broker_plugin.training.designs_figure import write_figure

    unknown = sorted(set(names) - {design.name for design in DESIGNS})
    if unknown:
        raise UsageProblem(f"no design {unknown[0]!r}; there are {', '.join(design.name for design in DESIGNS)}")
    chosen = [design for design in DESIGNS if not names or design.name in names]
    budget = Budget(pretraining=pretraining, iterations=iterations, simulated=simulated, folds=folds, seed=seed)
    with told_as_usage():
        results = survey_designs(packets, labels, out, budget, designs=chosen, progress=_tell)
    write_figure(results, out / "designs.png")
    drawn = {result.design for result in results}
    click.echo(f"{printable(out / 'designs.png')} shows {plural(len(drawn), 'design')}")


def _compute_on_one_core() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _tell(result: Result) -> None:
    click.echo(
        f"{result.design}, fold {result.fold + 1} of {result.budget.folds}: {result.balanced_accuracy:.3f} balanced, "
        f"{result.megaflops:,.3g} MFLOP, {result.microseconds:,.0f} us per alert; {result.seconds:,.0f} s",
        err=True,
    )
