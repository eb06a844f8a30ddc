"""``broker-plugin simulate``."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import click

from broker_plugin.cli.problems import UsageProblem, described
from broker_plugin.cli.terminal import console, printable


@click.command()
@click.option("-n", "count", type=click.IntRange(min=1), required=True, metavar="N", help="How many alerts.")
@click.option("--survey", type=click.Choice(["ztf", "rubin"]), required=True, help="In whose format.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Equal seeds give equal alerts.")
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="A folder for the packets and labels.csv, or a file whose name ends in .tar.",
)
def simulate(count: int, survey: str, seed: int, out: Path) -> None:
    """Draw synthetic alerts: AGN, SN, VS, asteroid and bogus in turn, as packets of a survey.

    \b
    For example:
      broker-plugin simulate -n 1000 --survey ztf --seed 1 -o simulated/
    """
    if out.suffix != ".tar" and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageProblem(f"{out} is there already: name a new folder, or a file that ends in .tar")
    from rich.progress import track

    from broker_plugin.simulation import write_packets

    screen = console(stderr=True)
    started, classes = time.perf_counter(), Counter[str]()
    try:
        packets = write_packets(out, survey, count, seed)
        hidden = not screen.is_terminal
        for packet in track(packets, "simulating", total=count, console=screen, transient=True, disable=hidden):
            classes[packet.class_name] += 1
    except OSError as problem:
        raise UsageProblem(described(problem)) from problem
    drawn = ", ".join(f"{number:,} {name}" for name, number in classes.items())
    rate = count / (time.perf_counter() - started)
    screen.print(f"{count:,} {survey} alerts in {printable(out)} ({drawn}); {rate:,.0f} a second", highlight=False)
