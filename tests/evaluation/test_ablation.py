"""Ablation of a classifier whose inputs are known."""

from dataclasses import replace

import numpy as np
import pytest

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec, StampSpec
from broker_plugin.evaluation.ablation import Part, ablate, groups, image_subsets, single_features
from broker_plugin.evaluation.answers import Answers
from broker_plugin.tensors.metadata import missing_features

MANIFEST = Manifest(
    name="test-ztf",
    version="1.0.0",
    kind="stamp",
    survey="ztf",
    description="For tests.",
    taxonomy="test",
    taxonomy_version="1.0",
    classes=("AGN", "SN"),
    preprocessing_version="1.0",
    stamps=StampSpec(channels=STAMP_NAMES, size=5),
    features=(FeatureSpec("magpsf", "magpsf", mean=18.0, std=2.0, fill=18.5), FeatureSpec("flux", "psfFlux")),
    model=ModelSpec(signatures={"float32": "serving_default"}),
)


def _by_first_feature(stamps: np.ndarray, features: np.ndarray) -> np.ndarray:
    says_one = features[:, 0] > 0.5
    return np.stack([~says_one, says_one], axis=1).astype(float)


def _by_template(stamps: np.ndarray, features: np.ndarray) -> np.ndarray:
    says_one = stamps[..., 1].max(axis=(1, 2)) > 0.5
    return np.stack([~says_one, says_one], axis=1).astype(float)


@pytest.fixture
def alerts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stamps, features and truth of 200 alerts; the first feature and the template each tell the class."""
    truth = np.arange(200) % 4 // 3  # one in four
    stamps = np.zeros((200, 5, 5, 3), np.float32)
    stamps[:, 2, 2, 1] = truth
    features = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32)
    features[:, 0] = truth
    return stamps, features, truth


def test_only_what_is_used_matters(alerts: tuple[np.ndarray, ...]) -> None:
    used, unused = ablate(_by_first_feature, *alerts, MANIFEST, single_features(MANIFEST), progress=lambda: None)
    assert (unused.removed, unused.shuffled, unused.shuffled_spread) == (1.0, 1.0, 0.0)
    assert used.removed == 0.75  # all are said to be of the first class
    assert used.removed_balanced == 0.5
    assert used.shuffled == pytest.approx(0.75**2 + 0.25**2, abs=0.03)
    assert used.inputs == ("magpsf",)


def test_stamps_are_ablated_too(alerts: tuple[np.ndarray, ...]) -> None:
    parts = [Part("template", channels=(1,)), Part("others", channels=(0, 2))]
    template, others = ablate(_by_template, *alerts, MANIFEST, parts, progress=lambda: None)
    assert template.removed == 0.75
    assert template.shuffled == pytest.approx(0.625, abs=0.03)
    assert (others.removed, others.shuffled) == (1.0, 1.0)


def test_shuffling_does_not_change_what_was_given(alerts: tuple[np.ndarray, ...]) -> None:
    before = [each.copy() for each in alerts]
    ablate(_by_template, *alerts, MANIFEST, groups(MANIFEST), progress=lambda: None)
    assert all(np.array_equal(a, b) for a, b in zip(alerts, before, strict=True))


def test_every_subset_of_the_images(alerts: tuple[np.ndarray, ...]) -> None:
    subsets = image_subsets(_by_template, *alerts, MANIFEST.stamps.channels)
    assert len(subsets) == 8
    assert {one.stamps for one in subsets if one.accuracy == 1.0} == {
        s.stamps for s in subsets if "template" in s.stamps
    }


def test_groups_go_by_the_source_and_leave_out_what_is_not_there() -> None:
    features = (
        FeatureSpec("a", "ndethist"),
        FeatureSpec("b", "sgscore1"),
        FeatureSpec("c", "abs_galactic_latitude_deg"),
    )
    made = {part.name: part.columns for part in groups(replace(MANIFEST, features=features))}
    assert (made["history"], made["catalogues"], made["sky position"]) == ((0,), (1,), (2,))
    assert made["all metadata"] == (0, 1, 2)
    assert "reference image" not in made


def test_a_packet_without_metadata_is_as_if_all_were_missing(answers: Answers) -> None:
    everything = [part for part in groups(answers.manifest) if part.name == "all metadata"]
    (ablated,) = ablate(
        answers.predict, answers.stamps, answers.features, answers.truth, answers.manifest, everything,
        progress=lambda: None,
    )  # fmt: skip
    missing = np.tile(missing_features(answers.manifest.features), (len(answers.truth), 1))
    said = answers.predict(answers.stamps, missing).argmax(axis=1)
    assert ablated.removed == (said == answers.truth).mean()
