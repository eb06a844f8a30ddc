"""``broker-plugin plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from broker_plugin.cli.terminal import console, printable, table

if TYPE_CHECKING:
    from broker_plugin.host import Host


@click.command(short_help="List the stages that are installed.")
def plugins() -> None:
    """List the stages that are installed, and those that don't load with what is wrong.

    They are found through the entry points of the group broker_plugin and asked who they are; none is set up.
    BROKER_PLUGIN_LOAD and BROKER_PLUGIN_DISABLED are heeded.

    \b
    For example:
      broker-plugin plugins
    """
    host = _make_host()
    screen = console()
    if host.plugins:
        found = table("name", "version", "spec_version", "surveys", "needs_cutouts", "min_detections", "entry point")
        for entry_point, info in host.plugins:
            found.add_row(
                printable(info.name),
                printable(info.version),
                str(info.spec_version),
                printable(", ".join(info.surveys)) or "none",
                "yes" if info.needs_cutouts else "no",
                str(info.min_detections),
                printable(entry_point),
            )
        screen.print(found)
    else:
        screen.print("no stages found")
    if host.failures:
        failed = table("failed", "what it names", "why")
        for failure in host.failures:
            failed.add_row(printable(failure.name), printable(failure.value), printable(failure.error))
        screen.print(failed)


def _make_host() -> Host:
    from broker_plugin import host

    # It logs each failure with its traceback, and the table below says the same in one line.
    was_disabled, host.logger.disabled = host.logger.disabled, True
    try:
        return host.Host()
    finally:
        host.logger.disabled = was_disabled
