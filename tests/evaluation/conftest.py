"""The example packets, answered once for all tests."""

from pathlib import Path

import pytest

from broker_plugin.evaluation.answers import Answers
from broker_plugin.models import Model

from .answered import example_answers, load_model


@pytest.fixture(scope="session", params=["ztf", "rubin"])
def model(request: pytest.FixtureRequest, tiny_weights: Path) -> Model:
    return load_model(tiny_weights, request.param)


@pytest.fixture(scope="session")
def answers(model: Model) -> Answers:
    return example_answers(model)


@pytest.fixture(scope="session")
def ztf_answers(tiny_weights: Path) -> Answers:
    return example_answers(load_model(tiny_weights, "ztf"))
