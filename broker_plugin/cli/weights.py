"""``broker-plugin weights``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_plugin.cli.options import weights_option
from broker_plugin.cli.problems import told_as_usage
from broker_plugin.cli.terminal import console, plural, printable, table

if TYPE_CHECKING:
    from broker_plugin.bundles import Bundle
    from broker_plugin.bundles.store import BrokenBundle


@click.group()
def weights() -> None:
    """The bundles of weights that are found.

    \b
    For example:
      broker-plugin weights list
    """


@weights.command("list")
@weights_option
def list_bundles(weights: Path | None) -> None:
    """List the bundles found, and the broken ones with what is wrong.

    \b
    For example:
      broker-plugin weights list --weights my-weights
    """
    bundles, broken = _search(weights)
    screen = console()
    if bundles:
        found = table("bundle", "survey", "kind", "classes", "precision", "origin", "path")
        for bundle in bundles:
            manifest = bundle.manifest
            found.add_row(
                manifest.label,
                manifest.survey,
                manifest.kind,
                ", ".join(manifest.classes),
                ", ".join(manifest.model.signatures),
                bundle.origin,
                printable(bundle.path),
            )
        screen.print(found)
    else:
        screen.print("no bundles found: give --weights DIR, or set BROKER_PLUGIN_WEIGHTS to their folder")
    if broken:
        problems = table("broken", "origin", "what is wrong")
        for item in broken:
            problems.add_row(printable(item.where), item.origin, printable(item.problem))
        screen.print(problems)


@weights.command()
@weights_option
@click.pass_context
def verify(context: click.Context, /, weights: Path | None) -> None:
    """Compare every file of every bundle with its SHA-256; ends with 1 if one differs.

    \b
    For example:
      broker-plugin weights verify
    """
    from broker_plugin.bundles import BundleError
    from broker_plugin.bundles import verify as verify_digests

    bundles, broken = _search(weights)
    outcomes = table("bundle", "files", "digests", right=["files"])
    failed = len(broken)
    for bundle in bundles:
        try:
            verify_digests(bundle)
            outcome = "good"
        except (BundleError, OSError) as problem:
            failed += 1
            outcome = f"FAILED: {problem}"
        outcomes.add_row(bundle.manifest.label, str(len(bundle.manifest.files)), printable(outcome))
    for item in broken:
        outcomes.add_row(printable(item.where), "", printable(f"FAILED: {item.problem}"))
    screen = console()
    if bundles or broken:
        screen.print(outcomes)
    screen.print(f"{plural(len(bundles) + len(broken), 'bundle')}, {failed} failed")
    if failed:
        context.exit(1)


def _search(weights: Path | None) -> tuple[list[Bundle], list[BrokenBundle]]:
    from broker_plugin.bundles.store import search

    with told_as_usage():
        return search(weights)
