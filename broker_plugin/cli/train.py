"""``broker-plugin train``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from broker_plugin.cli.problems import UsageProblem, described, refuse_to_overwrite, require_extra, require_paths
from broker_plugin.cli.terminal import console, fit_progress, plural, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from broker_plugin.bundles import Manifest

_PRESETS = ("fast", "polar", "paper-2021", "paper-2021-5x5", "paper-2021-images", "enhanced-2024")
_BEST_SHOWN = 10


@click.group()
def train() -> None:
    """Fit a classifier to labelled packets. Needs the extra: pip install 'broker-plugin[train]'.

    \b
    For example:
      broker-plugin train stamp packets/ --labels labels.csv --survey ztf -o weights/my-stamp/0.1.0
      broker-plugin train search packets/ --labels labels.csv --survey ztf --trials 50 --study s.db -o best.json
    """


def _labels_option(*, required: bool) -> Callable[[Any], Any]:
    return click.option(
        "--labels",
        required=required,
        metavar="CSV",
        type=click.Path(path_type=Path),
        help="Table with the columns candid (or alert_id) and label; object_id, split and label_trust are used if "
        "there.",
    )


@train.command()
@click.argument("packets", nargs=-1, type=click.Path(path_type=Path), metavar="PACKETS...")
@_labels_option(required=False)
@click.option("-o", "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The bundle's folder.")
@click.option("--survey", type=click.Choice(["ztf", "rubin"]), help="Whose alerts to learn from, where both are there.")
@click.option("--name", help="Name of the bundle: lower-case words joined by hyphens.")
@click.option("--version", default="0.1.0", show_default=True, help="Version of the bundle: MAJOR.MINOR.PATCH.")
@click.option(
    "--preset",
    type=click.Choice(_PRESETS),
    default="fast",
    show_default=True,
    help="How to train: our own way, or that of the papers of 2021 and 2024, to the letter.",
)
@click.option(
    "--hyperparameters",
    metavar="JSON",
    type=click.Path(path_type=Path),
    help="Numbers in place of the preset's, as train search writes them.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Train N times, with this seed and the next ones, into DIR/seed-1 and so on; tell mean and spread.",
)
@click.option("--iterations", type=click.IntRange(min=1), help="Batches of real alerts to learn from.")
@click.option("--pretraining", type=click.IntRange(min=0), help="Batches of simulated alerts to learn from before.")
@click.option(
    "--patience",
    type=click.IntRange(min=0),
    metavar="N",
    help="Stop when those held out have not been told better for N batches, and keep the best.",
)
@click.option(
    "--extension",
    type=click.IntRange(min=0),
    metavar="N",
    help="Go on for N batches after each time that those held out were told better, and keep the best.",
)
@click.option(
    "--simulated",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Simulated alerts of each class to learn from first, and besides.",
)
@click.option(
    "--original-dataset",
    metavar="PICKLE",
    type=click.Path(path_type=Path),
    help="Learn from the data set of the 2021 paper, as its authors hand it on, in place of packets.",
)
@click.option(
    "--work",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for prepared stamps, checkpoints and the learning curve; without it, beside the bundle.",
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stood; the result is the same.")
@click.option("--no-test", is_flag=True, help="Leave the test split closed: for as long as you still choose.")
@click.option(
    "--notes", type=click.Path(path_type=Path), metavar="FILE", help="Markdown to put into the model card as it is."
)
def stamp(
    packets: tuple[Path, ...],
    labels: Path | None,
    out: Path,
    survey: str | None,
    name: str | None,
    version: str,
    preset: str,
    hyperparameters: Path | None,
    seed: int,
    seeds: int,
    simulated: int,
    original_dataset: Path | None,
    work: Path | None,
    resume: bool,
    no_test: bool,
    notes: Path | None,
    **numbers: int | None,
) -> None:
    """Fit a stamp classifier and write it as a bundle to DIR, which is made anew.

    \b
    For example:
      broker-plugin train stamp packets/ --labels labels.csv --survey ztf -o weights/my-stamp/0.1.0
      broker-plugin train stamp packets/ --labels labels.csv --preset paper-2021 --seeds 5 -o paper/
    """
    if bool(packets) == bool(original_dataset) or bool(packets) != bool(labels):
        raise UsageProblem("give PACKETS and their --labels, or --original-dataset alone")
    if original_dataset and (simulated or survey == "rubin"):
        raise UsageProblem("--original-dataset is of ZTF, and learned from without simulated alerts")
    require_paths(tuple(path for path in (*packets, labels, hyperparameters, original_dataset, notes) if path))
    folders = [out] if seeds == 1 else [out / f"seed-{seed + i}" for i in range(seeds)]
    for folder in folders:
        refuse_to_overwrite(folder)
    require_extra("training", "train", "keras")
    from broker_plugin.bundles import BundleError
    from broker_plugin.training.preparation import chosen_recipe
    from broker_plugin.training.recipes import read_hyperparameters
    from broker_plugin.training.train import default_work, train_original, train_stamp

    work = work or default_work(out)
    manifests = []
    try:
        chosen = {} if hyperparameters is None else read_hyperparameters(hyperparameters)
        given = {key: value for key, value in numbers.items() if value is not None}
        recipe = chosen_recipe(preset).with_hyperparameters({**chosen, **given})
        common: dict[str, Any] = {
            "name": name,
            "version": version,
            "recipe": recipe,
            "score_test": not no_test,
            "cache": work / "cache",
            "resume": resume,
            # An interruption changes nothing in the result.
            "command": shlex.join(["broker-plugin", *(word for word in sys.argv[1:] if word != "--resume")]),
            "notes": "" if notes is None else notes.read_text(encoding="utf-8"),
        }
        if original_dataset is not None:
            fit = partial(train_original, original_dataset, **common)
        else:
            fit = partial(train_stamp, packets, cast(Path, labels), survey=survey, simulated=simulated, **common)
        for number, folder in enumerate(folders):
            what = "" if seeds == 1 else f"seed {number + 1} of {seeds}: "
            own = work if seeds == 1 else work / folder.name
            with fit_progress(console(stderr=True), what) as progress:
                manifests.append(fit(out=folder, seed=seed + number, work=own, progress=progress))
    except (ValueError, BundleError) as problem:
        raise UsageProblem(str(problem)) from problem
    except OSError as problem:
        raise UsageProblem(described(problem)) from problem
    except KeyboardInterrupt:
        click.echo(f"the state of the fit is in {printable(work)}: the same command with --resume goes on", err=True)
        raise
    if seeds == 1:
        _show(console(), manifests[0], out, work)
    else:
        _show_seeds(console(), manifests, out, work)


@train.command()
@click.argument("packets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKETS...")
@_labels_option(required=True)
@click.option("--survey", type=click.Choice(["ztf", "rubin"]), required=True, help="Whose alerts to learn from.")
@click.option(
    "--trials", type=click.IntRange(min=1), required=True, metavar="N", help="How many the study is to have in all."
)
@click.option(
    "--study",
    required=True,
    metavar="FILE.db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Optuna's SQLite file; what is in it already is not tried again.",
)
@click.option("-o", "--out", required=True, metavar="JSON", type=click.Path(path_type=Path), help="The best numbers.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Trials at the same time.")
@click.option("--iterations", type=click.IntRange(min=1), help="Batches of each trial, in place of the published ones.")
@click.option("--extension", type=click.IntRange(min=0), help="As for train stamp, for each trial.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the order of the trials and of the fits.")
@click.option(
    "--work",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for prepared stamps; without it, beside the study.",
)
def search(
    packets: tuple[Path, ...],
    labels: Path,
    survey: str,
    trials: int,
    study: Path,
    out: Path,
    workers: int,
    seed: int,
    work: Path | None,
    **numbers: int | None,
) -> None:
    """Search at random for the best hyperparameters of the 2021 paper's network, in the space of its Table 3.

    Alerts that are set aside for validation decide; the test split stays closed. An interrupted search goes on when
    the same command is given again.

    \b
    For example:
      broker-plugin train search packets/ --labels labels.csv --survey ztf --trials 50 --study s.db -o best.json
      broker-plugin train stamp packets/ --labels labels.csv --preset paper-2021 --hyperparameters best.json -o DIR
    """
    require_paths((*packets, labels))
    require_extra("training", "train", "keras")
    require_extra("the search", "train", "optuna")
    from broker_plugin.training import search as searching

    cache = (work or study.with_name(study.name + ".training")) / "cache"
    fixed = {name: value for name, value in numbers.items() if value is not None}
    task = searching.SearchTask(packets, labels, survey, cache, seed, fixed)
    try:
        with fit_progress(console(stderr=True), unit="trials") as progress:
            done = searching.search(task, study, trials, workers=workers, progress=progress)
        searching.write_best(done, task, study, out)
    except ValueError as problem:
        raise UsageProblem(str(problem)) from problem
    except OSError as problem:
        raise UsageProblem(described(problem)) from problem
    names = list(searching.space_of(survey))
    shown = table("trial", "balanced", "right", "loss", *names, right=["trial", "balanced", "right", "loss", *names])
    for trial in searching.best_trials(done, _BEST_SHOWN):
        scores = (trial.value or 0.0, trial.user_attrs["accuracy"], trial.user_attrs["loss"])
        shown.add_row(
            str(trial.number), *(f"{score:.3f}" for score in scores), *(f"{trial.params[n]:g}" for n in names)
        )
    screen = console()
    screen.print(shown)
    screen.print("on the alerts set aside for validation; balanced: mean recall of the classes")
    screen.print("loss: in nats, less beta times the entropy; of trials with the same beta it can be compared")
    screen.print(f"the best of them is in {printable(out)}")


def _show(screen: Console, manifest: Manifest, out: Path, work: Path) -> None:
    scores = _table_of_scores(manifest)
    for name, metrics in manifest.metrics.items():
        recall = metrics["recall"]
        scores.add_row(
            name.replace("_", " "),
            f"{metrics['n']:,}",
            f"{metrics['accuracy']:.3f}",
            f"{metrics['balanced_accuracy']:.3f}",
            f"{metrics['negative_log_likelihood']:.3f}",
            *(f"{recall[c]:.3f}" if c in recall else "-" for c in manifest.classes),
        )
    _print_scores(screen, scores, manifest)
    _print_curve(screen, work)
    screen.print(_where(manifest, out))


def _show_seeds(screen: Console, manifests: list[Manifest], out: Path, work: Path) -> None:
    """Print mean and spread of the scores over the seeds, and keep them."""
    from broker_plugin.training.seeds import SEEDS_NAME, across_seeds

    summary = across_seeds([manifest.metrics for manifest in manifests])
    told = {"seeds": [manifest.training["seed"] for manifest in manifests], "scores": summary}
    (out / SEEDS_NAME).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    first = manifests[0]
    scores = _table_of_scores(first)
    for name, split in summary.items():
        scores.add_row(
            name.replace("_", " "),
            f"{split['n']:,}",
            *(_spread(split[key]) for key in ("accuracy", "balanced_accuracy", "negative_log_likelihood")),
            *(_spread(split["recall"][c]) if c in split["recall"] else "-" for c in first.classes),
        )
    _print_scores(screen, scores, first)
    screen.print(
        f"mean and standard deviation over {plural(len(manifests), 'seed')}; also in {printable(out / SEEDS_NAME)}"
    )
    _print_curve(screen, work)
    for manifest in manifests:
        screen.print(_where(manifest, out / f"seed-{manifest.training['seed']}"))


def _spread(score: dict[str, float]) -> str:
    return f"{score['mean']:.3f} ± {score['std']:.3f}"


def _table_of_scores(manifest: Manifest) -> Any:
    scores = table(
        "", "alerts", "right", "balanced", "-log p", *manifest.classes, right=["alerts", "right", "balanced"]
    )
    for column in scores.columns[4:]:
        column.justify = "right"
    return scores


def _print_scores(screen: Console, scores: Any, manifest: Manifest) -> None:
    screen.print(scores)
    screen.print("right: share of alerts; balanced: mean recall of the classes; -log p: in nats; then recall by class")
    for split in ("validation", "test"):
        counts = manifest.training.get(f"{split}_by_class")
        if counts:
            screen.print(f"for {split}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


def _print_curve(screen: Console, work: Path) -> None:
    screen.print(f"learning curve and checkpoints are in {printable(work)}, which can be removed")


def _where(manifest: Manifest, out: Path) -> str:
    if not manifest.files:
        return f"scores are in {printable(out)}; no bundle, since how the features were normalised is not known"
    return f"{manifest.label} is in {printable(out)}"
