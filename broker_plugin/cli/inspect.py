"""``broker-plugin inspect``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker_plugin.cli.options import model_options, packet_options, packet_reader
from broker_plugin.cli.problems import Failure, described, require_png, told_as_usage
from broker_plugin.cli.terminal import bar, can_draw, console, loading_models, plural, printable

if TYPE_CHECKING:
    from rich.console import Console

    from broker_plugin.alert import Alert, Rejected
    from broker_plugin.bundles import Bundle
    from broker_plugin.cli.inspection import Inspection
    from broker_plugin.packets import PacketReader
    from broker_plugin.records.record import ClassificationRecord

_GAP = 2
_WIDEST = 200
"""Columns beyond which the stamps don't grow."""
_BAR_COLUMNS = 40
_MJD_EPOCH = datetime(1858, 11, 17)  # midnight, in whichever scale the MJD has


@click.command(short_help="Show what is in a packet, and what is said of it.")
@click.argument("packet", metavar="PACKET")
@click.option("--index", type=click.IntRange(min=0), help="Number of the packet in a file of several, from 0.")
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw a figure too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--no-classify", is_flag=True, help="Ask no classifier: quicker, TensorFlow is not loaded.")
@model_options
@packet_options
def inspect(
    packet: str,
    index: int | None,
    png: Path | None,
    as_json: bool,
    no_classify: bool,
    schema_registry: str | None,
    schema_registry_timeout_s: float,
    schema_cache: Path | None,
    datum_schema: str | None,
    **options: Any,
) -> None:
    """Show what is in a packet: identity, metadata, stamps, and what each classifier says of it.

    PACKET is a file, FILE#N for packet N (from 0) of a container or archive, or the source of a record.

    \b
    For example:
      broker-plugin inspect packet.avro
      broker-plugin inspect night.avro#17 --png alert.png
    """
    if png is not None:
        require_png(png)
    reader = packet_reader(schema_registry, schema_registry_timeout_s, schema_cache, datum_schema)
    seen = _look(packet, index, reader, not no_classify, options)
    if as_json:
        from broker_plugin.cli.inspection import as_json as to_json

        click.echo(json.dumps(to_json(seen), indent=2, default=str))
    else:
        _show(seen, console())
    if png is not None:
        _draw(seen, png)


def _look(name: str, index: int | None, reader: PacketReader, classify: bool, options: dict[str, Any]) -> Inspection:
    from broker_plugin.alert import Alert
    from broker_plugin.cli.inspection import Inspection, find_packet, read_planes, read_stamps

    packet, has_neighbours = find_packet(name, index, reader)
    bundles = _bundles(packet.identity.survey, options)
    if not isinstance(packet, Alert):
        return Inspection(packet, has_neighbours, {}, None, bundles, None)
    records = _ask(packet, bundles, options) if classify else None
    stamps, planes = read_stamps(packet), read_planes(packet)
    return Inspection(packet, has_neighbours, stamps, planes, bundles, records)


def _bundles(survey: str | None, options: dict[str, Any]) -> list[Bundle]:
    """The bundles asked for, or all the newest, that are for this survey."""
    from broker_plugin.bundles import find_bundles, load

    with told_as_usage():
        bundles = [load(name, options["weights"]) for name in options["bundles"]]
        if not bundles:
            bundles = [bundle for bundle in find_bundles(options["weights"]) if bundle.manifest.kind == "stamp"]
        return [bundle for bundle in bundles if bundle.manifest.survey == survey]


def _ask(alert: Alert, bundles: Sequence[Bundle], options: dict[str, Any]) -> list[ClassificationRecord]:
    if not bundles:
        return []
    from broker_plugin.stage import load_stage

    settings = {name: options[name] for name in ("device", "precision", "threads")}
    with loading_models(show=True), told_as_usage():
        stage = load_stage([str(bundle.path) for bundle in bundles], max_batch=1, **settings)
    return stage.on_alert(alert)


