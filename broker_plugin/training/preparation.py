"""All that is decided before a fit: the alerts and their tensors, who learns from which, the untrained network."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec
from broker_plugin.evaluation.examples import Label, labelled_surveys, read_labels
from broker_plugin.tensors.metadata import features_of
from broker_plugin.training.architecture import ARCHITECTURES, ruling_out
from broker_plugin.training.cache import CachedAlerts, cached_packets, cached_simulation
from broker_plugin.training.dataset import (
    Arrays,
    LabelledAlerts,
    folds_by_object,
    held_out_by_object,
    standardised,
)
from broker_plugin.training.fit import NOT_LEARNED, FitOptions
from broker_plugin.training.original_dataset import is_normalised, original_alerts, original_features
from broker_plugin.training.presets import CLASSES, PREPROCESSING_VERSION, PRESETS, TAXONOMY, TAXONOMY_VERSION
from broker_plugin.training.recipes import RECIPES, Recipe

_SPLIT_SEED = 0  # what is set aside is the same whatever the seed of the fit


@dataclass(frozen=True)
class Prepared:
    """What a fit starts from.

    Attributes
    ----------
    alerts
        Those that can be classified, in the order of their rows everywhere here.
    folds
        As `fit.fit_stamp_network` takes them.
    manifest
        As far as it is known before the fit: with the features of the training set.
    real, simulated
        What is learned from.
    simulated_sha256
        Of the simulated alerts, where there are any.
    servable
        Whether the stage could make the same tensors of packets.
    """

    recipe: Recipe
    alerts: LabelledAlerts
    folds: NDArray[np.int64]
    manifest: Manifest
    real: Arrays
    simulated: Arrays | None = None
    simulated_sha256: str | None = None
    servable: bool = True

    @property
    def learning(self) -> NDArray[np.int64]:
        """Rows that are not for the test."""
        return np.flatnonzero(self.folds != NOT_LEARNED)

    @property
    def held_out(self) -> NDArray[np.int64]:
        """Rows that one of the members does not learn from, and is judged by."""
        return np.flatnonzero((self.folds >= 0) & (self.folds < self.recipe.options.members))

    @property
    def testing(self) -> NDArray[np.int64]:
        """Rows for the test."""
        return np.flatnonzero(self.folds == NOT_LEARNED)

    def labels(self, rows: NDArray[np.int64]) -> list[Label]:
        """The labels of some rows."""
        return [self.alerts.labels[row] for row in rows.tolist()]

    def by_class(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """How many of some rows are of each class."""
        return dict(sorted(Counter(label.class_name for label in self.labels(rows)).items()))

    def build(self) -> keras.Model:
        """The untrained network."""
        return ARCHITECTURES[self.recipe.architecture](
            size=self.manifest.stamps.size,
            channels=len(self.manifest.stamps.channels),
            features=len(self.manifest.features),
            classes=len(self.manifest.classes),
            dropout=self.recipe.options.dropout,
            **self.recipe.network,
        )

    def answering(self, network: keras.Model) -> keras.Model:
        """A network that was fitted, with what the manifest rules out."""
        limits = []
        names = [feature.name for feature in self.manifest.features]
        for exclusion in self.manifest.exclusions:
            column = names.index(exclusion.feature)
            most = features_of(np.array([[exclusion.above]]), [self.manifest.features[column]]).values[0, 0]
            limits.append((self.manifest.classes.index(exclusion.class_name), column, float(most)))
        return ruling_out(network, limits)

    def identity(self, seed: int) -> dict[str, Any]:
        """What makes a fit the one that it is: two fits of one identity have the same result."""
        return {
            "recipe": self.recipe.name,
            "options": asdict(self.recipe.options),
            "network": {**self.recipe.network, "size": self.manifest.stamps.size},
            "features": [feature.name for feature in self.manifest.features],
            "seed": seed,
            "alerts": self.alerts.cached.sha256,
            "folds": hashlib.sha256(self.folds.tobytes()).hexdigest(),
            "simulated": self.simulated_sha256,
            "keras": f"{keras.__version__} on {keras.backend.backend()}",
        }


def chosen_recipe(recipe: Recipe | str, options: FitOptions | None = None) -> Recipe:
    """The recipe of a name, with other options where they are given.

    Raises
    ------
    ValueError
        There is none of that name, or no network of the name that it asks for.
    """
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ValueError(f"recipe {recipe!r} is not one of {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    if recipe.architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {recipe.architecture!r} is not one of {', '.join(ARCHITECTURES)}")
    return recipe if options is None else replace(recipe, options=options)


def prepare(
    paths: Sequence[Path],
    labels_csv: Path,
    recipe: Recipe,
    cache: Path,
    *,
    survey: str | None = None,
    name: str | None = None,
    version: str = "0.1.0",
    seed: int = 1,
    simulated: int = 0,
) -> Prepared:
    """Packets and a table of labels, as a recipe has them; see `train.train_stamp`.

    Raises
    ------
    ValueError
        The table of labels can't be read, a class is not of the taxonomy, too few alerts or objects have labels, or a
        test alert can't be classified.
    """
    if simulated and not (recipe.options.pretraining or recipe.options.simulated_share):
        raise ValueError(f"recipe {recipe.name!r} learns from no simulated alerts")
    labels = read_labels(labels_csv)
    unknown = sorted({label.class_name for label in labels.values()} - set(CLASSES))
    if unknown:
        raise ValueError(f"{labels_csv}: class {unknown[0]!r} is not one of {', '.join(CLASSES)}")
    survey = survey or _only_survey(paths, labels)
    alerts = _labelled(cache, paths, labels, survey, recipe)
    folds = _dealt(alerts, recipe, seed)
    manifest = _manifest(name, version, recipe, alerts, folds, recipe.features_of(PRESETS[survey]))
    prepared = Prepared(recipe, alerts, folds, manifest, alerts.arrays(manifest.features))
    if not simulated:
        return prepared
    synthetic = _simulated(cache, survey, recipe, simulated, seed)
    return replace(prepared, simulated=synthetic.arrays(manifest.features), simulated_sha256=synthetic.cached.sha256)


def prepare_original(
    path: Path, recipe: Recipe, cache: Path, *, name: str | None = None, version: str = "0.1.0"
) -> Prepared:
    """The data set of Carrasco-Davis et al. 2021, as a recipe has it; see `original_dataset`.

    Raises
    ------
    ValueError
        The file is no such data set, or the recipe needs what is not in it.
    """
    if not recipe.holds_out or "ztf" not in recipe.features:
        raise ValueError(f"{path}: recipe {recipe.name!r} can't be followed with it: take one of the papers'")
    cached = original_alerts(cache, path, recipe.stamps["ztf"])
    labels = [
        Label(CLASSES[number], object_id=str(i), split=split.lower())
        for i, number, split in zip(cached.alert_ids.tolist(), cached.classes.tolist(), _split_of(cached), strict=True)
    ]
    alerts = LabelledAlerts(cached, labels, cached.classes)
    folds = _dealt(alerts, recipe, _SPLIT_SEED)
    features = original_features(cached, recipe.features["ztf"])
    manifest = _manifest(name, version, recipe, alerts, folds, features)
    servable = not is_normalised(cached)
    return Prepared(recipe, alerts, folds, manifest, alerts.arrays(manifest.features), servable=servable)


def _split_of(cached: CachedAlerts) -> list[str]:
    return [name for name, count in cached.splits.items() for _ in range(count)]


def _only_survey(paths: Sequence[Path], labels: Mapping[int, Label]) -> str:
    surveys = labelled_surveys(paths, labels)
    if len(surveys) != 1:
        found = " and ".join(sorted(surveys)) or "no survey"
        raise ValueError(f"the labelled alerts are of {found}: say which survey to learn from")
    return next(iter(surveys))


def _labelled(
    cache: Path, paths: Sequence[Path], labels: Mapping[int, Label], survey: str, recipe: Recipe
) -> LabelledAlerts:
    features = recipe.features_of(PRESETS[survey])
    cached = cached_packets(cache, paths, labels, survey, recipe.stamps[survey], features)
    alerts = LabelledAlerts(cached, [labels[i] for i in cached.alert_ids.tolist()], cached.classes)
    learned = sum(label.split != "test" for label in alerts.labels)
    if learned < 2 * len(CLASSES):
        raise ValueError(f"{learned} labelled {survey} alerts are too few to learn from")
    bad = [i for i in cached.problems if labels[i].split == "test"]
    if bad:
        raise ValueError(f"test alert {bad[0]} can't be classified: {cached.problems[bad[0]]}")
    return alerts


def _simulated(cache: Path, survey: str, recipe: Recipe, per_class: int, seed: int) -> LabelledAlerts:
    features = recipe.features_of(PRESETS[survey])
    cached = cached_simulation(cache, survey, per_class, seed, recipe.stamps[survey], features)
    ids, classes = cached.alert_ids.tolist(), cached.classes.tolist()
    labels = [Label(CLASSES[number], object_id=str(i)) for i, number in zip(ids, classes, strict=True)]
    return LabelledAlerts(cached, labels, cached.classes)


def _dealt(alerts: LabelledAlerts, recipe: Recipe, seed: int) -> NDArray[np.int64]:
    """Folds: the test split, and what each member leaves out, or what all set aside for validation."""
    labels, members = alerts.labels, recipe.options.members
    testing = np.array([label.split == "test" for label in labels], dtype=bool)
    if recipe.holds_out and not testing.any():
        testing = held_out_by_object(labels, np.random.default_rng(_SPLIT_SEED))
    learned = np.flatnonzero(~testing)
    own = [labels[row] for row in learned.tolist()]
    folds = np.full(len(labels), NOT_LEARNED, dtype=np.int64)
    if not recipe.holds_out:
        folds[learned] = folds_by_object(own, members, np.random.default_rng(seed))
    else:
        validation = np.array([label.split == "validation" for label in own], dtype=bool)
        if not validation.any():
            validation = held_out_by_object(own, np.random.default_rng(_SPLIT_SEED))
        folds[learned] = np.where(validation, 0, members)
    wanted = max(members, 2)
    if not set(range(wanted)) <= set(folds.tolist()):
        raise ValueError(f"the labelled {alerts.cached.survey} alerts are of too few objects for {wanted} folds")
    return folds


def _manifest(
    name: str | None,
    version: str,
    recipe: Recipe,
    alerts: LabelledAlerts,
    folds: NDArray[np.int64],
    features: Sequence[FeatureSpec],
) -> Manifest:
    survey = alerts.cached.survey
    preset = PRESETS[survey]
    learning = np.flatnonzero(folds != NOT_LEARNED)
    true = np.array([row for row in learning.tolist() if not alerts.labels[row].doctored_metadata], dtype=np.int64)
    return Manifest(
        name=name or preset.name,
        version=version,
        kind="stamp",
        survey=survey,
        description=f"Stamp classifier for {survey} alerts: the network {recipe.architecture!r}.",
        taxonomy=TAXONOMY,
        taxonomy_version=TAXONOMY_VERSION,
        classes=CLASSES,
        preprocessing_version=PREPROCESSING_VERSION,
        stamps=recipe.stamps[survey],
        features=standardised(features, preset.median_fill, alerts.cached.sources_of(features)[true]),
        model=ModelSpec(signatures={"float32": ""}),
        exclusions=tuple(e for e in preset.exclusions if e.feature in {feature.name for feature in features}),
    )
