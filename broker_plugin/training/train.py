"""From packets and a table of labels to a bundle, in one call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from broker_plugin.bundles import Manifest, ModelSpec
from broker_plugin.models import calibrated
from broker_plugin.tensors import missing_row
from broker_plugin.training.architecture import EMBEDDING, PROBABILITIES
from broker_plugin.training.dataset import (
    Arrays,
    Examples,
    Label,
    joined,
    labelled_surveys,
    load_examples,
    read_labels,
    simulated_examples,
    split_by_object,
    standardised,
    to_arrays,
)
from broker_plugin.training.evaluation import best_temperature, scores
from broker_plugin.training.export import EmbeddingDistance, novelty_of, write_bundle
from broker_plugin.training.fit import Fit, FitOptions, fit_stamp_network, predict
from broker_plugin.training.presets import CLASSES, PRESETS, TAXONOMY, TAXONOMY_VERSION, Preset

PREPROCESSING_VERSION = "1.0"
_VALIDATION_FRACTION = 0.15
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
    simulated: int = 0,
    options: FitOptions | None = None,
    command: str = "",
    notes: str = "",
    progress: Progress = lambda done, total, text: None,
) -> Manifest:
    """Fit a stamp classifier and write its bundle.

    Alerts whose label says ``test`` in the column ``split`` are scored at the end and used for nothing
    else; of the others, 15% of the objects are held out to stop the fit, to set the temperature and to
    measure novelty.

    Parameters
    ----------
    paths
        Packets: files, folders, archives.
    labels_csv
        See `dataset.read_labels`.
    out
        The bundle's folder; made anew.
    simulated
        Synthetic alerts of each class to learn from besides; none is validated or tested on.
    survey
        ``ztf`` or ``rubin``; None where the labelled alerts are of one survey, which then it is.
    command
        What was typed, for the manifest.
    notes
        What else a reader of the model card should know, in Markdown.

    Raises
    ------
    ValueError
        The table of labels can't be read, a class is not of the taxonomy, or too few alerts have labels.
    """
    options = options or FitOptions()
    labels = read_labels(labels_csv)
    unknown = sorted({label.class_name for label in labels.values()} - set(CLASSES))
    if unknown:
        raise ValueError(f"{labels_csv}: class {unknown[0]!r} is not one of {', '.join(CLASSES)}")
    survey = survey or _only_survey(paths, labels)
    preset = PRESETS[survey]
    examples = load_examples(paths, labels, survey, preset.features)
    learning = examples.where(label.split != "test" for label in examples.labels)
    testing = examples.where(label.split == "test" for label in examples.labels)
    if len(learning.alerts) < 2 * len(CLASSES):
        raise ValueError(f"{len(learning.alerts)} labelled {survey} alerts are too few to learn from")

    held = split_by_object(learning.labels, _VALIDATION_FRACTION, np.random.default_rng(seed))
    train, validation = learning.where(not h for h in held), learning.where(held)
    manifest = _manifest(preset, name or preset.name, version, train)
    train_arrays, validation_arrays = to_arrays(train, manifest), to_arrays(validation, manifest)
    if simulated:
        synthetic = simulated_examples(survey, simulated, seed, preset.features)
        train_arrays = joined(train_arrays, to_arrays(synthetic, manifest))

    fit = fit_stamp_network(
        train_arrays,
        validation_arrays,
        missing_features=missing_row(manifest.features),
        classes=len(CLASSES),
        options=options,
        seed=seed,
        progress=lambda iteration, text: progress(iteration, options.iterations, text),
    )
    distance = EmbeddingDistance(predict(fit.network, train_arrays)[EMBEDDING], train_arrays.truth)
    validation_said = predict(fit.network, validation_arrays)[PROBABILITIES]
    temperature = best_temperature(validation_arrays.truth, validation_said)
    metrics = {
        "validation": scores(
            validation_arrays.truth, calibrated(validation_said.astype(np.float64), temperature), CLASSES
        )
    }
    if testing.alerts:
        metrics |= _test_metrics(testing, fit, manifest, temperature)
    manifest = replace(
        manifest,
        temperature=temperature,
        novelty=novelty_of(distance, fit.network, validation_arrays),
        training=_provenance(learning, train_arrays, seed, simulated, options, command, fit),
        metrics=metrics,
    )
    return write_bundle(
        out, manifest, fit.network, distance, options, _model_card(manifest, learning, simulated, notes)
    )


def _only_survey(paths: Sequence[Path], labels: Mapping[int, Label]) -> str:
    surveys = labelled_surveys(paths, labels)
    if len(surveys) != 1:
        found = " and ".join(sorted(surveys)) or "no survey"
        raise ValueError(f"the labelled alerts are of {found}: say which survey to learn from")
    return next(iter(surveys))


def _manifest(preset: Preset, name: str, version: str, train: Examples) -> Manifest:
    """The manifest as far as it is known before the fit: with the features of the training set."""
    manifest = Manifest(
        name=name,
        version=version,
        kind="stamp",
        survey=preset.survey,
        description=preset.description,
        taxonomy=TAXONOMY,
        taxonomy_version=TAXONOMY_VERSION,
        classes=CLASSES,
        preprocessing_version=PREPROCESSING_VERSION,
        stamps=preset.stamps,
        features=preset.features,
        model=ModelSpec(signatures={"float32": ""}),
    )
    as_sent = [a for a, label in zip(train.alerts, train.labels, strict=True) if not label.doctored_metadata]
    return replace(manifest, features=standardised(manifest, preset.median_fill, as_sent))


def _test_metrics(testing: Examples, fit: Fit, manifest: Manifest, temperature: float) -> dict[str, dict[str, Any]]:
    """Scores as a user of the stage would measure them: every packet as it was sent, doctored or not."""
    as_sent = [replace(label, doctored_metadata=False) for label in testing.labels]
    arrays = to_arrays(Examples(testing.alerts, as_sent), manifest)
    said = calibrated(predict(fit.network, arrays)[PROBABILITIES].astype(np.float64), temperature)
    strong = np.array([label.trust in _STRONG_TRUST for label in testing.labels])
    if len(strong) != len(arrays):
        raise ValueError("a test alert can't be classified")
    metrics = {"test": scores(arrays.truth, said, manifest.classes)}
    if strong.any():
        metrics["test_trust_1_2"] = scores(arrays.truth[strong], said[strong], manifest.classes)
    return metrics


def _provenance(
    learning: Examples, train: Arrays, seed: int, simulated: int, options: FitOptions, command: str, fit: Fit
) -> dict[str, Any]:
    return {
        "command": command,
        "seed": seed,
        "alerts": len(learning.alerts),
        "alerts_by_class": dict(sorted(Counter(label.class_name for label in learning.labels).items())),
        "simulated_per_class": simulated,
        "labels_sha256": learning.digest(),
        "options": asdict(options),
        "iterations_run": fit.history[-1][0] if fit.history else 0,
        "parameters": int(fit.network.count_params()),
        "examples_with_simulated": len(train),
    }


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
    for title, key in (
        ("Test split, labels of trust 1 and 2", "test_trust_1_2"),
        ("Test split, all labels", "test"),
        ("Validation (the fit was stopped and calibrated on it)", "validation"),
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
