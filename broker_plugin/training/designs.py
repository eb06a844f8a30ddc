"""Accuracy against cost: many designs of a network for ZTF alerts, taught alike and measured alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import Manifest, ModelSpec, StampSpec
from broker_plugin.evaluation.examples import Examples, classifiable, load_examples, read_labels
from broker_plugin.evaluation.scores import scores
from broker_plugin.training.architecture import (
    ARCHITECTURES,
    PROBABILITIES,
    fast_network,
    metadata_network,
    ring_network,
)
from broker_plugin.training.cost import megaflops, microseconds
from broker_plugin.training.dataset import Arrays, folds_by_object, simulated_examples, standardised, to_arrays
from broker_plugin.training.fit import FitOptions, fit_stamp_network, predict
from broker_plugin.training.presets import CLASSES, PRESETS, TAXONOMY, TAXONOMY_VERSION

_PRESET = PRESETS["ztf"]
_IN_UNITS_OF_NOISE = _PRESET.stamps["fast"].steps
RESULTS_NAME = "designs.jsonl"


@dataclass(frozen=True)
class Design:
    """A network and the stamps that it is given."""

    name: str
    build: Callable[..., keras.Model]
    stamps: StampSpec

    def network(self) -> keras.Model:
        """The network, untrained."""
        return self.build(
            size=self.stamps.size,
            channels=len(self.stamps.channels),
            features=len(_PRESET.features),
            classes=len(CLASSES),
        )


def _like_fast(name: str, size: int = 63, **options: Any) -> Design:
    stamps = StampSpec(channels=STAMP_NAMES, size=size, steps=_IN_UNITS_OF_NOISE)
    return Design(name, partial(fast_network, **options), stamps)


DESIGNS = (
    *(Design(name, build, _PRESET.stamps[name]) for name, build in ARCHITECTURES.items()),
    _like_fast("fast, half as wide", fovea_widths=(6, 8, 12, 12), context_widths=(3, 5, 6)),
    _like_fast("fast, twice as wide", fovea_widths=(24, 32, 48, 48), context_widths=(12, 18, 24)),
    _like_fast("fast, shallow", fovea_widths=(12, 24), context_widths=(6, 12)),
    _like_fast("fast, deep", fovea_widths=(12, 16, 24, 24, 24, 24), context_widths=(6, 9, 12, 12)),
    _like_fast("fast, kernels 5 x 5", kernel=5),
    _like_fast("fast, stamps 33 x 33", size=33),
    _like_fast("fast, stamps 21 x 21", size=21),
    Design("means in rings", ring_network, _PRESET.stamps["fast"]),
    Design("metadata alone", metadata_network, _PRESET.stamps["paper-2021"]),
)
"""What is measured."""


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

    pretraining: int = 1000
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


def learning_examples(paths: Sequence[Path], labels_csv: Path) -> Examples:
    """The labelled ZTF alerts that are not of the test split; paths and table as for `train.train_stamp`.

    Raises
    ------
    ValueError
        The table can't be read, or there is no such alert.
    """
    labels = {key: label for key, label in read_labels(labels_csv).items() if label.split != "test"}
    examples = load_examples(paths, labels, _PRESET.survey, _PRESET.features)
    if not examples.alerts:
        raise ValueError("there is no labelled ztf alert to learn from")
    return examples


def survey_designs(
    real: Examples,
    out: Path,
    budget: Budget,
    *,
    designs: Sequence[Design] = DESIGNS,
    progress: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Teach and judge every design on every fold of the objects.

    Parameters
    ----------
    real
        What `learning_examples` gives.
    out
        Folder of the results, one line of JSON for each design and fold.  What is there already, under the same budget,
        is not done again.
    progress
        Called after each design and fold that was done.

    Returns
    -------
    list of Result
        Of this budget, those that were there already among them.
    """
    out.mkdir(parents=True, exist_ok=True)
    results = [result for result in read_results(out) if result.budget == budget]
    done = {(result.design, result.fold) for result in results}
    simulated = simulated_examples(_PRESET.survey, budget.simulated, budget.seed, _PRESET.features)
    folds = folds_by_object(real.labels, budget.folds, np.random.default_rng(budget.seed))
    fold_of_object = {label.object_id: int(fold) for label, fold in zip(real.labels, folds, strict=True)}
    for design in designs:
        missing = [fold for fold in range(budget.folds) if (design.name, fold) not in done]
        for result in _judged(design, missing, real, simulated, fold_of_object, budget):
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


def _judged(
    design: Design,
    folds: Sequence[int],
    real: Examples,
    simulated: Examples,
    fold_of_object: Mapping[str, int],
    budget: Budget,
) -> Iterator[Result]:
    """The results of a design for these folds."""
    if not folds:
        return
    manifest = _manifest(design, real)
    examples = classifiable(real, manifest)
    arrays, synthetic = to_arrays(examples, manifest), to_arrays(simulated, manifest)
    fold_of = np.array([fold_of_object[label.object_id] for label in examples.labels])
    for fold in folds:
        start = time.perf_counter()
        network = _fitted(design, arrays, synthetic, fold_of == fold, budget)
        seconds = time.perf_counter() - start
        held_out = arrays.take(fold_of == fold)
        said = scores(held_out.truth, predict(network, held_out)[PROBABILITIES], CLASSES)
        yield Result(
            design=design.name,
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


def _fitted(
    design: Design, real: Arrays, simulated: Arrays, held_out: NDArray[np.bool_], budget: Budget
) -> keras.Model:
    """One network that learns from all real alerts but those held out."""
    options = FitOptions(pretraining=budget.pretraining, iterations=budget.iterations, members=1)
    [network] = fit_stamp_network(
        design.network,
        real,
        simulated,
        np.where(held_out, 0, 1),  # a member leaves out the fold of its own number
        classes=len(CLASSES),
        options=options,
        seed=budget.seed,
    )
    return network


def _manifest(design: Design, real: Examples) -> Manifest:
    """What turns alerts into the tensors of this design."""
    manifest = Manifest(
        name="design",
        version="0.1.0",
        kind="stamp",
        survey=_PRESET.survey,
        description=design.name,
        taxonomy=TAXONOMY,
        taxonomy_version=TAXONOMY_VERSION,
        classes=CLASSES,
        preprocessing_version="1",
        stamps=design.stamps,
        features=_PRESET.features,
        model=ModelSpec(signatures={"float32": ""}),
    )
    true = [alert for alert, label in zip(real.alerts, real.labels, strict=True) if not label.doctored_metadata]
    return replace(manifest, features=standardised(manifest, _PRESET.median_fill, true))
