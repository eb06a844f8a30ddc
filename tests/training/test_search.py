"""The random search, with a score that costs nothing in the place of a fit."""

import json
from pathlib import Path

import optuna
import pytest

from broker_plugin.training import search as searching
from broker_plugin.training.search import SPACE, SearchTask, best_trials, search, write_best


@pytest.fixture
def task(alerts: Path, tmp_path: Path) -> SearchTask:
    return SearchTask([alerts], alerts / "labels.csv", "ztf", tmp_path / "cache", seed=3)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """What has been tried, in order; the larger the batch and the smaller the stamps, the better."""
    tried: list[dict[str, float]] = []

    def score(task: SearchTask, trial: optuna.Trial) -> float:
        chosen = {name: trial.suggest_categorical(name, values) for name, values in SPACE.items()}
        tried.append(chosen)
        trial.set_user_attr("loss", 1.0)
        trial.set_user_attr("accuracy", 0.5)
        return float(chosen["batch_size"] / 100 - chosen["size"] / 1000)

    monkeypatch.setattr(searching, "_validation_score", score)
    return tried


def test_no_combination_is_tried_twice(task: SearchTask, scored: list[dict[str, float]], tmp_path: Path) -> None:
    study = search(task, tmp_path / "s.db", 20)
    assert len(study.trials) == 20
    assert len({tuple(chosen.values()) for chosen in scored}) == 20


def test_a_search_goes_on_where_it_stood(task: SearchTask, scored: list[dict[str, float]], tmp_path: Path) -> None:
    search(task, tmp_path / "s.db", 4)
    search(task, tmp_path / "s.db", 4)
    assert len(scored) == 4
    search(task, tmp_path / "s.db", 9)
    assert len(scored) == 9
    in_one_go = list(scored)
    scored.clear()
    search(task, tmp_path / "other.db", 9)
    assert scored == in_one_go


def test_a_trial_that_was_interrupted_is_tried_again(
    task: SearchTask, scored: list[dict[str, float]], tmp_path: Path
) -> None:
    score = searching._validation_score
    calls = iter([score, lambda task, trial: (_ for _ in ()).throw(KeyboardInterrupt)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_validation_score", lambda task, trial: next(calls)(task, trial))
        with pytest.raises(KeyboardInterrupt):
            search(task, tmp_path / "s.db", 3)
    study = search(task, tmp_path / "s.db", 3)
    assert len(best_trials(study, 10)) == 3
    assert len({tuple(chosen.values()) for chosen in scored}) == 3


def test_the_best_is_written_for_training(task: SearchTask, scored: list[dict[str, float]], tmp_path: Path) -> None:
    from broker_plugin.training.recipes import RECIPES, read_hyperparameters

    study = search(task, tmp_path / "s.db", 12)
    write_best(study, task, tmp_path / "s.db", tmp_path / "best.json")
    chosen = read_hyperparameters(tmp_path / "best.json")
    best = max(scored, key=lambda chosen: chosen["batch_size"] / 100 - chosen["size"] / 1000)
    assert chosen == best == best_trials(study, 1)[0].params
    assert json.loads((tmp_path / "best.json").read_text())["trials"] == 12
    assert RECIPES["paper-2021"].with_hyperparameters(chosen).options.batch_size == best["batch_size"]


def test_a_study_of_other_alerts_is_refused(task: SearchTask, scored: list[dict[str, float]], tmp_path: Path) -> None:
    search(task, tmp_path / "s.db", 1)
    other = SearchTask(task.paths, task.labels_csv, "rubin", task.cache, seed=3)
    with pytest.raises(ValueError, match="name another file"):
        search(other, tmp_path / "s.db", 1)


def test_a_trial_fits_and_is_scored_on_validation(task: SearchTask, tmp_path: Path) -> None:
    from dataclasses import replace

    short = replace(task, fixed={"iterations": 2, "extension": 1, "check_every": 1})
    study = search(short, tmp_path / "s.db", 1)
    [trial] = best_trials(study, 1)
    assert 0.0 <= (trial.value or 0.0) <= 1.0
    assert trial.user_attrs["iterations"] >= 2


@pytest.mark.slow
def test_processes_share_the_trials(task: SearchTask, tmp_path: Path) -> None:
    from dataclasses import replace

    told: list[tuple[int, int]] = []
    short = replace(task, fixed={"iterations": 2, "extension": 1, "check_every": 1})
    study = search(
        short, tmp_path / "s.db", 3, workers=2, progress=lambda done, total, text: told.append((done, total))
    )
    assert len(best_trials(study, 10)) == 3
    assert told[-1][1] == 3
