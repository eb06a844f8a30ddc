"""From packets and a table of labels to a bundle, in one call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import Manifest, ModelSpec
from broker_plugin.evaluation.examples import (
    Examples,
    Label,
    as_sent,
    classifiable,
    labelled_surveys,
    load_examples,
    read_labels,
)
from broker_plugin.evaluation.scores import best_temperature, scores
from broker_plugin.models import calibrated
from broker_plugin.training.architecture import ARCHITECTURES, EMBEDDING, IMAGES_ALONE, PROBABILITIES, averaged
from broker_plugin.training.dataset import (
    Arrays,
    first_features,
    folds_by_object,
    simulated_examples,
    standardised,
    to_arrays,
)
from broker_plugin.training.export import EmbeddingDistance, novelty_of, write_bundle
from broker_plugin.training.fit import FitOptions, fit_stamp_network, predict
from broker_plugin.training.presets import CLASSES, PRESETS, TAXONOMY, TAXONOMY_VERSION, Preset

PREPROCESSING_VERSION = "1.1"
_STRONG_TRUST = (1, 2)

Progress = Callable[[int, int, str], None]
"""Called with iterations done, iterations at the most, and a line to show."""


def train_stamp(
    paths: Sequence[Path],
    labels_csv: Path,
    out: Path,
    *,
    survey: str | None = None,
    name: str | None = None,
    version: str = "0.1.0",
    seed: int = 1,
    architecture: str = "fast",
    simulated: int = 0,
    score_test: bool = True,
    options: FitOptions | None = None,
    command: str = "",
    notes: str = "",
    progress: Progress = lambda done, total, text: None,
) -> Manifest:
    """Fit a stamp classifier and write its bundle.

    Alerts whose label says ``test`` in the column ``split`` are scored at the end and used for nothing
    else.  The others are dealt into folds by object; each of the networks that are averaged leaves out one of them,
    and what they say of the alerts they have not seen gives the temperature, the scale of novelty and the scores of
    the cross-validation.

    Parameters
    ----------
    paths
        Packets: files, folders, archives.
    labels_csv
        See `evaluation.examples.read_labels`.
    out
        The bundle's folder; made anew.
    architecture
        One of `architecture.ARCHITECTURES`.
    simulated
        Synthetic alerts of each class to learn from first, and besides; none is validated or tested on.
    score_test
        False leaves the test split closed, as long as choices are still to be made.
    survey
        ``ztf`` or ``rubin``; None where the labelled alerts are of one survey, which then it is.
    command
        What was typed, for the manifest.
    notes
        What else a reader of the model card should know, in Markdown.

    Raises
    ------
    ValueError
        The table of labels can't be read, a class is not of the taxonomy, or too few alerts or objects have labels.
    """
    options = options or FitOptions()
    labels = read_labels(labels_csv)
    unknown = sorted({label.class_name for label in labels.values()} - set(CLASSES))
    if unknown:
        raise ValueError(f"{labels_csv}: class {unknown[0]!r} is not one of {', '.join(CLASSES)}")
    survey = survey or _only_survey(paths, labels)
    preset = PRESETS[survey]
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}")
    examples = load_examples(paths, labels, survey, preset.features)
    learning = examples.where(label.split != "test" for label in examples.labels)
    testing = examples.where(label.split == "test" for label in examples.labels)
    if len(learning.alerts) < 2 * len(CLASSES):
        raise ValueError(f"{len(learning.alerts)} labelled {survey} alerts are too few to learn from")

    manifest = _manifest(preset, name or preset.name, version, architecture, learning)
    learning = classifiable(learning, manifest)
    real = to_arrays(learning, manifest)
    folds = folds_by_object(learning.labels, options.members, np.random.default_rng(seed))
    if len(np.unique(folds)) < options.members:
        raise ValueError(f"the labelled {survey} alerts are of too few objects for {options.members} folds")
    synthetic = None
    if simulated:
        synthetic = to_arrays(simulated_examples(survey, simulated, seed, preset.features), manifest)

    def build() -> keras.Model:
        return ARCHITECTURES[architecture](
            size=manifest.stamps.size,
            channels=len(manifest.stamps.channels),
            features=len(manifest.features),
            classes=len(CLASSES),
            dropout=options.dropout,
        )

    members = fit_stamp_network(
        build,
        real,
        synthetic,
        folds,
        classes=len(CLASSES),
        first=first_features(manifest.features),
        options=options,
        seed=seed,
        progress=lambda iteration, text: progress(iteration, options.total(synthetic is not None), text),
    )
    network = averaged(members)
    distances, held_out_said, held_out_distance = _held_out(
        members, to_arrays(as_sent(learning), manifest), synthetic, folds
    )
    temperature = best_temperature(real.truth, held_out_said)
    said = calibrated(held_out_said, temperature)
    metrics = _scores_by_trust("cross_validation", real.truth, said, learning.labels)
    if testing.alerts and score_test:
        metrics |= _test_metrics(testing, network, manifest, temperature)
    manifest = replace(
        manifest,
        temperature=temperature,
        novelty=novelty_of(held_out_distance),
        training={
            "command": command,
            "seed": seed,
            "architecture": architecture,
            "alerts": len(learning.alerts),
            "alerts_by_class": dict(sorted(Counter(label.class_name for label in learning.labels).items())),
            "simulated_per_class": simulated,
            "labels_sha256": learning.digest(),
            "options": asdict(options),
            "parameters": int(network.count_params()),
        },
        metrics=metrics,
    )
    card = _model_card(manifest, learning, simulated, notes)
    return write_bundle(out, manifest, network, lambda: averaged([build() for _ in members]), distances, card)


def _only_survey(paths: Sequence[Path], labels: Mapping[int, Label]) -> str:
    surveys = labelled_surveys(paths, labels)
    if len(surveys) != 1:
        found = " and ".join(sorted(surveys)) or "no survey"
        raise ValueError(f"the labelled alerts are of {found}: say which survey to learn from")
    return next(iter(surveys))


def _held_out(
    members: Sequence[keras.Model], real: Arrays, simulated: Arrays | None, folds: NDArray[np.int64]
) -> tuple[list[EmbeddingDistance], NDArray[np.float64], NDArray[np.float64]]:
    """Each member's distance; and of every real alert, what the member that has not seen it says, and its distance.

    Distances are from the real alerts learned from, and from the simulated ones of classes that have no real one.
    """
    distances = []
    said, distance = np.empty((len(real), len(CLASSES))), np.empty(len(real))
    only_simulated = simulated.take(~np.isin(simulated.truth, real.truth)) if simulated else None
    for fold, member in enumerate(members):
        outputs, left_out = predict(member, real), folds == fold
        embedding, truth = outputs[EMBEDDING][~left_out], real.truth[~left_out]
        if only_simulated:
            embedding = np.concatenate([embedding, predict(member, only_simulated)[EMBEDDING]])
            truth = np.concatenate([truth, only_simulated.truth])
        distances.append(EmbeddingDistance(embedding, truth))
        said[left_out] = outputs[PROBABILITIES][left_out]
        distance[left_out] = distances[-1].of(outputs[EMBEDDING][left_out])
    return distances, said, distance


def _manifest(preset: Preset, name: str, version: str, architecture: str, train: Examples) -> Manifest:
    """The manifest as far as it is known before the fit: with the features of the training set."""
    manifest = Manifest(
        name=name,
        version=version,
        kind="stamp",
        survey=preset.survey,
        description=f"Stamp classifier for {preset.survey} alerts: the network {architecture!r}.",
        taxonomy=TAXONOMY,
        taxonomy_version=TAXONOMY_VERSION,
        classes=CLASSES,
        preprocessing_version=PREPROCESSING_VERSION,
        stamps=preset.stamps[architecture],
        features=() if architecture in IMAGES_ALONE else preset.features,
        model=ModelSpec(signatures={"float32": ""}),
    )
    true = [a for a, label in zip(train.alerts, train.labels, strict=True) if not label.doctored_metadata]
    return replace(manifest, features=standardised(manifest, preset.median_fill, true))


def _test_metrics(
    testing: Examples, network: keras.Model, manifest: Manifest, temperature: float
) -> dict[str, dict[str, Any]]:
    """Scores as a user of the stage would measure them: every packet as it was sent, doctored or not."""
    arrays = to_arrays(as_sent(testing), manifest)
    if len(arrays) != len(testing.labels):
        raise ValueError("a test alert can't be classified")
    said = calibrated(predict(network, arrays)[PROBABILITIES].astype(np.float64), temperature)
    return _scores_by_trust("test", arrays.truth, said, testing.labels)


def _scores_by_trust(
    name: str, truth: NDArray[np.int64], said: NDArray[np.float64], labels: Sequence[Label]
) -> dict[str, dict[str, Any]]:
    """The scores over all labels, and over those of strong trust where there are any."""
    metrics = {name: scores(truth, said, CLASSES)}
    strong = np.array([label.trust in _STRONG_TRUST for label in labels])
    if strong.any():
        metrics[f"{name}_trust_1_2"] = scores(truth[strong], said[strong], CLASSES)
    return metrics


def _model_card(manifest: Manifest, learning: Examples, simulated: int, notes: str) -> str:
    """What a reader should know before trusting the bundle."""
    counts = Counter(label.class_name for label in learning.labels)
    unseen = [name for name in manifest.classes if name not in counts]
    lines = [
        f"# {manifest.label}",
        "",
        manifest.description,
        "",
        f"- Input: one {manifest.survey} alert; {', '.join(manifest.stamps.channels)} stamps, "
        f"{manifest.stamps.size} x {manifest.stamps.size} pixels; {len(manifest.features)} features: "
        + ", ".join(f"`{f.name}`" for f in manifest.features)
        + ".",
        f"- Output: probabilities of {', '.join(manifest.classes)}, after a temperature of {manifest.temperature:g}; "
        "novelty from 0 to 1, the share of held-out alerts that lie nearer to the training data.",
        f"- Made by: `{manifest.training['command'] or 'train_stamp'}`, seed {manifest.training['seed']}.",
        f"- Learned from {len(learning.alerts)} alerts: "
        + ", ".join(f"{name} {counts[name]}" for name in manifest.classes)
        + (f"; and {simulated} simulated ones of each class." if simulated else "."),
        "",
        "## Scores",
        "",
    ]
    lines += ["In the cross-validation each alert is judged by the one network that has not seen its object.", ""]
    for title, key in (
        ("Test split, labels of trust 1 and 2", "test_trust_1_2"),
        ("Test split, all labels", "test"),
        ("Cross-validation by object, labels of trust 1 and 2", "cross_validation_trust_1_2"),
        ("Cross-validation by object, all labels", "cross_validation"),
    ):
        if key in manifest.metrics:
            lines += _score_lines(title, manifest.metrics[key], manifest.classes)
    if unseen or notes:
        lines += ["## What to know before trusting it", ""]
    if unseen:
        lines += [
            f"No real alert of class {', '.join(unseen)} was learned from or tested on: what it says of this class "
            "rests on simulation alone, and how many real ones it finds is not known.",
            "",
        ]
    if notes:
        lines += [notes.strip(), ""]
    lines += [
        "## How it was made",
        "",
        "```json",
        json.dumps(manifest.training, indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)


def _score_lines(title: str, score: dict[str, Any], classes: Sequence[str]) -> list[str]:
    rows = ["|".join(["", name, *map(str, row), ""]) for name, row in zip(classes, score["confusion"], strict=True)]
    return [
        f"### {title}",
        "",
        f"{score['n']} alerts: {score['accuracy']:.1%} right, balanced accuracy {score['balanced_accuracy']:.3f}, "
        f"negative log-likelihood {score['negative_log_likelihood']:.3f}.",
        "",
        "| true \\ said | " + " | ".join(classes) + " |",
        "|---" * (len(classes) + 1) + "|",
        *rows,
        "",
    ]
