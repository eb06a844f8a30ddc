"""``broker-plugin weights``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_plugin.cli.options import weights_option
from broker_plugin.cli.problems import refuse_to_overwrite, require_extra, require_paths, told_as_usage
from broker_plugin.cli.terminal import console, plural, printable, table

if TYPE_CHECKING:
    from broker_plugin.bundles import Bundle
    from broker_plugin.bundles.store import BrokenBundle


@click.group()
def weights() -> None:
    """The bundles of weights that are found, and the import of others' weights.

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


@weights.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--layout",
    required=True,
    type=click.Choice(["alerce-2021"]),
    help="Whose network it is: Carrasco-Davis et al. 2021.",
)
@click.option("-o", "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The bundle's folder.")
@click.option(
    "--feature-stats",
    metavar="CSV",
    type=click.Path(path_type=Path),
    help="Table with the columns name, mean and std: of each feature after its clip. Needed where there are features.",
)
@click.option("--name", default="alerce-2021", show_default=True, help="Name of the bundle.")
@click.option("--version", default="0.1.0", show_default=True, help="Version of the bundle: MAJOR.MINOR.PATCH.")
def import_weights(
    checkpoint: Path, layout: str, out: Path, feature_stats: Path | None, name: str, version: str
) -> None:
    """Make a bundle of a TensorFlow 1 CHECKPOINT: its prefix, one of its files or its folder.

    Nothing is unpickled. Needs the extra: pip install 'broker-plugin[train]'.

    \b
    For example:
      broker-plugin weights import results/model/checkpoints/model --layout alerce-2021 \\
        --feature-stats stats.csv -o weights/alerce-2021/0.1.0
    """
    require_paths((feature_stats,) if feature_stats else ())
    refuse_to_overwrite(out)
    require_extra("the import", "train", "keras")
    from broker_plugin.training.published import import_checkpoint

    command = shlex.join(["broker-plugin", *sys.argv[1:]])
    with told_as_usage():
        manifest = import_checkpoint(
            checkpoint, out, feature_stats=feature_stats, name=name, version=version, command=command
        )
    screen = console()
    screen.print(f"{manifest.description} Features: {', '.join(f.name for f in manifest.features) or 'none'}.")
    screen.print(f"{manifest.label} is in {printable(out)}")


def _search(weights: Path | None) -> tuple[list[Bundle], list[BrokenBundle]]:
    from broker_plugin.bundles.store import search

    with told_as_usage():
        return search(weights)
