"""Answers to measure, from the tiny bundles and the example packets."""

from __future__ import annotations

import csv
from pathlib import Path

from broker_plugin.bundles import load
from broker_plugin.evaluation.answers import Answers, answers_of
from broker_plugin.evaluation.examples import Label
from broker_plugin.models import Model, Runtime

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "packets"


def example_labels(survey: str) -> dict[int, Label]:
    """The truth of the example packets; two of each class are of one object."""
    with (EXAMPLES / survey / "labels.csv").open(newline="") as table:
        return {
            int(row["alert_id"]): Label(row["label"], object_id=f"{row['label']}-{number // 2}")
            for number, row in enumerate(csv.DictReader(table))
        }


def load_model(weights: Path, survey: str) -> Model:
    return Runtime("cpu").load(load(f"tiny-{survey}", weights))


def example_answers(model: Model) -> Answers:
    survey = model.bundle.manifest.survey
    return answers_of(model, [EXAMPLES / survey], example_labels(survey), progress=lambda share: None)
