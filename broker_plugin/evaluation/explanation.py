"""Why an answer is what it is: which pixels and which metadata of one alert speak for a class, and which against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert, AlertError, Reason
from broker_plugin.bundles import FeatureSpec
from broker_plugin.models import Model
from broker_plugin.models.gradients import stamp_gradients
from broker_plugin.tensors import make_batch
from broker_plugin.tensors.metadata import missing_features

STEPS = 256
"""Points of the path along which gradients are integrated."""

Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class StampExplanation:
    """What one stamp has to do with the answer; maps are (size, size), in the order of the pixels.

    Attributes
    ----------
    pixels
        As the network takes them.
    occlusion
        By how much the probability falls where a window around the pixel is blank, mean over the windows.
    integrated_gradients
        The part that each pixel has in the probability; see `Explanation`.
    effect
        By how much the probability falls where the whole stamp is blank.
    """

    name: str
    pixels: Pixels
    occlusion: Pixels
    integrated_gradients: Pixels
    effect: float


@dataclass(frozen=True, slots=True)
class FeatureEffect:
    """What one feature has to do with the answer.

    Attributes
    ----------
    value
        In the unit of its source, within the bounds that the manifest clips to; None where the packet lacks it.
    effect
        By how much the probability falls where the packet lacks it: above zero for what speaks for the class.
    """

    name: str
    value: float | None
    effect: float


@dataclass(frozen=True)
class Explanation:
    """Why a class has its probability.

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) follow the probability from blank stamps to those
    of the alert, with its metadata in place; over all pixels of all stamps they add up to the difference of the two.

    Attributes
    ----------
    probabilities
        Of each class.
    class_name
        The one that is explained.
    blank_probability
        Of it, with all stamps blank.
    features
        Those with the largest effect first.
    """

    probabilities: dict[str, float]
    class_name: str
    blank_probability: float
    stamps: tuple[StampExplanation, ...]
    features: tuple[FeatureEffect, ...]

    @property
    def probability(self) -> float:
        """Of the class that is explained."""
        return self.probabilities[self.class_name]

    @property
    def residual(self) -> float:
        """What integrated gradients lack to their sum, for the path has a finite number of steps."""
        total = sum(float(stamp.integrated_gradients.sum()) for stamp in self.stamps)
        return self.probability - self.blank_probability - total


def explain(model: Model, alert: Alert, class_name: str | None = None) -> Explanation:
    """Explain the probability of a class, by default the highest one.

    Blank is zero, which is what the steps of a manifest make of pixels that a stamp does not have.

    Raises
    ------
    AlertError
        The alert can't be classified.
    ValueError
        There is no such class.
    """
    manifest = model.bundle.manifest
    if class_name is not None and class_name not in manifest.classes:
        raise ValueError(f"{manifest.label} has no class {class_name!r}; it has {', '.join(manifest.classes)}")
    batch = make_batch([alert], manifest)
    if batch.problems:
        raise batch.problems[0]
    said = model.predict(batch.stamps, batch.features).probabilities[0]
    if np.isnan(said).any():
        raise AlertError(Reason.NON_FINITE_OUTPUT, "the model gave no finite answer")
    number = int(said.argmax()) if class_name is None else manifest.classes.index(class_name)
    stamps, features = batch.stamps[0], batch.features[0]
    return Explanation(
        probabilities=dict(zip(manifest.classes, said.tolist(), strict=True)),
        class_name=manifest.classes[number],
        blank_probability=float(_probability(model, np.zeros_like(stamps)[None], features, number)[0]),
        stamps=_stamps(model, stamps, features, number, said[number]),
        features=_features(model, stamps, features, number, said[number], frozenset(batch.imputed[0])),
    )


def _probability(
    model: Model, stamps: NDArray[np.float32], features: NDArray[np.float32], number: int
) -> NDArray[np.float64]:
    """Of a class, for each of many stamps beside the same features."""
    return model.predict(stamps, np.repeat(features[None], len(stamps), axis=0)).probabilities[:, number]


def _stamps(
    model: Model, stamps: NDArray[np.float32], features: NDArray[np.float32], number: int, said: float
) -> tuple[StampExplanation, ...]:
    gradients = _integrated_gradients(model, stamps, features, number)
    explained = []
    for channel, name in enumerate(model.bundle.manifest.stamps.channels):
        blanked = stamps[None].copy()
        blanked[..., channel] = 0.0
        effect = said - float(_probability(model, blanked, features, number)[0])
        occlusion = _occlusion(model, stamps, features, number, said, channel)
        explained.append(
            StampExplanation(name, stamps[..., channel].astype(np.float64), occlusion, gradients[..., channel], effect)
        )
    return tuple(explained)


def _occlusion(
    model: Model, stamps: NDArray[np.float32], features: NDArray[np.float32], number: int, said: float, channel: int
) -> Pixels:
    """The mean fall of the probability over the windows that cover a pixel; Zeiler & Fergus 2014, ECCV, 818."""
    side = stamps.shape[0]
    window = 2 * (side // 18) + 1  # 7 of 63 pixels, 3 of 29: about a point-spread function
    starts = np.unique(np.append(np.arange(0, side - window, max(window // 2, 1)), side - window))
    corners = [(row, column) for row in starts for column in starts]
    blanked = np.repeat(stamps[None], len(corners), axis=0)
    for image, (row, column) in zip(blanked, corners, strict=True):
        image[row : row + window, column : column + window, channel] = 0.0
    falls = said - _probability(model, blanked, features, number)
    total, covered = np.zeros((side, side)), np.zeros((side, side))
    for (row, column), fall in zip(corners, falls, strict=True):
        total[row : row + window, column : column + window] += fall
        covered[row : row + window, column : column + window] += 1.0
    return np.asarray(total / covered)


def _integrated_gradients(
    model: Model, stamps: NDArray[np.float32], features: NDArray[np.float32], number: int
) -> Pixels:
    """The integral of the gradient along the straight path from blank stamps, times the stamps.

    A bright pixel runs through its first sigmas within a ten-thousandth of the path, and there the answer is made; so
    the steps are even in the inverse hyperbolic sine of the brightest pixel, not in the length of the path.
    """
    reach = np.arcsinh(max(float(np.abs(stamps).max()), 1.0))
    middles = (np.arange(STEPS) + 0.5) / STEPS
    along = np.sinh(reach * middles) / np.sinh(reach)
    weights = reach * np.cosh(reach * middles) / np.sinh(reach) / STEPS
    total = np.zeros(stamps.shape)
    for rows in np.array_split(np.arange(STEPS), max(STEPS // model.max_batch, 1)):
        path = (along[rows, None, None, None] * stamps).astype(np.float32)
        gradients = stamp_gradients(model, path, np.repeat(features[None], len(rows), axis=0), number)
        total += np.tensordot(weights[rows], gradients, axes=1)
    return np.asarray(total * stamps)


def _features(
    model: Model,
    stamps: NDArray[np.float32],
    features: NDArray[np.float32],
    number: int,
    said: float,
    imputed: frozenset[str],
) -> tuple[FeatureEffect, ...]:
    manifest = model.bundle.manifest
    if not manifest.features:
        return ()
    without = np.repeat(features[None], len(features), axis=0)
    np.fill_diagonal(without, missing_features(manifest.features))
    probabilities = model.predict(np.repeat(stamps[None], len(features), axis=0), without).probabilities[:, number]
    effects = [
        FeatureEffect(
            feature.name,
            None if feature.name in imputed else _in_its_unit(float(features[column]), feature),
            0.0 if feature.name in imputed else said - float(probabilities[column]),
        )
        for column, feature in enumerate(manifest.features)
    ]
    return tuple(sorted(effects, key=lambda one: -abs(one.effect)))


def _in_its_unit(value: float, feature: FeatureSpec) -> float:
    """What the manifest has transformed and standardised, as it was."""
    transformed = round(value * feature.std + feature.mean, 6) + 0.0  # as far as float32 goes, and no -0
    if feature.transform == "log10":
        return float(10.0**transformed)
    if feature.transform == "asinh":
        return float(np.sinh(transformed) * feature.scale)
    return transformed
