"""``broker-plugin object``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker_plugin.cli.options import model_options
from broker_plugin.cli.problems import Failure, UsageProblem, described, require_png, told_as_usage
from broker_plugin.cli.terminal import bar, can_draw, console, loading_models, plural, printable, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from broker_plugin.bundles import Bundle
    from broker_plugin.cli.past import Past
    from broker_plugin.history import ObjectKey, RememberedDetection
    from broker_plugin.records.record import ClassificationRecord

_BAR_COLUMNS = 10
_WIDE = 114
"""Columns of a terminal in which all that is known of a detection stands on one line."""
_LEFT_OUT_WHERE_NARROW = ("date (UTC)", "from")
_NUMBERS = ("mag", "flux (nJy)", "+-")


@click.command("object", short_help="Show what is remembered of an object, and what is said of it.")
@click.argument("object_id", metavar="OBJECT_ID")
@click.option(
    "--store",
    required=True,
    metavar="ADDRESS",
    help="Where classify --follow remembered it: sqlite:PATH, a path, or redis://HOST:PORT/DATABASE.",
)
@click.option(
    "--survey", type=click.Choice(["ztf", "rubin"]), help="Whose object it is.  [default: by the form of the id]"
)
@click.option("--png", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw a figure too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--no-classify", is_flag=True, help="Ask no classifier: quicker, TensorFlow is not loaded.")
@model_options
def object_(
    object_id: str,
    store: str,
    survey: str | None,
    png: Path | None,
    as_json: bool,
    no_classify: bool,
    **options: Any,
) -> None:
    """Show an object's detections, as a store remembers them, and how its class probabilities moved: what temporal
    classifiers say of the two earliest detections, of the three earliest, and so on.

    \b
    For example:
      broker-plugin classify night.tar.gz -o night.avro --follow --store objects.db
      broker-plugin object ZTF21abcdefg --store objects.db --png object.png
    """
    if png is not None:
        require_png(png)
    past = _look_up(_key(object_id, survey), store, not no_classify, options)
    if as_json:
        from broker_plugin.cli.past import as_json as to_json

        click.echo(json.dumps(to_json(past), indent=2))
    else:
        _show(past, console())
    if png is not None:
        _draw(past, png)


def _key(object_id: str, survey: str | None) -> ObjectKey:
    from broker_plugin.history import ObjectKey

    if survey is None:
        if not object_id.startswith("ZTF") and not object_id.isdecimal():
            raise UsageProblem(f"{object_id} may be an object of any survey: say which with --survey")
        survey = "ztf" if object_id.startswith("ZTF") else "rubin"
    with told_as_usage():
        return ObjectKey(survey, object_id)


def _look_up(key: ObjectKey, address: str, classify: bool, options: dict[str, Any]) -> Past:
    from broker_plugin.cli.past import Past, sighting
    from broker_plugin.following import open_filled
    from broker_plugin.tensors.sequences import DetectionForm, one_of_each_exposure

    bundles = _bundles(key.survey, options)
    forms = [DetectionForm(bundle.manifest) for bundle in bundles]
    detections: Sequence[RememberedDetection] = ()
    with told_as_usage():
        for form in forms:  # each has to be that of the store
            with open_filled(address, form) as store:
                (detections,) = store.recall([key])
                shown_address = store.address
    detections = one_of_each_exposure(detections)
    if not detections:
        raise UsageProblem(f"{shown_address} holds no object {key.object_id} of {key.survey}")
    return Past(
        key,
        shown_address,
        bundles[0].manifest.stamps.channels,
        [sighting(detection, forms[0]) for detection in detections],
        _ask(bundles, key, detections, options) if classify else None,
    )


def _bundles(survey: str, options: dict[str, Any]) -> list[Bundle]:
    """The temporal bundles asked for, or all the newest, that are for this survey."""
    from broker_plugin.bundles import find_bundles, load

    with told_as_usage():
        bundles = [load(name, options["weights"]) for name in options["bundles"]] or find_bundles(options["weights"])
    found = [b for b in bundles if (b.manifest.kind, b.manifest.survey) == ("temporal", survey)]
    if not found:
        named = "of those named none is" if options["bundles"] else "none is found: name it with --bundle"
        raise UsageProblem(f"it takes a temporal bundle for {survey}, which the store was filled for, and {named}")
    return found


def _ask(
    bundles: Sequence[Bundle], key: ObjectKey, detections: Sequence[RememberedDetection], options: dict[str, Any]
) -> Mapping[str, Sequence[ClassificationRecord]]:
    from broker_plugin.following import course
    from broker_plugin.stage import load_stage

    settings = {name: options[name] for name in ("device", "precision", "threads")}
    with loading_models(show=True), told_as_usage():
        stage = load_stage([str(bundle.path) for bundle in bundles], **settings)
    produced_at = datetime.now(timezone.utc)
    classifiers = () if stage.following is None else stage.following.classifiers
    return {of.manifest.label: course(of, key, detections, produced_at) for of in classifiers}


def _draw(past: Past, png: Path) -> None:
    from broker_plugin.cli.past_figure import past_figure
    from broker_plugin.evaluation.figures.style import save

    try:
        save(past_figure(past), png)
    except OSError as problem:
        raise Failure(f"{png} can't be written: {described(problem)}") from problem
    click.echo(f"figure: {png}", err=True)


def _show(past: Past, screen: Console) -> None:
    _show_sightings(past, screen)
    if text := past.counterpart_text():
        screen.print(f"{text}\n")
    for label, records in (past.courses or {}).items():
        _show_course(label, records, len(past.sightings), screen)


def _show_sightings(past: Past, screen: Console) -> None:
    from rich.text import Text

    seen = past.sightings
    stamped = sum(one.stamps is not None for one in seen)
    title = Text(printable(past.key.object_id), style="bold")
    screen.print(
        title.append(
            f"   {plural(len(seen), 'detection')} in {printable(past.store)}, {stamped} with stamps, "
            f"over {seen[-1].mjd - seen[0].mjd:.1f} days",
            style="not bold",
        )
    )
    columns = _columns(past)
    narrow = screen.width < _WIDE
    if narrow:
        columns = {name: values for name, values in columns.items() if name not in _LEFT_OUT_WHERE_NARROW}
    rows = table(*columns, right=[name for name in columns if name in _NUMBERS])
    if narrow:
        rows.padding = (0, 1, 0, 0)
    rows.columns[0].no_wrap = True  # an id in pieces could not be copied
    for row in zip(*columns.values(), strict=True):
        rows.add_row(*row)
    screen.print(rows)


def _columns(past: Past) -> dict[str, list[str]]:
    """What is shown of each detection, by the heads of the table."""
    seen = past.sightings
    if past.in_magnitudes:
        brightness = {"mag": [_number(one.mag, 2) for one in seen], "+-": [_number(one.mag_error, 2) for one in seen]}
    else:
        brightness = {
            "flux (nJy)": [_number(one.flux_njy, 0) for one in seen],
            "+-": [_number(one.flux_error_njy, 0) for one in seen],
        }
    return {
        "alert": ["" if one.alert_id is None else str(one.alert_id) for one in seen],
        f"MJD ({past.mjd_scale.upper()})": [f"{one.mjd:.4f}" for one in seen],
        "date (UTC)": past.dates(),
        "band": [printable(one.band or "") for one in seen],
        **brightness,
        "sign": [{None: "", True: "+", False: "-"}[one.is_positive] for one in seen],
        "stamps": ["no" if one.stamps is None else "yes" for one in seen],
        "from": ["packet" if one.from_packet else "history" for one in seen],
        "AllWISE": [one.allwise or "" for one in seen],
    }


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _show_course(label: str, records: Sequence[ClassificationRecord], known: int, screen: Console) -> None:
    from rich.text import Text

    screen.print(Text(label, style="bold"))
    if not records:
        screen.print("  one detection of the object is known, and two are needed")
        return
    classes = list(dict.fromkeys(item.class_name for record in records for item in record.classifications))
    numbers = ("known", "used", "stamps")
    novelty = ["novelty"] if any(record.novelty is not None for record in records) else []
    rows = table(*numbers, *classes, *novelty, right=(*numbers, *novelty))
    blocks = can_draw(screen)
    for count, record in enumerate(records, known - len(records) + 1):
        if record.reason is not None:
            rows.add_row(str(count), "", "", Text(printable(f"{record.status}: {record.reason}"), style="red"))
            continue
        rows.add_row(
            str(count),
            str(record.detections_used),
            str(record.stamps_used),
            *(_probability(record, item.class_name, item.probability, blocks) for item in record.classifications),
            *([_number(record.novelty, 2)] if novelty else []),
        )
    screen.print(rows)


def _probability(record: ClassificationRecord, class_name: str, probability: float, blocks: bool) -> Text:
    from rich.text import Text

    drawn = f" {bar(probability, _BAR_COLUMNS, blocks=True):<{_BAR_COLUMNS}}" if blocks else ""
    return Text(f"{probability:.3f}{drawn}", style="bold green" if class_name == record.class_name else "")
