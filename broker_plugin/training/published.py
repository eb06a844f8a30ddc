"""Import of TensorFlow 1 checkpoints of the published stamp classifier: Carrasco-Davis et al. 2021, AJ 162, 231.

A checkpoint holds the weights alone.  What else turns an alert into an answer is stated here, as the published code has
it: https://github.com/alercebroker/stamp_classifier, ``deployment/stamp_clf.py`` (features, clips, classes),
``modules/networks`` and ``modules/layers.py`` (order of operations, names), ``modules/data_loaders`` (the crop, then
the scaling, then NaN to zero).  The means and standard deviations of the features are in neither: that code keeps them
in a pickle, and nothing is unpickled here, so they come as a table.
"""

from __future__ import annotations

import csv
import glob
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import BundleError, FeatureSpec, Manifest, ModelSpec, StampSpec
from broker_plugin.bundles.store import file_sha256
from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES, paper_image_network, paper_network
from broker_plugin.training.export import write_bundle
from broker_plugin.training.presets import CLASSES, PREPROCESSING_VERSION, TAXONOMY, TAXONOMY_VERSION
from broker_plugin.training.published_features import FEATURES_OF_LAYOUT, MISSING

if TYPE_CHECKING:
    import keras

_SIZE = 21
_UNITS = 64  # of every dense layer
_PUBLISHED_NAMES = {EMBEDDING: "dense_3", PROBABILITIES: "output_logits"}  # by our name of the layer
_LAYER = re.compile(r"(conv_(?:1_1|2_2|3_4|4_5|5_6)|dense_[1-9]|batchnorm_features|output_logits)(?:_\d+)?")
_WEIGHTS = frozenset({"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"})
_CHECKPOINT_FILE = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


def import_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    feature_stats: Path | None = None,
    name: str = "alerce-2021",
    version: str = "0.1.0",
    command: str = "",
) -> Manifest:
    """Write the bundle of a checkpoint of the published network.

    Which of its forms it is (3 x 3 or 5 x 5 kernels; 23, 26 or no features) shows in the shapes of its variables.  The
    bundle tells no novelty: how far an alert is from the training data, the checkpoint does not say.

    Parameters
    ----------
    checkpoint
        What `tf.train.Saver.save` was given, one of the files that it wrote, or their folder.
    out
        The bundle's folder; made anew.
    feature_stats
        Table of the columns name, mean and std: of each feature after its clip, over the training set.  Needed where
        the network has features.  A missing value is taken for the mean, or for -1 where the clip begins there.
    command
        What was typed, for the manifest.

    Raises
    ------
    ValueError
        The checkpoint can't be read, or is not of this layout; the table is missing or is not of these features.
    """
    network = read_network(checkpoint)
    count = network.inputs[1].shape[1]
    features = FEATURES_OF_LAYOUT[count]
    if count and feature_stats is None:
        raise ValueError(
            f"{checkpoint}: the network has {count} features, whose means and standard deviations no checkpoint holds: "
            "give a table of name, mean and std"
        )
    if feature_stats is not None:
        features = _with_stats(features, feature_stats)
    manifest = Manifest(
        name=name,
        version=version,
        kind="stamp",
        survey="ztf",
        description=_description(count),
        taxonomy=TAXONOMY,
        taxonomy_version=TAXONOMY_VERSION,
        classes=CLASSES,
        preprocessing_version=PREPROCESSING_VERSION,
        stamps=StampSpec(channels=STAMP_NAMES, size=_SIZE, steps=("crop", "scale_min_max", "nan_to_zero")),
        features=features,
        model=ModelSpec(signatures={"float32": ""}),
        training={
            "command": command,
            "imported_from": str(_prefix(checkpoint)),
            "checkpoint_sha256": {path.name: file_sha256(path) for path in _files(checkpoint)},
            "feature_stats_sha256": None if feature_stats is None else file_sha256(feature_stats),
            "parameters": int(network.count_params()),
        },
    )
    build = partial(_network, features=count, kernel=network.get_layer("conv_2_2").kernel_size[0])
    return write_bundle(out, manifest, network, build, (), _model_card(manifest))


def read_network(checkpoint: Path) -> keras.Model:
    """The network of a checkpoint, with its weights.

    Slots of an optimiser, moving averages of weights and the scopes around the layers are passed over.

    Raises
    ------
    ValueError
        The checkpoint can't be read or is not of this layout; the message names the variable that is missing or wrong.
    """
    reader = _reader(checkpoint)
    shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    try:
        names = _names_of_weights(shapes)
        network = _network_of({weight: shapes[name] for weight, name in names.items()})
        expected = {_published_name(layer, w): tuple(w.shape) for layer in network.layers for w in layer.weights}
        for weight, shape in expected.items():
            if weight not in names:
                raise ValueError(f"no variable {weight}")
            if shapes[names[weight]] != shape:
                raise ValueError(f"{names[weight]} is of shape {shapes[names[weight]]}, and should be {shape}")
        for weight, name in names.items():
            if weight not in expected:
                raise ValueError(f"{name} is not of the published network")
        for layer in network.layers:
            layer.set_weights([_values(reader, names[_published_name(layer, weight)]) for weight in layer.weights])
    except ValueError as problem:
        raise ValueError(f"{checkpoint}: not a checkpoint of the layout alerce-2021: {problem}") from problem
    return network


