"""What temporal models are given of objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from broker_plugin.alert import Reason
from broker_plugin.bundles import FeatureSpec, SequenceSpec
from broker_plugin.history import RememberedDetection
from broker_plugin.tensors.sequences import DetectionForm, has_counterpart, make_sequences

from . import samples

SOURCES = ("magnr", "allwise.looked_up", "allwise.found", "allwise.w1_mag", "allwise_w1_w2")


@pytest.fixture(scope="module")
def form() -> DetectionForm:
    features = tuple(FeatureSpec(source, source) for source in SOURCES)
    manifest = samples.manifest(features, survey="ztf")
    sequence = SequenceSpec(3, (FeatureSpec("days", "days_since_first"),))
    return DetectionForm(replace(manifest, kind="temporal", sequence=sequence))


def detection(form: DetectionForm, number: int, *, alert: bool = True, **values: float) -> RememberedDetection:
    """One without stamps, of an alert or of a history; values by their sources, with ``__`` for the point."""
    known = {"from_packet": float(alert)} | {name.replace("__", "."): value for name, value in values.items()}
    row = [known.get(source, np.nan) for source in form.sources]
    return RememberedDetection(number, 59000.0 + number, "g", None, np.array(row, np.float32))


def test_no_objects_have_tensors_of_no_rows(form: DetectionForm) -> None:
    batch = make_sequences([], form)
    assert batch.detections.shape == (0, 3, 1) and batch.features.shape == (0, len(SOURCES))


def test_objects_without_stamps_have_places_that_index(form: DetectionForm) -> None:
    batch = make_sequences([[detection(form, 1), detection(form, 2)]], form)
    assert batch.stamps.shape[0] == 0 and batch.places.shape == (0, 2) and batch.places.dtype == np.int64


def test_the_detections_used_are_the_latest(form: DetectionForm) -> None:
    batch = make_sequences([[detection(form, number) for number in (4, 1, 3, 2)], [detection(form, 9)]], form)
    assert [[one.alert_id for one in used] for used in batch.used] == [[2, 3, 4], [9]]
    assert batch.problems[1].reason is Reason.TOO_FEW_DETECTIONS


def test_allwise_and_its_colours_are_of_the_latest_alert_that_was_looked_up(form: DetectionForm) -> None:
    star = {"allwise__looked_up": 1.0, "allwise__found": 1.0, "allwise__w1_mag": 12.0, "allwise_w1_w2": 0.5}
    known = [
        detection(form, 1, magnr=18.0, **star),
        detection(form, 2, magnr=19.0, allwise__looked_up=0.0),
        detection(form, 3, alert=False),
    ]
    batch = make_sequences([known], form)
    assert dict(zip(SOURCES, batch.features[0].tolist(), strict=True)) == {
        "magnr": 19.0,
        "allwise.looked_up": 1.0,
        "allwise.found": 1.0,
        "allwise.w1_mag": 12.0,
        "allwise_w1_w2": 0.5,
    }
    assert batch.imputed == [()]


@pytest.mark.parametrize(
    ("looked_up", "found", "said"), [(1.0, 1.0, True), (1.0, 0.0, False), (0.0, np.nan, None), (np.nan, np.nan, None)]
)
def test_a_counterpart_is_there_or_not_or_nobody_knows(
    form: DetectionForm, looked_up: float, found: float, said: bool | None
) -> None:
    known = [detection(form, 1, allwise__looked_up=looked_up, allwise__found=found), detection(form, 2)]
    assert has_counterpart(known, form) is said
