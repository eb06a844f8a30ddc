"""The manifest of a bundle: all that turns an alert into this model's tensors, and its output into a record."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from broker_plugin.alert import STAMP_NAMES

MANIFEST_NAME = "bundle.json"
MANIFEST_FORMAT = 1
STAMP_STEPS = ("crop", "scale_min_max", "nan_to_zero")
SCALINGS = ("scale_min_max", "scale_noise", "scale_disc_noise")
KINDS = ("stamp", "temporal")
TRANSFORMS = ("identity", "log10", "asinh")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Semantic Versioning 2.0.0, section 2, 9 and 10.
_NUMBER = "(0|[1-9][0-9]*)"
_PRE = "([0-9]*[A-Za-z-][0-9A-Za-z-]*|0|[1-9][0-9]*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")


class BundleError(Exception):
    """A bundle that can't be used; the message names the bundle and what is wrong."""


@dataclass(frozen=True)
class StampSpec:
    """How the stamps of one alert become an array of shape (size, size, channels).

    Attributes
    ----------
    channels
        Stamp names in the order of the model's channels.
    size
        Pixels on a side after the crop.
    steps
        The operations in their order.  ``crop`` takes the central ``size`` x ``size`` pixels;
        ``scale_min_max`` subtracts each channel's minimum and divides by its maximum, ignoring
        NaN; ``scale_noise``, in its place, subtracts the median and divides by the noise;
        ``scale_disc_noise`` does so with a noise that does not depend on how the stamp is turned;
        ``nan_to_zero`` replaces what is not finite.  The order changes answers: see
        Carrasco-Davis et al. 2021, section 3.1, and ``docs/bundles.md``.
    """

    channels: tuple[str, ...]
    size: int
    steps: tuple[str, ...] = STAMP_STEPS

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise BundleError(f"stamps: size {self.size!r} must be a whole number above zero")
        if not self.channels or not set(self.channels) <= set(STAMP_NAMES):
            raise BundleError(f"stamps: channels {self.channels} must be of {STAMP_NAMES}")
        if sorted(self.steps) not in [sorted(("crop", scaling, "nan_to_zero")) for scaling in SCALINGS]:
            raise BundleError(f"stamps: steps {self.steps} must be crop, nan_to_zero and one of {SCALINGS}")


@dataclass(frozen=True)
class FeatureSpec:
    """One metadata feature: where it comes from and how it becomes a number of order one.

    The value is ``(transform(clip(source)) - mean) / std``.

    Attributes
    ----------
    source
        A field of the survey under the survey's name, or a derived quantity of ``tensors.metadata``.
    transform, scale
        ``identity``; ``log10``; or ``asinh`` of value/scale.
    clip
        Lowest and highest value of the source, in its own unit; None leaves that side open.
    valid
        Lowest and highest value that the survey can have written, as ``clip``.  One beyond them is no
        measurement: the feature is then what it is on average, and the record names it as imputed.
    mean, std
        Of the transformed values of the training set.
    fill
        Stands in for a missing value; in the unit of the source.  The record names each use.
    true_value, false_value
        What a boolean source is worth.
    """

    name: str
    source: str
    transform: str = "identity"
    scale: float = 1.0
    clip: tuple[float | None, float | None] = (None, None)
    valid: tuple[float | None, float | None] = (None, None)
    mean: float = 0.0
    std: float = 1.0
    fill: float = 0.0
    true_value: float = 1.0
    false_value: float = 0.0

    def __post_init__(self) -> None:
        _require_text(f"feature {self.name}", self.name, self.source)
        numbers = (self.scale, self.mean, self.std, self.fill, self.true_value, self.false_value)
        if not all(math.isfinite(x) for x in numbers) or self.std <= 0 or self.scale <= 0:
            raise BundleError(f"feature {self.name}: numbers must be finite, std and scale above zero")
        for what, bounds in (("clip", self.clip), ("valid", self.valid)):
            low, high = bounds if len(bounds) == 2 else (math.nan, math.nan)
            if not (-math.inf if low is None else low) <= (math.inf if high is None else high):
                raise BundleError(f"feature {self.name}: {what} {bounds} must be a lower and a higher bound, or null")
        if self.transform not in TRANSFORMS:
            raise BundleError(f"feature {self.name}: transform {self.transform!r} is not of {TRANSFORMS}")
        if self.transform == "log10" and not (self.clip[0] is not None and self.clip[0] > 0 and self.fill > 0):
            raise BundleError(f"feature {self.name}: log10 needs a lower clip and a fill above zero")


