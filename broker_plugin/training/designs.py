"""Accuracy against cost: many designs of a network for ZTF alerts, taught alike and measured alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import StampSpec
from broker_plugin.evaluation.scores import scores
from broker_plugin.training.architecture import PROBABILITIES
from broker_plugin.training.cost import megaflops, microseconds
from broker_plugin.training.dataset import first_features
from broker_plugin.training.fit import NOT_LEARNED, FitOptions, fit_stamp_network, predict
from broker_plugin.training.preparation import Prepared, prepare
from broker_plugin.training.presets import CLASSES, PRESETS
from broker_plugin.training.recipes import RECIPES, Recipe

_SURVEY = "ztf"
_PRESET = PRESETS[_SURVEY]
RESULTS_NAME = "designs.jsonl"


def _design(name: str, architecture: str = "fast", size: int = 63, **network: Any) -> Recipe:
    """A network for stamps in units of the noise."""
    stamps = {_SURVEY: StampSpec(channels=STAMP_NAMES, size=size, steps=_PRESET.stamps.steps)}
    return Recipe(name, "", architecture, FitOptions(), stamps, network=network)


def _of_recipe(recipe: Recipe) -> Recipe:
    """The network of a recipe, with the features and the training that all designs have."""
    features = recipe.features if recipe.features.get(_SURVEY) == () else {}
    return replace(recipe, features=features, options=FitOptions())


DESIGNS = (
    *map(_of_recipe, RECIPES.values()),
    _design("fast, half as wide", fovea_widths=(4, 6, 8, 8), context_widths=(3, 4, 4)),
    _design("fast, twice as wide", fovea_widths=(16, 24, 32, 32), context_widths=(12, 16, 16)),
    _design("fast, shallow", fovea_widths=(8, 16), context_widths=(6, 8)),
    _design("fast, deep", fovea_widths=(8, 12, 16, 16, 16, 16), context_widths=(6, 8, 8, 8)),
    _design("fast, kernels 5 x 5", kernel=5),
    _design("fast, stamps 33 x 33", size=33),
    _design("fast, stamps 21 x 21", size=21),
    _design("means in rings", "rings"),
    _design("metadata alone", "metadata", size=21),
)
"""What is measured; of each the network, its stamps and features."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What every design gets, the same for all.

    Attributes
    ----------
    pretraining, iterations
        Batches of simulated alerts, and then of real ones with simulated ones among them, for each fold.
    simulated
        Simulated alerts of each class.
    folds
        Shares of the objects; a network is taught without each in turn, and judged on it.
    """

    pretraining: int = 0
    iterations: int = 600
    simulated: int = 600
    folds: int = 5
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """A design after one fold.

    Attributes
    ----------
    megaflops, parameters, microseconds
        For one alert; see `cost`.
    alerts, right, balanced_accuracy
        Of the fold that was left out: how many, the share that is right, and the mean recall of the classes.
    seconds
        That the fit took.
    """

    design: str
    fold: int
    budget: Budget
    megaflops: float
    parameters: int
    microseconds: float
    alerts: int
    right: float
    balanced_accuracy: float
    seconds: float


def survey_designs(
    paths: Sequence[Path],
    labels_csv: Path,
    out: Path,
    budget: Budget,
    *,
    designs: Sequence[Recipe] = DESIGNS,
    progress: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Teach and judge every design on every fold of the objects of the labelled ZTF alerts, but those for the test.

    Parameters
    ----------
    paths, labels_csv
        As for `train.train_stamp`.
    out
        Folder of the results, one line of JSON for each design and fold.  What is there already, under the same budget,
        is not done again.
    progress
        Called after each design and fold that was done.

    Returns
    -------
    list of Result
        Of this budget, those that were there already among them.

    Raises
    ------
    ValueError
        As for `preparation.prepare`.
    """
    out.mkdir(parents=True, exist_ok=True)
    results = [result for result in read_results(out) if result.budget == budget]
    done = {(result.design, result.fold) for result in results}
    for design in designs:
        missing = [fold for fold in range(budget.folds) if (design.name, fold) not in done]
        if not missing:
            continue
        options = FitOptions(pretraining=budget.pretraining, iterations=budget.iterations, members=budget.folds)
        prepared = prepare(
            paths,
            labels_csv,
            replace(design, options=options),
            out / "cache",
            survey=_SURVEY,
            seed=budget.seed,
            simulated=budget.simulated,
        )
        for result in _judged(prepared, missing, budget):
            with (out / RESULTS_NAME).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            results.append(result)
            progress(result)
    return results


def read_results(folder: Path) -> list[Result]:
    """The results that a folder holds, in the order in which they came."""
    path = folder / RESULTS_NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    raw = [json.loads(line) for line in lines]
    return [Result(**(each | {"budget": Budget(**each["budget"])})) for each in raw]


def _judged(prepared: Prepared, folds: Sequence[int], budget: Budget) -> Iterator[Result]:
    """The results of a design for these folds: one network for each, that learns from all others."""
    for fold in folds:
        start = time.perf_counter()
        [network] = fit_stamp_network(
            prepared.build,
            prepared.real,
            prepared.simulated,
            # A network leaves out the fold of its own number, and there is but one.
            np.where(prepared.folds == NOT_LEARNED, NOT_LEARNED, np.where(prepared.folds == fold, 0, 1)),
            classes=len(CLASSES),
            first=first_features(prepared.manifest.features),
            options=replace(prepared.recipe.options, members=1),
            seed=budget.seed,
        )
        seconds = time.perf_counter() - start
        held_out = np.flatnonzero(prepared.folds == fold)
        said = scores(prepared.real.truth[held_out], predict(network, prepared.real, held_out)[PROBABILITIES], CLASSES)
        yield Result(
            design=prepared.recipe.name,
            fold=fold,
            budget=budget,
            megaflops=round(megaflops(network), 3),
            parameters=int(network.count_params()),
            microseconds=round(microseconds(network), 1),
            alerts=said["n"],
            right=said["accuracy"],
            balanced_accuracy=said["balanced_accuracy"],
            seconds=round(seconds, 1),
        )
