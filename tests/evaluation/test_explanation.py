"""Explanations add up."""

import numpy as np
import pytest

from broker_plugin.alert import Alert, AlertError, Identity
from broker_plugin.bundles import load
from broker_plugin.evaluation.answers import Answers, answers_of
from broker_plugin.evaluation.explanation import Explanation, explain
from broker_plugin.models import Model, Runtime
from broker_plugin.tensors.metadata import missing_features

from .answered import EXAMPLES, example_answers, example_labels


@pytest.fixture(scope="module", params=["ztf", "rubin"])
def packaged(request: pytest.FixtureRequest) -> Answers:
    """The packaged bundle's answers."""
    model = Runtime("cpu").load(load(f"stamp-{request.param}"))
    return answers_of(model, [EXAMPLES / request.param], example_labels(request.param), progress=lambda share: None)


@pytest.fixture(scope="module")
def explained(packaged: Answers) -> list[Explanation]:
    return [explain(packaged.model, alert) for alert in packaged.examples.alerts[:4]]


def test_integrated_gradients_add_up(explained: list[Explanation]) -> None:
    for one in explained:
        total = sum(stamp.integrated_gradients.sum() for stamp in one.stamps)
        assert total == pytest.approx(one.probability - one.blank_probability, abs=0.01)
        assert one.residual == pytest.approx(one.probability - one.blank_probability - total)


def test_the_highest_class_is_explained(packaged: Answers, explained: list[Explanation]) -> None:
    for one, said, probabilities in zip(explained, packaged.said, packaged.probabilities, strict=False):
        assert one.class_name == packaged.classes[said]
        assert list(one.probabilities.values()) == pytest.approx(probabilities, abs=1e-9)


def test_occlusion_far_from_the_source_matters_less(explained: list[Explanation]) -> None:
    for one in explained:
        occlusion = np.abs(np.stack([stamp.occlusion for stamp in one.stamps]))
        side = occlusion.shape[1]
        middle = occlusion[:, side // 3 : -(side // 3), side // 3 : -(side // 3)]
        assert middle.mean() > occlusion[:, :3].mean()


def test_effects_are_those_of_missing_features(packaged: Answers, explained: list[Explanation]) -> None:
    one, column = explained[0], 0
    feature = packaged.manifest.features[column]
    features = packaged.features[:1].copy()
    features[0, column] = missing_features(packaged.manifest.features)[column]
    number = packaged.classes.index(one.class_name)
    without = packaged.predict(packaged.stamps[:1], features)[0, number]
    (effect,) = [each for each in one.features if each.name == feature.name]
    assert effect.effect == pytest.approx(one.probability - without, abs=1e-6)
    sizes = [abs(each.effect) for each in one.features]
    assert sizes == sorted(sizes, reverse=True)


def test_values_are_in_the_unit_of_the_packet(packaged: Answers, explained: list[Explanation]) -> None:
    name, source = {"ztf": ("magpsf", "magpsf"), "rubin": ("psf_flux", "psfFlux")}[packaged.manifest.survey]
    values = {each.name: each.value for each in explained[0].features}
    if name in values:
        assert values[name] == pytest.approx(packaged.examples.alerts[0].values[source], rel=1e-3)


def test_another_class_can_be_explained(model: Model) -> None:
    alert = _first_alert(model)
    assert explain(model, alert, "SN").class_name == "SN"
    with pytest.raises(ValueError, match="no class 'TDE'; it has AGN"):
        explain(model, alert, "TDE")


def test_what_cannot_be_classified_cannot_be_explained(model: Model) -> None:
    with pytest.raises(AlertError, match="no_cutouts"):
        explain(model, Alert(Identity(survey=model.bundle.manifest.survey)))


def _first_alert(model: Model) -> Alert:
    return example_answers(model).examples.alerts[0]
