"""``broker-plugin explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_plugin.cli.options import packet_options, packet_reader, weights_option
from broker_plugin.cli.problems import Failure, UsageProblem, described, require_png, told_as_usage
from broker_plugin.cli.terminal import console, loading_models, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from broker_plugin.alert import Alert
    from broker_plugin.bundles import Bundle
    from broker_plugin.evaluation.explanation import Explanation
    from broker_plugin.models import Model
    from broker_plugin.packets import PacketReader


@click.command(short_help="Show which pixels and metadata an answer rests on.")
@click.argument("packet", metavar="PACKET")
@click.option("--index", type=click.IntRange(min=0), help="Number of the packet in a file of several, from 0.")
@click.option("--bundle", "name", metavar="NAME", help="Classifier to ask: NAME, NAME/VERSION or a bundle's folder.")
@click.option("--class", "class_name", metavar="CLASS", help="Class to explain, in place of the highest.")
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw a figure too.")
@weights_option
@packet_options
def explain(
    packet: str,
    index: int | None,
    name: str | None,
    class_name: str | None,
    png: Path | None,
    weights: Path | None,
    schema_registry: str | None,
    schema_registry_timeout_s: float,
    schema_cache: Path | None,
    datum_schema: str | None,
) -> None:
    """Show which pixels and which metadata speak for the class that a classifier says, and which against it.

    PACKET is a file, FILE#N for packet N (from 0) of a container or archive, or the source of a record.

    \b
    For example:
      broker-plugin explain packet.avro --png why.png
      broker-plugin explain night.avro#17 --bundle stamp-ztf --class SN
    """
    if png is not None:
        require_png(png)
    reader = packet_reader(schema_registry, schema_registry_timeout_s, schema_cache, datum_schema)
    alert = _alert(packet, index, reader)
    model = _model(_bundle(alert, name, weights))
    explained = _explain(model, alert, class_name)
    label = model.bundle.manifest.label
    _show(console(), explained, label)
    if png is not None:
        _draw(png, explained, f"{label}   alert {alert.identity.alert_id}")


def _alert(name: str, index: int | None, reader: PacketReader) -> Alert:
    from broker_plugin.alert import Rejected
    from broker_plugin.cli.inspection import find_packet

    packet, _ = find_packet(name, index, reader)
    if isinstance(packet, Rejected):
        raise Failure(f"{name} can't be read: {packet.reason.value}: {packet.detail}")
    return packet


def _bundle(alert: Alert, name: str | None, weights: Path | None) -> Bundle:
    """The classifier asked for, or the only one for the alert's survey."""
    from broker_plugin.bundles import find_bundles, load, verify

    survey = alert.identity.survey
    with told_as_usage():
        if name is not None:
            chosen = load(name, weights)
            if chosen.manifest.survey != survey:
                raise UsageProblem(
                    f"{chosen.manifest.label} is for {chosen.manifest.survey} alerts; this is of {survey}"
                )
            return chosen
        found = [b for b in find_bundles(weights) if (b.manifest.survey, b.manifest.kind) == (survey, "stamp")]
        if len(found) != 1:
            names = ", ".join(bundle.manifest.name for bundle in found) or "none"
            raise UsageProblem(f"classifiers found for survey {survey}: {names}; name one with --bundle")
        verify(found[0])
        return found[0]


def _model(bundle: Bundle) -> Model:
    with loading_models(show=True), told_as_usage():
        from broker_plugin.models import Runtime

        return Runtime().load(bundle)


def _explain(model: Model, alert: Alert, class_name: str | None) -> Explanation:
    from broker_plugin.alert import AlertError
    from broker_plugin.evaluation.explanation import explain as explain_alert

    try:
        return explain_alert(model, alert, class_name)
    except AlertError as problem:
        raise Failure(f"it can't be classified: {problem}") from problem
    except ValueError as problem:
        raise UsageProblem(str(problem)) from problem


def _show(screen: Console, explained: Explanation, label: str) -> None:
    said = "  ".join(f"{name} {probability:.3f}" for name, probability in explained.probabilities.items())
    screen.print(f"{label}: {said}")
    screen.print(f"why {explained.class_name}, {explained.probability:.3f}:")
    stamps = table("stamp", "if blank", "integrated gradients", right=["if blank", "integrated gradients"])
    for stamp in explained.stamps:
        stamps.add_row(stamp.name, _signed(-stamp.effect), _signed(stamp.integrated_gradients.sum()))
    blank = explained.blank_probability - explained.probability
    stamps.add_row("all", _signed(blank), _signed(-blank - explained.residual))
    screen.print(stamps)
    features = table("feature", "value", "if missing", right=["value", "if missing"])
    for one in explained.features:
        value = "missing" if one.value is None else f"{one.value:.4g}"
        features.add_row(printable(one.name), value, _signed(-one.effect))
    screen.print(features)
    screen.print(f"if blank, if missing: how the probability of {explained.class_name} would change")


def _signed(change: float) -> str:
    return f"{round(change, 3) + 0.0:+.3f}"  # no -0.000


def _draw(png: Path, explained: Explanation, title: str) -> None:
    from broker_plugin.evaluation.figures.explanation import explanation_figure
    from broker_plugin.evaluation.figures.style import save

    full_title = f"{title}\nwhy {explained.class_name}, probability {explained.probability:.3f}"
    try:
        save(explanation_figure(explained, full_title), png)
    except OSError as problem:
        raise Failure(f"{png} can't be written: {described(problem)}") from problem
    click.echo(f"figure: {png}", err=True)
