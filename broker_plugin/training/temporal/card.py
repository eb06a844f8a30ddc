"""What a reader should know before trusting a temporal bundle, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from broker_plugin.bundles import Manifest

_TITLES = {
    "test_trust_1_2": "Test split, labels of trust 1 and 2",
    "test": "Test split, all labels",
    "cross_validation_trust_1_2": "Cross-validation by object, labels of trust 1 and 2",
    "cross_validation": "Cross-validation by object, all labels",
    "simulated_with_allwise": "Simulated sequences with AllWISE, 2 to 5 detections",
    "simulated_without_allwise": "Simulated sequences without AllWISE, 2 to 5 detections",
}


def temporal_card(manifest: Manifest, notes: str) -> str:
    """The text of ``MODEL_CARD.md``."""
    training, sequence = manifest.training, manifest.sequence
    of_each, length = ((), 0) if sequence is None else (sequence.features, sequence.length)
    lines = [
        f"# {manifest.label}",
        "",
        manifest.description,
        "",
        f"- Input: the latest detections of one {manifest.survey} object, up to {length};"
        f" of each, where they are there, {', '.join(manifest.stamps.channels)} stamps,"
        f" {manifest.stamps.size} x {manifest.stamps.size} pixels, and {len(of_each)} features:"
        f" {_listed([f.name for f in of_each])}; of the latest alert and its AllWISE counterpart"
        f" {len(manifest.features)} features: {_listed([f.name for f in manifest.features])}.",
        f"- Output: probabilities of {', '.join(manifest.classes)}, after a temperature of {manifest.temperature:g};"
        " no novelty.",
        f"- Made by: `{training['command'] or 'train_temporal'}`, seed {training['seed']}.",
        f"- Learned from {_counted(training['objects'])} real objects and {training['simulated_objects']} simulated"
        " ones.",
        "",
        "## Scores",
        "",
        "A real object counts once, with its last alert and all that is known by then. In the cross-validation it is"
        " judged by the one network that has not seen it. Simulated sequences are of objects that no network has seen.",
        "",
    ]
    for key, title in _TITLES.items():
        if key in manifest.metrics:
            lines += _score_lines(title, manifest.metrics[key], manifest.classes)
    if notes:
        lines += [notes.strip(), ""]
    lines += ["## How it was made", "", "```json", json.dumps(training, indent=1), "```", ""]
    return "\n".join(lines)


def _score_lines(title: str, score: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    rows = ["|".join(["", name, *map(str, row), ""]) for name, row in zip(classes, score["confusion"], strict=True)]
    counts = score["by_detections"]
    real = "by_detections_objects" in score
    of = f" (the {score['by_detections_objects']} objects that have 5)" if real else ""
    return [
        f"### {title}",
        "",
        f"{score['n']} {'objects' if real else 'sequences'}: {score['accuracy']:.1%} right,"
        f" balanced accuracy {score['balanced_accuracy']:.3f},"
        f" negative log-likelihood {score['negative_log_likelihood']:.3f}. With "
        + ", ".join(f"{count} detections {share:.1%}" for count, share in counts.items())
        + f"{of}.",
        "",
        "| true \\ said | " + " | ".join(classes) + " |",
        "|---" * (len(classes) + 1) + "|",
        *rows,
        "",
    ]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
