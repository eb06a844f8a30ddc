"""From labelled alerts to a bundle, in one call."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import Manifest
from broker_plugin.evaluation.examples import STRONG_TRUST, Label
from broker_plugin.evaluation.scores import best_temperature, scores
from broker_plugin.models import calibrated
from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES, averaged
from broker_plugin.training.checkpoints import CHECKPOINT_NAME, CheckpointFile
from broker_plugin.training.dataset import Arrays, first_features
from broker_plugin.training.export import write_bundle
from broker_plugin.training.fit import NOT_LEARNED, FitOptions, Progress, fit_stamp_network, predict
from broker_plugin.training.learning_curve import write_learning_curve
from broker_plugin.training.model_card import model_card
from broker_plugin.training.novelty import fit_strangeness, novelty_of, strangeness_of, usual_alerts
from broker_plugin.training.preparation import Prepared, chosen_recipe, prepare, prepare_original
from broker_plugin.training.presets import CLASSES
from broker_plugin.training.recipes import DEFAULT_RECIPE, Recipe

SCORES_NAME = "scores.json"


def train_stamp(
    paths: Sequence[Path],
    labels_csv: Path,
    out: Path,
    *,
    survey: str | None = None,
    name: str | None = None,
    version: str = "0.1.0",
    seed: int = 1,
    recipe: Recipe | str = DEFAULT_RECIPE,
    options: FitOptions | None = None,
    simulated: int = 0,
    score_test: bool = True,
    work: Path | None = None,
    cache: Path | None = None,
    resume: bool = False,
    checkpoint_every: int = 1000,
    command: str = "",
    notes: str = "",
    progress: Progress = lambda done, total, text: None,
) -> Manifest:
    """Fit a stamp classifier and write its bundle.

    Alerts whose label says ``test`` in the column ``split`` are scored at the end and used for nothing
    else.  The others are dealt into folds by object; each of the networks that are averaged leaves out one of them,
    and what they say of the alerts they have not seen gives the temperature, the scale of novelty and the scores of
    the cross-validation.  A recipe with one network sets alerts aside for validation instead, which give the same:
    those whose label says ``validation``, or some of each class if none does.  So it does for the test.

    Parameters
    ----------
    paths
        Packets: files, folders, archives.
    labels_csv
        See `evaluation.examples.read_labels`.
    out
        The bundle's folder; made anew.
    recipe
        How to train: a `Recipe`, or the name of one of `recipes.RECIPES`.
    options
        In the place of the recipe's own.
    simulated
        Synthetic alerts of each class to learn from first, and besides; none is validated or tested on.
    score_test
        False leaves the test split closed, as long as choices are still to be made.
    survey
        ``ztf`` or ``rubin``; None where the labelled alerts are of one survey, which then it is.
    work
        Folder for what the fit leaves behind: checkpoints, ``learning_curve.csv`` and, with matplotlib,
        ``learning_curve.png``.  Without it, `default_work`.
    cache
        Folder for the prepared stamps, which other fits to the same alerts use too; ``cache`` in `work` without it.
    resume
        Go on from the checkpoint in `work`, if there is one.  The weights are then those of a run without interruption.
    checkpoint_every
        Batches between two checkpoints, at least.
    command
        What was typed, for the manifest.
    notes
        What else a reader of the model card should know, in Markdown.
    progress
        Called after each check with iterations done, iterations that are planned, and a line to show.

    Raises
    ------
    ValueError
        The table of labels can't be read, a class is not of the taxonomy, too few alerts or objects have labels, or
        the checkpoint is of another fit.
    """
    recipe = chosen_recipe(recipe, options)
    work = work or default_work(out)
    prepared = prepare(
        paths,
        labels_csv,
        recipe,
        cache or work / "cache",
        survey=survey,
        name=name,
        version=version,
        seed=seed,
        simulated=simulated,
    )
    return _trained(
        prepared, out, seed, simulated, score_test, work, resume, checkpoint_every, command, notes, progress
    )


def train_original(
    path: Path,
    out: Path,
    *,
    recipe: Recipe | str,
    name: str | None = None,
    version: str = "0.1.0",
    seed: int = 1,
    score_test: bool = True,
    work: Path | None = None,
    cache: Path | None = None,
    resume: bool = False,
    checkpoint_every: int = 1000,
    command: str = "",
    notes: str = "",
    progress: Progress = lambda done, total, text: None,
) -> Manifest:
    """Fit a stamp classifier to the data set of Carrasco-Davis et al. 2021; see `train_stamp`.

    Parameters
    ----------
    path
        One of the pickles of `original_dataset`.
    out
        Folder for the bundle; or, where the features of the data set were normalised by numbers that are not in it, for
        ``scores.json`` alone, since no packet could be made into the same tensors.

    Raises
    ------
    ValueError
        The file is no such data set, the recipe is not one of the papers', or the checkpoint is of another fit.
    """
    recipe = chosen_recipe(recipe)
    work = work or default_work(out)
    prepared = prepare_original(path, recipe, cache or work / "cache", name=name, version=version)
    return _trained(prepared, out, seed, 0, score_test, work, resume, checkpoint_every, command, notes, progress)


def default_work(out: Path) -> Path:
    """Where a fit leaves its checkpoints and its learning curve: beside the bundle, ``.training`` after its name."""
    return out.with_name(out.name + ".training")


def _trained(
    prepared: Prepared,
    out: Path,
    seed: int,
    simulated: int,
    score_test: bool,
    work: Path,
    resume: bool,
    checkpoint_every: int,
    command: str,
    notes: str,
    progress: Progress,
) -> Manifest:
    """Fit, score and write what came of it."""
    work.mkdir(parents=True, exist_ok=True)
    members = fit_stamp_network(
        prepared.build,
        prepared.real,
        prepared.simulated,
        prepared.folds,
        classes=len(CLASSES),
        first=first_features(prepared.manifest.features),
        options=prepared.recipe.options,
        seed=seed,
        progress=progress,
        checkpoints=CheckpointFile(work / CHECKPOINT_NAME, prepared.identity(seed), checkpoint_every),
        resume=resume,
        curve=partial(write_learning_curve, work),
    )
    result = _scored(prepared, members, seed, score_test)
    manifest = _described(result, prepared, seed, simulated, command)
    if prepared.servable:
        card = model_card(manifest, prepared.labels(prepared.learning), simulated, notes)
        build = partial(_untrained, prepared, len(members))
        return write_bundle(out, manifest, result.network, build, result.strangeness, card)
    if out.exists():
        shutil.rmtree(out)  # as for a bundle: nothing of an earlier one may be taken for this
    out.mkdir(parents=True)
    told = {"training": manifest.training, "metrics": manifest.metrics, "temperature": manifest.temperature}
    (out / SCORES_NAME).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return manifest


@dataclass(frozen=True)
class _Result:
    """A network that is fitted, what is measured from, and how well it does."""

    network: keras.Model
    strangeness: list[keras.Model]
    temperature: float
    held_out_strangeness: NDArray[np.float64]
    metrics: dict[str, dict[str, Any]]


def _scored(prepared: Prepared, members: list[keras.Model], seed: int, score_test: bool) -> _Result:
    as_sent = prepared.alerts.arrays(prepared.manifest.features, as_sent=True)
    strangeness, raw, how_strange = _held_out(prepared, members, as_sent, seed)
    held_out, testing = prepared.held_out, prepared.testing
    temperature = best_temperature(as_sent.truth[held_out], raw)
    kind = "validation" if prepared.recipe.holds_out else "cross_validation"
    metrics = _scores_by_trust(kind, as_sent.truth[held_out], calibrated(raw, temperature), prepared.labels(held_out))
    network = _one_network(prepared, members)
    if testing.size and score_test:
        # As a user of the stage would measure them: every packet as it was sent, doctored or not.
        raw = predict(network, as_sent, testing)[PROBABILITIES].astype(np.float64)
        metrics |= _scores_by_trust(
            "test", as_sent.truth[testing], calibrated(raw, temperature), prepared.labels(testing)
        )
    return _Result(network, strangeness, temperature, how_strange, metrics)


def _one_network(prepared: Prepared, members: Sequence[keras.Model]) -> keras.Model:
    return prepared.answering(members[0] if len(members) == 1 else averaged(members))


def _untrained(prepared: Prepared, count: int) -> keras.Model:
    return _one_network(prepared, [prepared.build() for _ in range(count)])


def _held_out(
    prepared: Prepared, members: Sequence[keras.Model], real: Arrays, seed: int
) -> tuple[list[keras.Model], NDArray[np.float64], NDArray[np.float64]]:
    """Of each member, what tells how strange an alert is; and what it says of the real alerts that it has left out."""
    strangeness = []
    said, how_strange = np.empty((len(real), len(CLASSES))), np.empty(len(real))
    for fold, member in enumerate(members):
        learned = np.flatnonzero((prepared.folds != fold) & (prepared.folds != NOT_LEARNED))
        usual = usual_alerts(prepared.real, learned, prepared.simulated, prepared.recipe.options.augmentation, seed)
        embed = partial(_embedding, member)
        strangeness.append(fit_strangeness(embed, usual, prepared.manifest, seed))
        left_out = np.flatnonzero(prepared.folds == fold)
        outputs = predict(prepared.answering(member), real, left_out)
        said[left_out] = outputs[PROBABILITIES]
        how_strange[left_out] = strangeness_of(strangeness[-1], outputs[EMBEDDING])
    return strangeness, said[prepared.held_out], how_strange[prepared.held_out]


def _embedding(member: keras.Model, arrays: Arrays) -> NDArray[np.float32]:
    return predict(member, arrays)[EMBEDDING]


def _described(result: _Result, prepared: Prepared, seed: int, simulated: int, command: str) -> Manifest:
    """The manifest, with what came of the fit and how it was made."""
    recipe, learning, testing = prepared.recipe, prepared.learning, prepared.testing
    training = {
        "command": command,
        "seed": seed,
        "recipe": recipe.name,
        "architecture": recipe.architecture,
        "network": dict(recipe.network),
        "alerts": len(learning),
        "alerts_by_class": prepared.by_class(learning),
        "simulated_per_class": simulated,
        "labels_sha256": prepared.alerts.digest(learning),
        "options": asdict(recipe.options),
        "parameters": int(result.network.count_params()),
    }
    if recipe.holds_out:
        training |= {
            "validation_by_class": prepared.by_class(prepared.held_out),
            "test_by_class": prepared.by_class(testing),
        }
    return replace(
        prepared.manifest,
        temperature=result.temperature,
        novelty=novelty_of(result.held_out_strangeness),
        training=training,
        metrics=result.metrics,
    )


def _scores_by_trust(
    name: str, truth: NDArray[np.int64], said: NDArray[np.float64], labels: Sequence[Label]
) -> dict[str, dict[str, Any]]:
    """The scores over all labels, and over those of strong trust where there are any."""
    metrics = {name: scores(truth, said, CLASSES)}
    strong = np.array([label.trust in STRONG_TRUST for label in labels])
    if strong.any():
        metrics[f"{name}_trust_1_2"] = scores(truth[strong], said[strong], CLASSES)
    return metrics