def _draw(seen: Inspection, png: Path) -> None:
    from broker_plugin.alert import Rejected

    if isinstance(seen.packet, Rejected):
        raise Failure(f"{png} is not drawn: the packet can't be read ({seen.packet.reason.value})")
    from broker_plugin.cli.figure import write_figure

    try:
        write_figure(seen, png)
    except OSError as problem:
        raise Failure(f"{png} can't be written: {described(problem)}") from problem
    click.echo(f"figure: {png}", err=True)


def _show(seen: Inspection, screen: Console) -> None:
    from broker_plugin.alert import Alert

    if isinstance(seen.packet, Alert):
        _show_stamps(seen, screen)
    _show_facts(seen, screen)
    if isinstance(seen.packet, Alert):
        _show_answers(seen, screen)
    else:
        _show_rejection(seen.packet, screen)


def _show_stamps(seen: Inspection, screen: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from broker_plugin.alert import AlertError
    from broker_plugin.cli.drawing import draw, panel_columns
    from broker_plugin.cli.inspection import FLUX_UNIT

    unit = FLUX_UNIT[seen.packet.identity.survey or ""]
    columns = panel_columns(min(screen.width, _WIDEST), len(seen.stamps), _GAP)
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    for _ in seen.stamps:
        grid.add_column(max_width=columns, overflow="fold")
    grid.add_row(*(Text(name, style="bold") for name in seen.stamps))
    panels, captions = [], []
    for name, stamp in seen.stamps.items():
        if isinstance(stamp, AlertError):
            panels.append(Text(printable(stamp.detail), style="red"))
            captions.append("")
        else:
            panels.append(draw(stamp.pixels, name, columns, screen))
            captions.append(_caption(stamp.pixels, unit))
    grid.add_row(*panels)
    grid.add_row(*(Text(caption, style="dim") for caption in captions))
    screen.print(grid)


def _caption(pixels: Any, unit: str) -> str:
    import numpy as np

    finite = pixels[np.isfinite(pixels)]
    size = f"{pixels.shape[1]} x {pixels.shape[0]}"
    if finite.size == 0:
        return f"{size}, no value at all"
    missing = f", {1.0 - finite.size / pixels.size:.0%} no value" if finite.size < pixels.size else ""
    return f"{size}, {finite.min():.4g} to {finite.max():.4g} {unit}{missing}"


def _show_facts(seen: Inspection, screen: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from broker_plugin.alert import Alert
    from broker_plugin.cli.fields import grouped

    facts = Table.grid(padding=(0, 3, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    groups = [("packet", _identity_rows(seen))]
    if isinstance(seen.packet, Alert):
        groups += grouped(seen.packet)
        bad_history = [("can't be read", seen.packet.history_problem)] if seen.packet.history_problem else None
        groups.append(("history in the packet", bad_history or _history_rows(seen.packet)))
    if seen.planes is not None:
        groups.append(("science stamp", _plane_rows(seen)))
    for title, rows in groups:
        facts.add_row("", "")
        facts.add_row(Text(title, style="bold"), "")
        for name, value in rows:
            style = "dim" if value == "missing" else ""
            facts.add_row(Text(f"  {printable(name)}", style=style), Text(printable(value), style=style))
    screen.print(facts)
    screen.print()


def _identity_rows(seen: Inspection) -> list[tuple[str, str]]:
    from broker_plugin.cli.fields import shown

    identity = seen.packet.identity
    kind = f" ({identity.object_id_kind})" if identity.object_id_kind else ""
    rows = [
        ("survey", shown(identity.survey)),
        ("alert", shown(identity.alert_id)),
        ("object", f"{shown(identity.object_id)}{kind}"),
        ("time", "missing" if identity.mjd is None else _time(identity.mjd, identity.mjd_scale)),
        ("position", _position(identity.ra_deg, identity.dec_deg)),
        ("band", shown(identity.band)),
        ("schema", shown(identity.input_schema)),
        ("source", shown(identity.source)),
    ]
    if seen.has_neighbours:
        rows.append(("others", "the file holds several packets: name one with FILE#N or --index N"))
    return rows


def _time(mjd: float, scale: str | None) -> str:
    label = (scale or "").upper()
    try:
        date = f" = {_MJD_EPOCH + timedelta(days=mjd):%Y-%m-%d %H:%M:%S}"
    except OverflowError:  # no calendar has that day
        date = ""
    return f"MJD {mjd:.5f}{date} {label}".rstrip()


def _position(ra_deg: float | None, dec_deg: float | None) -> str:
    if ra_deg is None or dec_deg is None:
        return "missing"
    return f"RA {ra_deg:.6f} Dec {dec_deg:+.6f} deg (ICRS)"


def _history_rows(alert: Alert) -> list[tuple[str, str]]:
    rows = [("detections", plural(len(alert.history), "earlier detection"))]
    if alert.history:
        first, last = alert.history[0].mjd, alert.history[-1].mjd
        rows.append(("span", f"MJD {first:.3f} to {last:.3f} ({last - first:.1f} days)"))
    if alert.identity.survey == "ztf" and alert.non_detections is not None:
        rows.append(("upper limits", f"{alert.non_detections:,}"))
    return rows


def _plane_rows(seen: Inspection) -> list[tuple[str, str]]:
    import numpy as np

    from broker_plugin.cli.inspection import PIXEL_ARCSEC, psf_fwhm_pixels

    planes = seen.planes
    rows: list[tuple[str, str]] = []
    if planes is None:
        return rows
    if planes.variance is not None:
        median = float(np.nanmedian(planes.variance))
        rows.append(("variance", f"median {median:.4g} nJy^2, a noise of {max(median, 0.0) ** 0.5:.4g} nJy"))
    if planes.psf is not None:
        fwhm = psf_fwhm_pixels(planes.psf)
        size = f"{planes.psf.shape[1]} x {planes.psf.shape[0]} pixels"
        rows.append(("PSF", f"{size}, FWHM {fwhm:.1f} pixels = {fwhm * PIXEL_ARCSEC['rubin']:.2f} arcsec"))
    if planes.north_deg is not None:
        turn = "counter-clockwise" if planes.north_deg >= 0 else "clockwise"
        rows.append(("north", f"{abs(planes.north_deg):.1f} deg {turn} from up"))
    return rows


def _show_rejection(packet: Rejected, screen: Console) -> None:
    from rich.text import Text

    screen.print(Text(f"{packet.reason.status.value}: {packet.reason.value}", style="bold red"))
    screen.print(printable(packet.detail))


def _show_answers(seen: Inspection, screen: Console) -> None:
    from rich.text import Text

    if seen.records is None:
        return
    if not seen.records:
        survey = seen.packet.identity.survey
        screen.print(f"no classifier for survey {survey} found: see 'broker-plugin weights list'")
    blocks = can_draw(screen)
    for record in seen.records:
        precision = f", {record.precision}" if record.precision else ""
        novelty = f", novelty {record.novelty:.2f}" if record.novelty is not None else ""
        title = Text(f"{record.classifier_name}/{record.classifier_version}", style="bold")
        screen.print(title.append(f"{precision}{novelty}", style="not bold"))
        if record.reason is not None:
            screen.print(Text(f"  {record.status}: {record.reason}", style="red"))
            screen.print(f"  {printable(record.detail)}")
        width = max((len(item.class_name) for item in record.classifications), default=0)
        for item in record.classifications:
            style = "bold green" if item.class_name == record.class_name else ""
            drawn = bar(item.probability, _BAR_COLUMNS, blocks=blocks)
            screen.print(Text(f"  {item.class_name:<{width}}  {item.probability:.3f}  {drawn}", style=style))
        if record.imputed_features:
            screen.print(f"  not in the packet, imputed: {', '.join(record.imputed_features)}")
        screen.print()
