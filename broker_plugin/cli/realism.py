"""``broker-plugin realism``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_plugin.cli.options import weights_option
from broker_plugin.cli.problems import UsageProblem, described, require_paths, told_as_usage
from broker_plugin.cli.terminal import console, printable, table

if TYPE_CHECKING:
    from broker_plugin.bundles import Manifest
    from broker_plugin.evaluation.examples import Examples
    from broker_plugin.evaluation.realism import Comparison

_TOP = 8


@click.command(short_help="Compare simulated alerts with real ones.")
@click.argument("packets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKETS...")
@click.option(
    "--labels",
    required=True,
    metavar="CSV",
    type=click.Path(path_type=Path),
    help="Table with the columns candid (or alert_id) and label; rows whose split is test are left out.",
)
@click.option("--survey", type=click.Choice(["ztf", "rubin"]), required=True, help="Whose alerts.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=100),
    default=2000,
    show_default=True,
    metavar="N",
    help="How many alerts to simulate.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the simulation.")
@click.option(
    "--report",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for index.html, its figures and realism.json.",
)
@weights_option
def realism(
    packets: tuple[Path, ...], labels: Path, survey: str, count: int, seed: int, report: Path, weights: Path | None
) -> None:
    """Compare simulated alerts with real ones: distributions by class, and a classifier told to tell them apart. Needs
    the extras: pip install 'broker-plugin[report,train]'.

    \b
    For example:
      broker-plugin realism packets/ --labels labels.csv --survey ztf --report realism-ztf/
    """
    require_paths((*packets, labels))
    missing = [name for name in ("galsim", "matplotlib", "sklearn") if find_spec(name) is None]
    if missing:
        raise UsageProblem(f"{missing[0]} is not installed: pip install 'broker-plugin[report,train]'")
    from broker_plugin.bundles import find_verified
    from broker_plugin.evaluation.realism import compare, measure
    from broker_plugin.evaluation.realism_report import PAGE_NAME, write_report

    screen = console(stderr=True)
    with told_as_usage(), screen.status("reading and simulating") as status:
        manifests = [bundle.manifest for bundle in find_verified(weights) if bundle.manifest.kind == "stamp"]
        manifest = next((manifest for manifest in manifests if manifest.survey == survey), None)
        if manifest is None:
            raise UsageProblem(f"no bundle for {survey} is found, whose features could be compared")
        real = _real(packets, labels, manifest)
        simulated = _simulated(count, seed, manifest)
        status.update("measuring")
        sides = (real, measure(real, manifest)), (simulated, measure(simulated, manifest))
        status.update("telling real from simulated")
        comparison = compare(sides[0][1], sides[1][1])
    try:
        write_report(report, survey, *sides, comparison)
    except OSError as problem:
        raise UsageProblem(described(problem)) from problem
    _show(comparison)
    numbers = f"{len(sides[0][1]):,} real and {len(sides[1][1]):,} simulated alerts"
    screen.print(f"{numbers}; see {printable(report / PAGE_NAME)}")


def _real(packets: tuple[Path, ...], labels: Path, manifest: Manifest) -> Examples:
    from broker_plugin.evaluation.examples import load_examples, read_labels

    known = {alert_id: label for alert_id, label in read_labels(labels).items() if label.split != "test"}
    return load_examples(packets, known, manifest.survey, manifest.features)


def _simulated(count: int, seed: int, manifest: Manifest) -> Examples:
    from broker_plugin.alert import Alert
    from broker_plugin.evaluation.examples import Examples, Label
    from broker_plugin.packets import PacketReader
    from broker_plugin.simulation import simulate_packets
    from broker_plugin.tensors import needed_fields, needs_history

    reader = PacketReader(needed_fields(manifest.features), history=needs_history(manifest.features))
    alerts, labels = [], []
    for packet in simulate_packets(manifest.survey, count, seed):
        alert = reader.read(packet.payload)
        if isinstance(alert, Alert):
            alerts.append(alert)
            labels.append(Label(packet.class_name, object_id=packet.object_id))
    return Examples(alerts, labels)


def _show(comparison: Comparison) -> None:
    screen = console()
    areas = table("told apart by", "AUC", right=["AUC"])
    for given, area in comparison.auc.items():
        areas.add_row(given, f"{area:.3f}")
    for class_name, area in comparison.auc_by_class.items():
        areas.add_row(f"all, {class_name}", f"{area:.3f}")
    screen.print(areas)
    uses = table("given away by", "loss of AUC", right=["loss of AUC"])
    for name, loss in list(comparison.importance.items())[:_TOP]:
        uses.add_row(name, f"{loss:.4f}")
    screen.print(uses)
