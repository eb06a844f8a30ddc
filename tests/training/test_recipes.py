"""Ways to train."""

import json
from pathlib import Path

import pytest

from broker_plugin.training.presets import PRESETS
from broker_plugin.training.recipes import PUBLISHED_FEATURES, RECIPES, read_hyperparameters
from broker_plugin.training.search import PRESET, SPACE


def test_the_published_recipe_has_the_published_numbers() -> None:
    recipe = RECIPES["paper-2021"]
    options = recipe.options
    assert (options.batch_size, options.learning_rate, options.beta_1) == (64, 1e-3, 0.5)
    assert (options.beta, options.dropout, options.iterations, options.extension) == (0.5, 0.5, 30_000, 10_000)
    assert (recipe.stamps["ztf"].size, len(recipe.features_of(PRESETS["ztf"]))) == (21, 23)
    assert {"ndethist", "ncovhist", "non_detections", "ra", "gal_lat"} <= {f.name for f in PUBLISHED_FEATURES}


def test_the_paper_of_2024_has_larger_stamps() -> None:
    assert RECIPES["enhanced-2024"].stamps["ztf"].size == 33


def test_what_a_recipe_does_not_say_of_a_survey_its_preset_does() -> None:
    assert RECIPES["paper-2021"].features_of(PRESETS["rubin"]) == PRESETS["rubin"].features


def test_numbers_of_a_recipe_can_be_changed() -> None:
    chosen = {"learning_rate": 1, "size": 41, "kernel": 7, "noise": 0.2, "flips": True}
    changed = RECIPES["paper-2021"].with_hyperparameters(chosen)
    assert changed.options.learning_rate == 1.0
    assert changed.stamps["ztf"].size == 41
    assert changed.network == {"kernel": 7}
    assert (changed.options.augmentation.noise, changed.options.augmentation.flips) == (0.2, True)


@pytest.mark.parametrize(
    "chosen", [{"depth": 3}, {"members": 2}, {"batch_size": 6.5}, {"beta": "high"}, {"beta": True}]
)
def test_what_is_no_number_of_a_recipe_is_refused(chosen: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(chosen))):
        RECIPES["paper-2021"].with_hyperparameters(chosen)


def test_every_point_of_the_search_space_is_a_recipe() -> None:
    for name, values in SPACE.items():
        for value in values:
            RECIPES[PRESET].with_hyperparameters({name: value})


@pytest.mark.parametrize("text", ["[]", "{", json.dumps({"hyperparameters": 3})])
def test_a_file_of_other_things_is_no_hyperparameters(tmp_path: Path, text: str) -> None:
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(ValueError, match="hyperparameters"):
        read_hyperparameters(tmp_path / "best.json")