def _reader(checkpoint: Path) -> Any:
    import tensorflow as tf

    try:
        return tf.train.load_checkpoint(str(_prefix(checkpoint)))
    except (ValueError, tf.errors.OpError) as problem:
        reason = str(problem).splitlines()[0]
        raise ValueError(f"{checkpoint}: can't be read as a TensorFlow checkpoint: {reason}") from problem


def _prefix(checkpoint: Path) -> Path:
    """The name that all files of a checkpoint begin with, or the folder."""
    return Path(_CHECKPOINT_FILE.sub("", str(checkpoint)))


def _files(checkpoint: Path) -> list[Path]:
    """The files that hold the variables."""
    import tensorflow as tf

    prefix = _prefix(checkpoint)
    if prefix.is_dir():
        prefix = Path(tf.train.latest_checkpoint(str(prefix)))
    return sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))


def _names_of_weights(names: Iterable[str]) -> dict[str, str]:
    """The names of variables by layer and weight: ``conv_1_1/kernel`` to ``network/conv_1_1/conv2d/kernel``.

    A slot or a moving average has one more name after that of its weight, and so is none of these.
    """
    found: dict[str, str] = {}
    for name in sorted(names):
        *scopes, weight = name.split("/")
        layers = [match[1] for scope in scopes if (match := _LAYER.fullmatch(scope))]
        if not layers or weight not in _WEIGHTS:
            continue
        key = f"{layers[0]}/{weight}"
        if key in found:
            raise ValueError(f"{found[key]} and {name} are both {key}")
        found[key] = name
    return found


def _network_of(shapes: Mapping[str, tuple[int, ...]]) -> keras.Model:
    """The untrained network whose variables may have these shapes."""
    for weight in ("conv_2_2/kernel", "dense_2/kernel"):
        if len(shapes.get(weight, ())) < 2:
            raise ValueError(f"no variable {weight}")
    kernel = shapes["conv_2_2/kernel"][0]
    if kernel not in (3, 5):
        raise ValueError(f"kernels of {kernel} x {kernel}: the published ones are 3 x 3 and 5 x 5")
    features = 0
    if any(weight.startswith(("dense_3/", "batchnorm_features/")) for weight in shapes):
        features = shapes["dense_2/kernel"][0] - _UNITS
        if features not in FEATURES_OF_LAYOUT or not features:
            raise ValueError(f"{features} features join the stamps: the published networks have 23 or 26")
    return _network(features, kernel)


def _network(features: int, kernel: int) -> keras.Model:
    build = paper_network if features else paper_image_network
    return build(size=_SIZE, channels=len(STAMP_NAMES), features=features, classes=len(CLASSES), kernel=kernel)


def _published_name(layer: Any, weight: Any) -> str:
    return f"{_PUBLISHED_NAMES.get(layer.name, layer.name)}/{weight.name}"


def _values(reader: Any, name: str) -> np.ndarray:
    import tensorflow as tf

    try:
        values = np.asarray(reader.get_tensor(name), dtype=np.float32)
    except (tf.errors.OpError, IndexError) as problem:  # the latter where the file is too short
        raise ValueError(f"{name} can't be read: {str(problem).splitlines()[0]}") from problem
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite")
    return values


def _with_stats(features: tuple[FeatureSpec, ...], table: Path) -> tuple[FeatureSpec, ...]:
    stats = _read_stats(table)
    for name in stats:
        if name not in {feature.name for feature in features}:
            raise ValueError(f"{table}: {name!r} is not a feature of this network")
    done = []
    for feature in features:
        if feature.name not in stats:
            raise ValueError(f"{table}: no row for the feature {feature.name!r}")
        mean, std = stats[feature.name]
        fill = feature.fill if feature.clip[0] == MISSING else mean
        try:
            done.append(replace(feature, mean=mean, std=std, fill=fill))
        except BundleError as problem:
            raise ValueError(f"{table}: {problem}") from problem
    return tuple(done)


def _read_stats(table: Path) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation by the feature's name."""
    stats: dict[str, tuple[float, float]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"name", "mean", "std"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{table}: needs the columns name, mean and std")
        for number, row in enumerate(rows, start=2):
            try:
                stats[row["name"]] = float(row["mean"]), float(row["std"])
            except (TypeError, ValueError) as problem:
                raise ValueError(f"{table}, line {number}: {problem}") from problem
    return stats


def _description(features: int) -> str:
    seen = f"stamps and {features} features" if features else "stamps alone"
    return f"The stamp classifier of Carrasco-Davis et al. 2021 for ztf alerts, {seen}: an imported checkpoint."


def _model_card(manifest: Manifest) -> str:
    return "\n".join(
        [
            f"# {manifest.label}",
            "",
            manifest.description,
            "",
            f"- Input: one {manifest.survey} alert; {', '.join(manifest.stamps.channels)} stamps, "
            f"{manifest.stamps.size} x {manifest.stamps.size} pixels, each scaled from 0 to 1"
            + "".join(f", `{feature.name}`" for feature in manifest.features)
            + ".",
            f"- Output: probabilities of {', '.join(manifest.classes)}, as the network gives them; no novelty, because "
            "a checkpoint does not tell what it was trained on.",
            f"- Made by: `{manifest.training['command'] or 'import_checkpoint'}`.",
            "",
            "## What to know before trusting it",
            "",
            "It was not trained here, and no score of it is known here: run `broker-plugin evaluate` on alerts of your "
            "own. `isdiffpos` is 1 for f and 0 for t, as in the published code and not as in the paper; a network "
            "trained with the other sign would be wrong about a third of all alerts.",
            "",
        ]
    )