@dataclass(frozen=True)
class SequenceSpec:
    """What a temporal model sees of the detections of one object, besides their stamps.

    Attributes
    ----------
    length
        Most detections that it looks at: the latest.
    features
        Of each detection; their sources are those of ``tensors.sequences``.
    """

    length: int
    features: tuple[FeatureSpec, ...]

    def __post_init__(self) -> None:
        if type(self.length) is not int or self.length < 1:
            raise BundleError(f"sequence: length {self.length!r} must be a whole number above zero")
        _require_different("sequence: feature names", [feature.name for feature in self.features])


@dataclass(frozen=True)
class ModelSpec:
    """The SavedModel and how it is called.

    Attributes
    ----------
    signatures
        Precision (``float32``, ``bfloat16``) to the name of the signature that computes in it.
    stamps_input, features_input
        Names of the signature's arguments: float32 (batch, size, size, channels) and (batch, features).
        ``features_input`` is None for a model of images alone.
    probabilities_output
        Name of the output of shape (batch, classes); rows sum to one.
    distance_output
        Name of the output of shape (batch,) from which `NoveltySpec` tells novelty, or None.
    trunk_signatures
        Of a temporal model: precision to the name of the signature that takes the stamps of one detection each and
        gives ``embedding_output``, float32 (stamps, embedding).  Its ``signatures`` take no stamps then.
    embeddings_input, detections_input, present_input
        Of a temporal model: float32 (objects, length, embedding), zero where a detection has no stamps; (objects,
        length, features of a detection); (objects, length), 1 where there is a detection and 0 behind the last.
    """

    signatures: Mapping[str, str]
    stamps_input: str = "stamps"
    features_input: str | None = "features"
    probabilities_output: str = "probabilities"
    distance_output: str | None = None
    trunk_signatures: Mapping[str, str] = field(default_factory=dict)
    embedding_output: str = "embedding"
    embeddings_input: str = "embeddings"
    detections_input: str = "detections"
    present_input: str = "present"


@dataclass(frozen=True)
class NoveltySpec:
    """How a distance becomes a novelty from 0 (as the training data) to 1 (further than all of it).

    Attributes
    ----------
    quantiles
        Distances of held-out alerts at evenly spaced probabilities from 0 to 1, rising.
    """

    method: str
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a <= b for a, b in zip(self.quantiles, self.quantiles[1:], strict=False))
        if len(self.quantiles) < 2 or not rising or not all(map(math.isfinite, self.quantiles)):
            raise BundleError("novelty: quantiles must be two or more rising numbers")


@dataclass(frozen=True)
class Exclusion:
    """A class that an alert can't be of: its probability is zero, and the others share it by their size.

    Attributes
    ----------
    feature
        Name of the feature that tells.
    above
        The class is ruled out where the feature's source is larger, in its own unit.
    """

    class_name: str
    feature: str
    above: float


