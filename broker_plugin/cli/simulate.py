"""``broker-plugin simulate``."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import click

from broker_plugin.cli.problems import UsageProblem, described
from broker_plugin.cli.terminal import console, printable


def _range(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    """The two numbers of ``MIN:MAX``; one number is both."""
    fewest, _, most = text.partition(":")
    try:
        numbers = int(fewest), int(most or fewest)
    except ValueError as problem:
        raise click.BadParameter(f"{text!r} is not MIN:MAX") from problem
    if not 1 <= numbers[0] <= numbers[1]:
        raise click.BadParameter(f"{text!r} is no range from 1 up")
    return numbers


def _names(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    """The classes of ``A,B,...``."""
    from broker_plugin.simulation import CLASSES

    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in CLASSES]:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(CLASSES)}")
    return names


@click.command()
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="How many alerts; with --detections, of how many objects.",
)
@click.option("--survey", type=click.Choice(["ztf", "rubin"]), required=True, help="In whose format.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Equal seeds give equal alerts.")
@click.option(
    "--detections",
    callback=_range,
    default="1:1",
    metavar="MIN:MAX",
    help="Draw each object so many times, with light curves; an asteroid is met once.",
)
@click.option(
    "--classes",
    callback=_names,
    default="AGN,SN,VS,asteroid,bogus",
    show_default=True,
    metavar="A,B,...",
    help="Which classes to draw, in turn.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="A folder for the packets, labels.csv and allwise.csv, or a file whose name ends in .tar.",
)
def simulate(
    count: int, survey: str, seed: int, detections: tuple[int, int], classes: tuple[str, ...], out: Path
) -> None:
    """Draw synthetic alerts as packets of a survey, and what AllWISE has around them. Needs the extra:
    pip install 'broker-plugin[train]'.

    \b
    For example:
      broker-plugin simulate -n 1000 --survey ztf --seed 1 -o simulated/
      broker-plugin simulate -n 200 --survey rubin --detections 2:5 -o sequences.tar
      broker-plugin simulate -n 300 --survey ztf --detections 2:5 --classes AGN,SN,VS -o sequences/
    """
    if out.suffix != ".tar" and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageProblem(f"{out} is there already: name a new folder, or a file that ends in .tar")
    from rich.progress import track

    from broker_plugin.simulation import write_packets

    screen = console(stderr=True)
    started, counts = time.perf_counter(), Counter[str]()
    try:
        drawn = write_packets(out, survey, count, seed, detections, classes)
        hidden = not screen.is_terminal
        total = count if detections == (1, 1) else None
        for packet in track(drawn, "simulating", total=total, console=screen, transient=True, disable=hidden):
            counts[packet.class_name] += 1
    except ImportError as problem:
        raise UsageProblem(str(problem)) from problem
    except OSError as problem:
        raise UsageProblem(described(problem)) from problem
    alerts = counts.total()
    by_class = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    rate = alerts / (time.perf_counter() - started)
    screen.print(f"{alerts:,} {survey} alerts in {printable(out)} ({by_class}); {rate:,.0f} a second", highlight=False)
