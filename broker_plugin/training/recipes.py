"""Ways to train a stamp classifier: which network, which stamps and features, and how it is fitted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import FeatureSpec, StampSpec
from broker_plugin.training.augment import NO_AUGMENTATION, Augmentation
from broker_plugin.training.fit import FitOptions
from broker_plugin.training.presets import PRESETS, Preset
from broker_plugin.training.published_features import PUBLISHED_FEATURES

PUBLISHED_FIT = FitOptions(
    iterations=30_000,
    extension=10_000,
    batch_size=64,
    learning_rate=1e-3,
    constant_rate=True,
    beta_1=0.5,
    beta_2=0.9,
    weight_decay=0.0,
    averaging=0.0,
    dropout=0.5,
    beta=0.5,
    label_smoothing=0.0,
    augmentation=NO_AUGMENTATION,
    mixup=0.0,
    check_every=10,
    pretraining=0,
    simulated_share=0.0,
    members=1,
)
"""How Carrasco-Davis et al. 2021 fit a network, section 3 and Table 3, and their code where the paper is silent.

Adam; batches in which every class is as likely as another; the loss of the validation set looked at every 10 batches.
At least 30,000 batches, and 10,000 after each lowest loss; the weights with the lowest loss are kept."""


@dataclass(frozen=True)
class Recipe:
    """One way to train.

    Attributes
    ----------
    architecture
        One of `architecture.ARCHITECTURES`.
    stamps
        By survey, how the stamps are prepared.
    features
        By survey, what the metadata give; the survey's own (`presets.PRESETS`) where it is not named.
    network
        What the architecture is told besides, such as its ``kernel``.
    """

    name: str
    description: str
    architecture: str
    options: FitOptions
    stamps: Mapping[str, StampSpec]
    features: Mapping[str, tuple[FeatureSpec, ...]] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds_out(self) -> bool:
        """Whether alerts are set aside for validation, rather than left out by one of several members in turn."""
        return self.options.members == 1

    def features_of(self, preset: Preset) -> tuple[FeatureSpec, ...]:
        """The features for a survey, without mean and standard deviation."""
        return self.features.get(preset.survey, preset.features)

    def with_hyperparameters(self, chosen: Mapping[str, Any]) -> Recipe:
        """The recipe with some of its numbers changed.

        Parameters
        ----------
        chosen
            Numbers of `FitOptions` and of its `Augmentation` by name, ``size`` of the stamps in pixels, and
            ``kernel``, the side of the inner convolutions.

        Raises
        ------
        ValueError
            A name is none of these, or a value is of another type or out of range.
        """
        options, augmentation, network, stamps = {}, {}, dict(self.network), dict(self.stamps)
        for name, value in chosen.items():
            if name == "size":
                size = _of_type(name, 0, value)
                stamps = {survey: replace(spec, size=size) for survey, spec in stamps.items()}
            elif name == "kernel":
                network[name] = _of_type(name, 0, value)
            elif name in _names(Augmentation):
                augmentation[name] = _of_type(name, getattr(self.options.augmentation, name), value)
            elif name in _names(FitOptions) - {"augmentation", "members"}:
                options[name] = _of_type(name, getattr(self.options, name), value)
            else:
                raise ValueError(f"{name!r} is no hyperparameter")
        changed = replace(self.options, augmentation=replace(self.options.augmentation, **augmentation), **options)
        return replace(self, options=changed, network=network, stamps=stamps)


def _names(of: type[FitOptions] | type[Augmentation]) -> set[str]:
    return {field.name for field in fields(of)}


def _of_type(name: str, like: float, value: object) -> Any:
    """The value, if it is of the type of what it replaces; a whole number may stand for any other."""
    if type(value) is type(like) or (type(like) is float and type(value) is int):
        return type(like)(value)
    raise ValueError(f"{name} is {value!r}, which is no {type(like).__name__}")


def _min_max(ztf: int) -> dict[str, StampSpec]:
    """Stamps from 0 to 1; for Rubin 29 pixels, the most that a 30-pixel cutout has around its centre."""
    return {"ztf": StampSpec(STAMP_NAMES, ztf), "rubin": StampSpec(STAMP_NAMES, 29)}


_WHATEVER_THE_ANGLE = ("scale_disc_noise", "crop", "nan_to_zero")

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="fast",
            description="our own: the mean of five small networks, taught by real and simulated alerts",
            architecture="fast",
            options=FitOptions(),
            stamps={survey: preset.stamps for survey, preset in PRESETS.items()},
        ),
        Recipe(
            name="polar",
            description="the same with networks that hardly notice a turn of the stamps by any angle",
            architecture="polar",
            options=FitOptions(augmentation=Augmentation(max_angle_rad=math.pi)),
            stamps={
                "ztf": StampSpec(STAMP_NAMES, 33, _WHATEVER_THE_ANGLE),
                "rubin": StampSpec(STAMP_NAMES, 29, _WHATEVER_THE_ANGLE),
            },
        ),
        Recipe(
            name="paper-2021",
            description="the network and the training of Carrasco-Davis et al. 2021, to the letter",
            architecture="paper-2021",
            options=PUBLISHED_FIT,
            stamps=_min_max(21),
            features={"ztf": PUBLISHED_FEATURES},
        ),
        Recipe(
            name="paper-2021-5x5",
            description="the same with inner convolutions of 5 x 5 pixels, as its authors deployed it",
            architecture="paper-2021",
            options=PUBLISHED_FIT,
            stamps=_min_max(21),
            features={"ztf": PUBLISHED_FEATURES},
            network={"kernel": 5},
        ),
        Recipe(
            name="paper-2021-images",
            description="the same for stamps without metadata",
            architecture="paper-2021-images",
            options=PUBLISHED_FIT,
            stamps=_min_max(21),
            features=dict.fromkeys(PRESETS, ()),
        ),
        Recipe(
            name="enhanced-2024",
            description="the stamp classifier of Neira et al. 2024: 33 pixels, turned by small angles at random",
            architecture="enhanced-2024",
            options=PUBLISHED_FIT,
            stamps=_min_max(33),
            features={"ztf": PUBLISHED_FEATURES},
        ),
    )
}
"""By name, what ``--preset`` chooses from."""

DEFAULT_RECIPE = "fast"


def read_hyperparameters(path: Path) -> dict[str, Any]:
    """What ``train search`` has written.

    Raises
    ------
    ValueError
        The file is something else.
    """
    try:
        chosen = json.loads(path.read_text(encoding="utf-8"))["hyperparameters"]
    except (ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"{path}: no JSON with 'hyperparameters' in it, as train search writes it") from problem
    if not isinstance(chosen, dict):
        raise ValueError(f"{path}: 'hyperparameters' must be numbers by name")
    return chosen
