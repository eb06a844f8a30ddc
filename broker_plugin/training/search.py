"""Random search for the hyperparameters of the published network: Carrasco-Davis et al. 2021, section 3 and Table 3.

The test split plays no part in it.  Keras is imported by the trials alone, so that each process can choose its threads
before.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import optuna

PRESET = "paper-2021"
STUDY_NAME = "train-search"

SPACE: dict[str, tuple[float, ...]] = {
    "beta": (0.0, 0.3, 0.5, 0.8, 1.0),
    "learning_rate": (5e-5, 1e-4, 5e-4, 1e-3, 5e-3),
    "dropout": (0.2, 0.5, 0.8),
    "batch_size": (16, 32, 64),
    "size": (21, 41, 63),
    "kernel": (3, 5, 7),
}
"""The values that the published search drew from: 2,025 combinations."""

_RUBIN_SIZES = (21, 29)  # ours: the cutouts have 30 pixels
_POLL_S = 1.0

Progress = Callable[[int, int, str], None]
"""Called with trials done, trials wanted, and a line to show."""


@dataclass(frozen=True)
class SearchTask:
    """What the trials of one study have in common.

    Attributes
    ----------
    paths, labels_csv, survey
        The alerts, as `train.train_stamp` takes them.
    cache
        Folder of the prepared stamps, which all trials share.
    seed
        Of the order in which combinations are tried, and of the fits.
    fixed
        Numbers of the recipe that all trials have in place of the published ones, such as ``iterations``.
    """

    paths: Sequence[Path]
    labels_csv: Path
    survey: str
    cache: Path
    seed: int = 1
    fixed: Mapping[str, float] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What two runs on one study must agree in."""
        labels = hashlib.sha256(self.labels_csv.read_bytes()).hexdigest()
        return {"survey": self.survey, "seed": self.seed, "fixed": dict(self.fixed), "labels_sha256": labels}


def space_of(survey: str) -> dict[str, tuple[float, ...]]:
    """`SPACE`, with stamps that the survey's cutouts can fill."""
    return SPACE if survey == "ztf" else {**SPACE, "size": _RUBIN_SIZES}


def search(
    task: SearchTask,
    study_file: Path,
    trials: int,
    *,
    workers: int = 1,
    progress: Progress = lambda done, total, text: None,
) -> optuna.Study:
    """Try combinations, none of them twice, until the study has so many.

    Parameters
    ----------
    study_file
        SQLite file; trials that are in it count, and those that were interrupted are tried again.  Nobody else may be
        at work on it: a trial that is under way is taken for an interrupted one.
    trials
        How many the study is to have in all; no more than there are combinations.
    workers
        Processes that try combinations at the same time.

    Raises
    ------
    ValueError
        The study is of another task.
    """
    study = _opened(task, study_file)
    waiting = _enqueued(study, task, trials)
    total = len(_complete(study)) + waiting

    def tell(*_: object) -> None:
        done = _complete(study)
        best = max((trial.value or 0.0 for trial in done), default=0.0)
        progress(len(done), total, f"best so far: balanced accuracy {best:.3f} on validation")

    if workers == 1 or waiting < 2:
        study.optimize(partial(_validation_score, task), n_trials=waiting, callbacks=[tell])
    else:
        _in_processes(task, study_file, waiting, min(workers, waiting), tell)
    return study


