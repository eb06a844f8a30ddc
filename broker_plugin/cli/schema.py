"""``broker-plugin schema``."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import click

from broker_plugin.cli.problems import UsageProblem
from broker_plugin.cli.terminal import console, plural, printable

_SHOWN = 20


@click.group()
def schema() -> None:
    """The schema of the records, and whether a file follows it.

    \b
    For example:
      broker-plugin schema validate night.avro
    """


@schema.command()
@click.option("--version", metavar="MAJOR.MINOR", help="Version of the schema; the newest if absent.")
def show(version: str | None) -> None:
    """Print the Avro schema of a record.

    \b
    For example:
      broker-plugin schema show > classification.avsc
    """
    from broker_plugin.records.record import SCHEMA_VERSION
    from broker_plugin.records.schema import load_schema

    try:
        click.echo(json.dumps(load_schema(version or SCHEMA_VERSION), indent=2))
    except ValueError as problem:
        raise UsageProblem(str(problem)) from problem


@schema.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def validate(context: click.Context, /, file: Path) -> None:
    """Check each record of FILE (.avro, .jsonl or .parquet); ends with 1 if one is wrong.

    \b
    For example:
      broker-plugin schema validate night.avro
    """
    from broker_plugin.records.readers import scan
    from broker_plugin.records.validation import validate_file

    if not file.is_file():
        raise UsageProblem(f"{file}: {'a folder, not a file of records' if file.is_dir() else 'no such file'}")
    screen = console(stderr=True)
    try:
        with screen.status(f"reading {printable(file)}"):  # shows nothing but on a terminal
            problems = validate_file(file)
            shown = list(islice(problems, _SHOWN))
            more = sum(1 for _ in problems)
            count = 0 if shown else sum(1 for _ in scan(file))
    except ImportError as problem:
        raise UsageProblem(str(problem)) from problem
    if shown and shown[0].place == "file":  # it could not be read at all
        raise UsageProblem(shown[0].message)
    if not shown:
        click.echo(f"{plural(count, 'record')} valid")
        return
    for found in shown:
        click.echo(printable(found))
    if more:
        click.echo(f"and {plural(more, 'problem')} more")
    context.exit(1)
