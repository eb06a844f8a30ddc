"""What an answer rests on: the accuracy without some of the inputs, and with them shuffled among the alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import FeatureSpec, Manifest
from broker_plugin.evaluation.answers import Features, Predict, Stamps
from broker_plugin.tensors.metadata import missing_features

SHUFFLES = 20

FEATURE_GROUPS: dict[str, tuple[str, ...]] = {
    "history": (
        "ndethist", "ncovhist", "jdstarthist", "jdendhist", "non_detections", "nmtchps", "nDiaSources",
        "diaObject.*", "first*Mjd*",
    ),
    "light curve": ("lc_*",),
    "sky position": ("ra", "dec", "*galactic_l*", "*ecliptic_l*"),
    "time and exposure": ("jd", "nid", "field", "programid", "rcid", "diffmaglim", "fwhm", "seeing*", "exp*"),
    "catalogues": (
        "sgscore*", "distpsnr*", "sgmag*", "srmag*", "simag*", "szmag*", "ps1_*", "neargaia*", "maggaia*", "ss*",
    ),
    "reference image": ("distnr", "magnr", "sigmagnr", "chinr", "sharpnr", "ranr", "decnr", "*template*"),
    "another classifier's score": ("rb", "drb", "reliability"),
}  # fmt: skip
"""Groups of features, by patterns of their source.  A group of which a bundle has nothing is left out."""


@dataclass(frozen=True, slots=True)
class Part:
    """Inputs that are taken away together.

    Attributes
    ----------
    columns
        Numbers of features.
    channels
        Numbers of stamps.
    """

    name: str
    columns: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ablated:
    """The accuracy without a part.

    Attributes
    ----------
    inputs
        Names of the features and stamps of the part.
    removed, removed_balanced
        Accuracy, and mean recall over the classes, with the part fed as missing.
    shuffled, shuffled_spread
        Mean and standard deviation of the accuracy over `SHUFFLES` permutations of the part among the alerts.
    """

    name: str
    inputs: tuple[str, ...]
    removed: float
    removed_balanced: float
    shuffled: float
    shuffled_spread: float


@dataclass(frozen=True, slots=True)
class ImageSubset:
    """The accuracy with some of the stamps, the others blank."""

    stamps: tuple[str, ...]
    accuracy: float
    balanced_accuracy: float


def single_features(manifest: Manifest) -> list[Part]:
    """Each feature by itself."""
    return [Part(feature.name, (column,)) for column, feature in enumerate(manifest.features)]


def groups(manifest: Manifest) -> list[Part]:
    """Features that belong together, all features, each stamp, and all stamps."""
    made = [Part(name, _matching(manifest.features, patterns)) for name, patterns in FEATURE_GROUPS.items()]
    channels = tuple(range(len(manifest.stamps.channels)))
    made.append(Part("all metadata", tuple(range(len(manifest.features)))))
    made += [Part(f"{name} stamp", channels=(channel,)) for channel, name in enumerate(manifest.stamps.channels)]
    made.append(Part("all stamps", channels=channels))
    return [part for part in made if part.columns or part.channels]


def absent_groups(manifest: Manifest) -> list[str]:
    """Names of `FEATURE_GROUPS` of which the bundle has nothing."""
    return [name for name, patterns in FEATURE_GROUPS.items() if not _matching(manifest.features, patterns)]


def ablate(
    predict: Predict,
    stamps: Stamps,
    features: Features,
    truth: NDArray[np.int64],
    manifest: Manifest,
    parts: Sequence[Part],
    *,
    progress: Callable[[], None],
    seed: int = 1,
) -> list[Ablated]:
    """Take away each part in turn.

    A missing feature is what the manifest fills in; a missing stamp is zero, as the pixels that a stamp does not have.
    The network is the same: it was not trained again without the part.

    Parameters
    ----------
    progress
        Called after each part.
    """
    nothing = (np.zeros_like(stamps[:1]), missing_features(manifest.features)[None])
    results = []
    for number, part in enumerate(parts):
        rng = np.random.default_rng((seed, number))
        removed = predict(*_replaced(part, stamps, features, *nothing)).argmax(axis=1)
        shuffled = []
        for _ in range(SHUFFLES):
            rows = rng.permutation(len(truth))
            said = predict(*_replaced(part, stamps, features, stamps[rows], features[rows])).argmax(axis=1)
            shuffled.append(float((said == truth).mean()))
        names = [manifest.features[i].name for i in part.columns] + [manifest.stamps.channels[i] for i in part.channels]
        results.append(
            Ablated(
                part.name,
                tuple(names),
                float((removed == truth).mean()),
                balanced_accuracy(truth, removed),
                float(np.mean(shuffled)),
                float(np.std(shuffled)),
            )
        )
        progress()
    return results


def _replaced(
    part: Part, stamps: Stamps, features: Features, other_stamps: Stamps, other_features: Features
) -> tuple[Stamps, Features]:
    """The tensors with a part from others, of as many alerts or of one for all."""
    stamps, features = stamps.copy(), features.copy()
    stamps[..., list(part.channels)] = other_stamps[..., list(part.channels)]
    features[:, list(part.columns)] = other_features[:, list(part.columns)]
    return stamps, features


def image_subsets(
    predict: Predict, stamps: Stamps, features: Features, truth: NDArray[np.int64], channels: Sequence[str]
) -> list[ImageSubset]:
    """The accuracy with every choice of stamps, from none to all, the metadata in place.

    The others are zero, which is what the steps of a manifest make of a pixel that is not there.
    """
    results = []
    for count in range(len(channels) + 1):
        for kept in combinations(range(len(channels)), count):
            blanked = np.zeros_like(stamps)
            blanked[..., list(kept)] = stamps[..., list(kept)]
            said = predict(blanked, features).argmax(axis=1)
            names = tuple(channels[i] for i in kept)
            results.append(ImageSubset(names, float((said == truth).mean()), balanced_accuracy(truth, said)))
    return results


def balanced_accuracy(truth: NDArray[np.int64], said: NDArray[np.signedinteger[Any]]) -> float:
    """The mean recall of the classes that occur."""
    return float(np.mean([(said[truth == number] == number).mean() for number in np.unique(truth)]))


def _matching(features: Sequence[FeatureSpec], patterns: Sequence[str]) -> tuple[int, ...]:
    return tuple(
        column
        for column, feature in enumerate(features)
        if any(fnmatchcase(feature.source, pattern) for pattern in patterns)
    )
