"""What a reader should know before trusting a bundle, in Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from broker_plugin.bundles import Manifest
from broker_plugin.evaluation.examples import Label


def model_card(manifest: Manifest, learning: Sequence[Label], simulated: int, notes: str) -> str:
    """The text of ``MODEL_CARD.md``.

    Parameters
    ----------
    learning
        Labels of the alerts that were learned from.
    simulated
        How many simulated ones of each class there were besides.
    notes
        What else is to be said, in Markdown.
    """
    counts = Counter(label.class_name for label in learning)
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
        "novelty from 0 to 1, the share of held-out alerts that are less strange to it.",
        *(f"- Ruled out: {e.class_name} where `{e.feature}` is above {e.above:g}." for e in manifest.exclusions),
        f"- Made by: `{manifest.training['command'] or 'train_stamp'}`, seed {manifest.training['seed']}.",
        f"- Learned from {len(learning)} alerts: "
        + ", ".join(f"{name} {counts[name]}" for name in manifest.classes)
        + (f"; and {simulated} simulated ones of each class." if simulated else "."),
        "",
        "## Scores",
        "",
    ]
    lines += [_how_scored(manifest), ""]
    for title, key in (
        ("Test split, labels of trust 1 and 2", "test_trust_1_2"),
        ("Test split, all labels", "test"),
        ("Cross-validation by object, labels of trust 1 and 2", "cross_validation_trust_1_2"),
        ("Cross-validation by object, all labels", "cross_validation"),
        ("Validation, labels of trust 1 and 2", "validation_trust_1_2"),
        ("Validation, all labels", "validation"),
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


def _how_scored(manifest: Manifest) -> str:
    validation = manifest.training.get("validation_by_class")
    if validation is None:
        return "In the cross-validation each alert is judged by the one network that has not seen its object."
    counts = ", ".join(f"{name} {count}" for name, count in validation.items())
    return f"Set aside for validation, which chose when to stop: {counts}."


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
