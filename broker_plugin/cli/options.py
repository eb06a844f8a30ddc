"""Options that several commands share: which models, and where they run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from broker_plugin.cli.problems import UsageProblem, told_as_usage

if TYPE_CHECKING:
    from broker_plugin.packets import PacketReader

_Command = TypeVar("_Command", bound=Callable[..., Any])


def weights_option(command: _Command) -> _Command:
    """``--weights``."""
    return click.option(
        "--weights",
        metavar="DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Folder of bundles to look in first, laid out NAME/VERSION/bundle.json.",
    )(command)


def model_options(command: _Command) -> _Command:
    """``--bundle``, ``--weights``, ``--device``, ``--precision``, ``--threads``."""
    for option in reversed(
        (
            click.option(
                "--bundle",
                "bundles",
                metavar="NAME",
                multiple=True,
                help="Classifier to run: NAME, NAME/VERSION or a bundle's folder. May be given several times; "
                "without it, the newest version of every bundle that is found.",
            ),
            weights_option,
            click.option(
                "--device",
                metavar="NAME",
                default="auto",
                show_default=True,
                help="auto (a GPU if there is one), cpu, gpu or gpu:N.",
            ),
            click.option(
                "--precision",
                metavar="NAME",
                default="float32",
                show_default=True,
                help="Number format that the network computes in: float32, bfloat16.",
            ),
            click.option("--threads", type=click.IntRange(min=1), help="Threads for the network; all cores if absent."),
        )
    ):
        command = option(command)
    return command


def packet_options(command: _Command) -> _Command:
    """``--schema-registry``, ``--schema-cache``, ``--datum-schema``."""
    for option in reversed(
        (
            click.option(
                "--schema-registry",
                metavar="URL",
                help="Confluent-compatible registry to ask for schema ids that lsst-alert-packet lacks.",
            ),
            click.option(
                "--schema-registry-timeout",
                "schema_registry_timeout_s",
                type=click.FloatRange(min=0.0, min_open=True),
                default=5.0,
                show_default=True,
                metavar="SECONDS",
                help="How long to wait for the registry.",
            ),
            click.option(
                "--schema-cache",
                metavar="DIR",
                type=click.Path(path_type=Path, file_okay=False),
                help="Folder that keeps the registry's answers.",
            ),
            click.option(
                "--datum-schema",
                metavar="SCHEMA",
                help="Schema of packets that are bare Avro records: an .avsc file, or a name such as lsst.v10_0.",
            ),
        )
    ):
        command = option(command)
    return command


def require_registry(schema_registry: str | None, schema_cache: Path | None) -> None:
    """Refuse a folder for a registry's answers where no registry is named.

    Raises
    ------
    UsageProblem
        There is a cache and no registry.
    """
    if schema_cache is not None and schema_registry is None:
        raise UsageProblem("--schema-cache keeps a registry's answers: give --schema-registry URL too")


def packet_reader(
    schema_registry: str | None, timeout_s: float, schema_cache: Path | None, datum_schema: str | None
) -> PacketReader:
    """A reader of all fields, as `packet_options` have it.

    Raises
    ------
    UsageProblem
        The options can't be used.
    """
    from broker_plugin.packets import PacketReader, SchemaRegistry

    require_registry(schema_registry, schema_cache)
    with told_as_usage():
        registry = None
        if schema_registry is not None:
            registry = SchemaRegistry(schema_registry, timeout_s=timeout_s, cache_dir=schema_cache)
        return PacketReader(registry=registry, datum_schema=datum_schema)