@dataclass(frozen=True)
class Manifest:
    """The content of ``bundle.json``.

    Attributes
    ----------
    kind
        ``stamp``: one alert in, one answer out.  ``temporal``: the detections of an object in.
    features
        Of an alert; of a temporal model, of the object's latest alert.
    sequence
        Of a temporal model.
    temperature
        Calibration: probabilities are raised to 1/temperature and normalised (Guo et al. 2017,
        arXiv:1706.04599).
    exclusions
        What the network rules out.  It is part of the SavedModel; here it is told.
    training, metrics, versions
        Provenance: data and their digest, command and seed; scores; TensorFlow and Keras versions.
    files
        SHA-256 of every other file of the bundle, by path.
    """

    name: str
    version: str
    kind: str
    survey: str
    description: str
    taxonomy: str
    taxonomy_version: str
    classes: tuple[str, ...]
    preprocessing_version: str
    stamps: StampSpec
    features: tuple[FeatureSpec, ...]
    model: ModelSpec
    sequence: SequenceSpec | None = None
    temperature: float = 1.0
    novelty: NoveltySpec | None = None
    exclusions: tuple[Exclusion, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BundleError(f"name {self.name!r} must be lower-case words joined by hyphens")
        if not _VERSION.fullmatch(self.version):
            raise BundleError(f"{self.name}: version {self.version!r} is not a semantic version")
        if self.kind not in KINDS:
            raise BundleError(f"{self.name}: kind {self.kind!r} is not known to this version")
        if (self.kind == "temporal") != (self.sequence is not None):
            raise BundleError(f"{self.name}: a temporal model, and no other, has a sequence")
        _require_text(self.name, self.survey, self.taxonomy, self.taxonomy_version, self.preprocessing_version)
        _require_text(f"{self.name}: classes", *self.classes)
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise BundleError(f"{self.name}: classes must be two or more different names")
        names = [f.name for f in self.features]
        _require_different(f"{self.name}: feature names", names)
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise BundleError(f"{self.name}: temperature must be above zero")
        for exclusion in self.exclusions:
            if exclusion.class_name not in self.classes or exclusion.feature not in names:
                raise BundleError(f"{self.name}: {exclusion} is of no class or feature of the bundle")
        if not self.model.signatures:
            raise BundleError(f"{self.name}: model.signatures is empty")

    @property
    def label(self) -> str:
        """``name/version``, as bundles are asked for and shown."""
        return f"{self.name}/{self.version}"

    def to_json(self) -> str:
        """The text of ``bundle.json``."""
        return json.dumps({"format": MANIFEST_FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read and check the text of a ``bundle.json``.

        Raises
        ------
        BundleError
            The text is not JSON, lacks a key, has an unknown one, or a value is out of range.
        """
        try:
            raw = json.loads(text)
            if raw.pop("format", None) != MANIFEST_FORMAT:
                raise BundleError(f"format of the manifest is not {MANIFEST_FORMAT}")
            raw = _tuples(raw, "classes")
            raw["stamps"] = StampSpec(**_tuples(raw["stamps"], "channels", "steps"))
            raw["features"] = tuple(FeatureSpec(**_tuples(f, "clip", "valid")) for f in raw["features"])
            raw["model"] = ModelSpec(**raw["model"])
            if raw.get("sequence") is not None:
                features = tuple(FeatureSpec(**_tuples(f, "clip", "valid")) for f in raw["sequence"]["features"])
                raw["sequence"] = SequenceSpec(**(raw["sequence"] | {"features": features}))
            raw["exclusions"] = tuple(Exclusion(**exclusion) for exclusion in raw.get("exclusions", ()))
            if raw.get("novelty") is not None:
                raw["novelty"] = NoveltySpec(**_tuples(raw["novelty"], "quantiles"))
            return cls(**raw)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
            raise BundleError(f"not a bundle manifest: {type(problem).__name__}: {problem}") from problem

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of the bundle in ``folder``."""
        try:
            return cls.from_json((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            raise BundleError(f"{folder}: no readable {MANIFEST_NAME}: {problem}") from problem
        except BundleError as problem:
            raise BundleError(f"{folder / MANIFEST_NAME}: {problem}") from problem


def _tuples(raw: dict[str, Any], *keys: str) -> dict[str, Any]:
    """``raw`` with the lists under ``keys`` as tuples, which is what frozen types hold."""
    for key in keys:
        if not isinstance(raw.get(key, []), list):
            raise TypeError(f"{key} is not a list")
    return {k: tuple(v) if k in keys else v for k, v in raw.items()}


def _require_text(where: str, *values: object) -> None:
    for value in values:
        if not (isinstance(value, str) and value):
            raise BundleError(f"{where}: {value!r:.60} must be a text")


def _require_different(where: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise BundleError(f"{where} must differ")
