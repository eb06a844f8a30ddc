"""``broker-plugin crossmatch``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_plugin.cli.problems import Failure, UsageProblem, described, require_extra, require_paths, told_as_usage
from broker_plugin.cli.terminal import console, plural, printable, table

if TYPE_CHECKING:
    from broker_plugin.crossmatch import Counterpart

_NEEDS = ("crossmatch", "pyarrow", "astropy_healpix")


@click.group()
def crossmatch() -> None:
    """Catalogues of AllWISE, and what they have at a position.

    \b
    For example:
      broker-plugin crossmatch build allwise/*.parquet -o allwise-hats
      broker-plugin crossmatch match allwise-hats 190.3811 26.0427
    """


@crossmatch.command()
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The new catalogue.")
@click.option("--ra-column", metavar="NAME", help="Right ascension, degrees, ICRS; ra or RAJ2000 if absent.")
@click.option("--dec-column", metavar="NAME", help="Declination, degrees, ICRS; dec or DEJ2000 if absent.")
@click.option("--name-column", metavar="NAME", help="Designation; designation or AllWISE if absent.")
@click.option(
    "--column",
    "others",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Any other column that has a name of its own, such as w1mpro=W1. May be given several times.",
)
@click.option(
    "--rows-per-tile",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="Parts of the sky with more rows are divided.",
)
@click.option(
    "--chunk-rows",
    type=click.IntRange(min=1),
    default=2_000_000,
    show_default=True,
    help="Rows in memory at a time; 2 million take some 700 MB.",
)
def build(
    tables: tuple[Path, ...],
    out: Path,
    ra_column: str | None,
    dec_column: str | None,
    name_column: str | None,
    others: tuple[str, ...],
    rows_per_tile: int,
    chunk_rows: int,
) -> None:
    """Make a catalogue in HATS layout out of each TABLE: CSV (also .gz and .bz2), FITS, Parquet, or a folder of them.

    Only the columns that crossmatching needs are taken. Needs the extra: pip install 'broker-plugin[crossmatch]'.

    \b
    For example:
      broker-plugin crossmatch build allwise.csv.gz -o allwise-hats --ra-column RAJ2000 --dec-column DEJ2000
    """
    require_paths(tables)
    require_extra("a catalogue", *_NEEDS)
    from broker_plugin.crossmatch.build import InputError, build_catalogue

    columns = {"ra": ra_column, "dec": dec_column, "designation": name_column} | _renamed(others)
    if out.exists():
        raise UsageProblem(f"{out} is there already: name a new folder")
    screen, started = console(stderr=True), time.monotonic()
    try:
        with screen.status("reading") as status:  # shows nothing but on a terminal
            built = build_catalogue(
                tables,
                out,
                columns={ours: theirs for ours, theirs in columns.items() if theirs is not None},
                rows_per_tile=rows_per_tile,
                chunk_rows=chunk_rows,
                report=status.update,
            )
    except InputError as problem:
        raise UsageProblem(printable(problem)) from problem
    except OSError as problem:
        raise Failure(described(problem)) from problem
    left_out = f", {built.left_out:,} left out that have no position" if built.left_out else ""
    click.echo(
        f"{printable(out)}: {plural(built.rows, 'row')} in {plural(built.tiles, 'tile')}, {built.nbytes / 1e6:,.1f} MB,"
        f" in {time.monotonic() - started:.1f} s{left_out}"
    )


@crossmatch.command(context_settings={"ignore_unknown_options": True})  # a declination may begin with a minus
@click.argument("catalogue", type=click.Path(path_type=Path))
@click.argument("ra", type=float)
@click.argument("dec", type=float)
@click.option(
    "--radius",
    "radius_arcsec",
    type=float,
    default=3.0,
    show_default=True,
    metavar="ARCSEC",
    help="How far the counterpart may be.",
)
@click.pass_context
def match(context: click.Context, /, catalogue: Path, ra: float, dec: float, radius_arcsec: float) -> None:
    """Show what CATALOGUE has at RA and DEC, in degrees; ends with 1 if that can't be told.

    Needs the extra: pip install 'broker-plugin[crossmatch]'.

    \b
    For example:
      broker-plugin crossmatch match allwise-hats 190.3811 26.0427 --radius 6
    """
    require_paths((catalogue,))
    require_extra("a look-up", *_NEEDS)
    from broker_plugin.crossmatch import HatsCatalogue, Position

    with told_as_usage():
        opened = HatsCatalogue(catalogue, radius_arcsec=radius_arcsec)
    [found] = opened.match([Position(ra, dec)])
    if found.counterpart is not None:
        _show(found.counterpart)
        return
    click.echo(printable(found.detail))
    if found.not_looked_up is not None:
        context.exit(1)


def _show(found: Counterpart) -> None:
    screen = console()
    separation = "unknown" if found.separation_arcsec is None else f"{found.separation_arcsec:.3f} arcsec"
    screen.print(f"{printable(found.name)}, separation {separation} ({printable(found.source)})")
    bands = table("band", "mag (Vega)", "error", "colour", right=("mag (Vega)", "error", "colour"))
    rows = (
        ("W1", found.w1_mag, found.w1_err_mag, "W1-W2", found.w1_w2_mag),
        ("W2", found.w2_mag, found.w2_err_mag, "W2-W3", found.w2_w3_mag),
        ("W3", found.w3_mag, found.w3_err_mag, "W3-W4", found.w3_w4_mag),
        ("W4", found.w4_mag, found.w4_err_mag, "", None),
    )
    for band, magnitude, error, colour, difference in rows:
        shown = "" if difference is None else f"{colour}  {difference:6.3f}"
        bands.add_row(band, _three_decimals(magnitude), _three_decimals(error), shown)
    screen.print(bands)


def _three_decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _renamed(others: tuple[str, ...]) -> dict[str, str | None]:
    from broker_plugin.crossmatch.columns import NAMES

    renamed: dict[str, str | None] = {}
    for text in others:
        ours, equals, theirs = text.partition("=")
        if not equals or not theirs or ours not in NAMES:
            raise UsageProblem(f"--column {text}: it must be OURS=THEIRS, and OURS one of {', '.join(NAMES)}")
        renamed[ours] = theirs
    return renamed