def write_best(study: optuna.Study, task: SearchTask, study_file: Path, path: Path) -> None:
    """Write what ``train stamp --hyperparameters`` reads."""
    best = study.best_trial
    told = {
        "preset": PRESET,
        "hyperparameters": best.params,
        "validation": {"balanced_accuracy": best.value, **best.user_attrs},
        "trials": len(_complete(study)),
        "study": study_file.name,
        **task.identity(),
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def best_trials(study: optuna.Study, count: int) -> list[optuna.trial.FrozenTrial]:
    """The trials with the highest scores, best first."""
    return sorted(_complete(study), key=lambda trial: -(trial.value or 0.0))[:count]


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def _storage(study_file: Path) -> optuna.storages.RDBStorage:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what goes wrong is raised
    # Several processes write to the file in turn, and wait for each other.
    return optuna.storages.RDBStorage(
        f"sqlite:///{study_file.resolve()}", engine_kwargs={"connect_args": {"timeout": 60}}
    )


def _opened(task: SearchTask, study_file: Path) -> optuna.Study:
    import optuna

    study_file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=STUDY_NAME, storage=_storage(study_file), direction="maximize", load_if_exists=True
    )
    found = study.user_attrs.get("task")
    if found is None:
        study.set_user_attr("task", task.identity())
    elif found != json.loads(json.dumps(task.identity())):
        raise ValueError(f"{study_file} holds a study of {found}, and this is {task.identity()}: name another file")
    return study


def _enqueued(study: optuna.Study, task: SearchTask, trials: int) -> int:
    """Put the combinations that are to be tried into the study; how many they are."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)  # whoever ran it was interrupted
    space = space_of(task.survey)
    combinations = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    order = np.random.default_rng(task.seed).permutation(len(combinations))
    done = [trial.params for trial in _complete(study)]
    queued = [
        trial.system_attrs["fixed_params"] for trial in study.get_trials(deepcopy=False, states=[TrialState.WAITING])
    ]
    wanted = [combinations[i] for i in order[:trials]]
    missing = [chosen for chosen in wanted if chosen not in done and chosen not in queued]
    for chosen in missing:
        study.enqueue_trial(chosen)
    return len(queued) + len(missing)


def _in_processes(task: SearchTask, study_file: Path, trials: int, workers: int, tell: Callable[[], None]) -> None:
    """Share the trials that are waiting among processes, each with its share of the cores."""
    spawn = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // workers)
    shares = [trials // workers + (i < trials % workers) for i in range(workers)]
    processes = [spawn.Process(target=_work, args=(task, study_file, share, threads)) for share in shares]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            time.sleep(_POLL_S)
            tell()
    finally:
        for process in processes:
            process.terminate()
            process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process of the search has failed; what it said is above")


def _work(task: SearchTask, study_file: Path, trials: int, threads: int) -> None:
    """One process of `_in_processes`."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
    import optuna

    study = optuna.load_study(study_name=STUDY_NAME, storage=_storage(study_file))
    study.optimize(partial(_validation_score, task), n_trials=trials)


def _validation_score(task: SearchTask, trial: optuna.Trial) -> float:
    """Fit with one combination; the mean recall of the classes among the alerts that are set aside for validation."""
    from broker_plugin.evaluation.scores import scores
    from broker_plugin.training.architecture import PROBABILITIES
    from broker_plugin.training.dataset import first_features
    from broker_plugin.training.fit import fit_stamp_network, predict
    from broker_plugin.training.preparation import prepare
    from broker_plugin.training.presets import CLASSES
    from broker_plugin.training.recipes import RECIPES

    chosen = {name: trial.suggest_categorical(name, values) for name, values in space_of(task.survey).items()}
    recipe = RECIPES[PRESET].with_hyperparameters({**chosen, **task.fixed})
    prepared = prepare(task.paths, task.labels_csv, recipe, task.cache, survey=task.survey, seed=task.seed)
    checks: list[Any] = []
    [network] = fit_stamp_network(
        prepared.build,
        prepared.real,
        None,
        prepared.folds,
        classes=len(CLASSES),
        first=first_features(prepared.manifest.features),
        options=recipe.options,
        seed=task.seed,
        curve=lambda made: checks.extend(made),
    )
    best = min(checks, key=lambda check: check.validation_loss)
    trial.set_user_attr("loss", best.validation_loss)
    trial.set_user_attr("accuracy", best.validation_accuracy)
    trial.set_user_attr("iterations", checks[-1].iteration)
    rows = prepared.held_out
    said = predict(network, prepared.real, rows)[PROBABILITIES]
    return float(scores(prepared.real.truth[rows], said, CLASSES)["balanced_accuracy"])
