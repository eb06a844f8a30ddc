"""From labelled packets to the bundle of a temporal classifier, in one call."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from broker_plugin.bundles import Manifest
from broker_plugin.evaluation.examples import STRONG_TRUST, Label, read_labels
from broker_plugin.evaluation.scores import best_temperature, scores
from broker_plugin.models import calibrated
from broker_plugin.tensors import LIGHT_CURVE
from broker_plugin.tensors.metadata import features_of, missing_features
from broker_plugin.tensors.sequences import LEAST_DETECTIONS, DetectionForm, detection_features, is_of_allwise
from broker_plugin.training.architecture import fast_network
from broker_plugin.training.architecture.temporal import averaged_temporal, seen_by, temporal_network, trunk_of
from broker_plugin.training.dataset import Arrays, first_features, folds_by_object, standardised
from broker_plugin.training.export import write_temporal_bundle
from broker_plugin.training.fit import NOT_LEARNED, FitOptions, Progress, fit_on_simulation
from broker_plugin.training.temporal.card import temporal_card
from broker_plugin.training.temporal.examples import ALL, SequenceExamples, real_examples, simulated_examples
from broker_plugin.training.temporal.fit import (
    Hideable,
    SequenceArrays,
    TemporalFitOptions,
    fit_temporal_network,
    planned,
    predict_sequences,
    report_to,
)
from broker_plugin.training.temporal.presets import TEMPORAL_PRESETS, TemporalPreset

TRUNK_OPTIONS = FitOptions(pretraining=3000)
"""How the stamp network learns whose first part becomes the trunk: on simulated alerts alone.

One that has seen the labels of real alerts would show the network behind it the answers: with a few hundred objects,
what that learns of the stamps is then worth nothing for new ones."""

COUNTS = (2, 3, 4, 5)
"""Numbers of detections that scores are told for, as in Neira, Estévez and Förster 2024."""

_SCORED_SEED_STEP = 1000  # simulated objects to score by are of another seed than those that are learned from
_SCORED_SHARE = 5  # one for so many that are learned from
_EMBEDDED_AT_A_TIME = 512


@dataclass(frozen=True)
class PreparedSequences:
    """What a fit of temporal networks starts from.

    Attributes
    ----------
    manifest
        With the features of the training set.
    trunk
        From stamps to embeddings.
    real, simulated, scored
        Real examples, simulated ones to learn from, and simulated ones to score by.
    labels
        Of the real examples.
    folds
        For each real example the number of the member that does not learn from it; `fit.NOT_LEARNED` for the test
        split.
    """

    manifest: Manifest
    trunk: keras.Model
    real: SequenceArrays
    simulated: SequenceArrays
    scored: SequenceArrays
    labels: Sequence[Label]
    folds: NDArray[np.int64]
    hideable: Hideable

    def build(self, options: TemporalFitOptions) -> keras.Model:
        """The untrained network."""
        sequence = self.manifest.sequence
        return temporal_network(
            recurrence=options.recurrence,
            length=self.real.present.shape[1],
            embedding=self.real.embeddings.shape[2],
            detections=0 if sequence is None else len(sequence.features),
            features=len(self.manifest.features),
            classes=len(self.manifest.classes),
            dropout=options.dropout,
        )


def train_temporal(
    paths: Sequence[Path],
    labels_csv: Path,
    out: Path,
    *,
    survey: str = "ztf",
    name: str | None = None,
    version: str = "0.1.0",
    seed: int = 1,
    options: TemporalFitOptions | None = None,
    simulated: int = 3000,
    score_test: bool = True,
    command: str = "",
    notes: str = "",
    progress: Progress = lambda done, total, text: None,
) -> Manifest:
    """Fit a temporal classifier and write its bundle.

    A stamp network learns on simulated alerts, and its first part becomes the trunk.  The networks that follow it learn
    on simulated sequences, then on real ones too; each leaves out another share of the labelled objects.  What they say
    of the objects that they have not seen gives the temperature and the scores of the cross-validation.

    Parameters
    ----------
    paths, labels_csv, out, name, version, seed, score_test, command, notes, progress
        As for `training.train.train_stamp`.
    simulated
        Simulated objects to learn from, in all; a fifth as many of another seed are scored.

    Raises
    ------
    ValueError
        The table of labels can't be read, there is no preset for the survey, or too few objects have labels.
    """
    options = options or TemporalFitOptions()
    prepared = prepare_sequences(paths, labels_csv, survey, name, version, seed, simulated, options.members, progress)
    members = fit_members(prepared, options, seed, progress)
    manifest, network = _scored(prepared, members, score_test)
    training = {
        "command": command,
        "seed": seed,
        "options": asdict(options),
        "trunk_options": asdict(TRUNK_OPTIONS),
        "objects": _objects_by_class(prepared, prepared.folds != NOT_LEARNED),
        "test_objects": _objects_by_class(prepared, prepared.folds == NOT_LEARNED),
        "simulated_objects": simulated,
        "labels_sha256": _digest(prepared),
        "parameters": int(network.count_params() + prepared.trunk.count_params()),
    }
    manifest = replace(manifest, training=training)
    build = partial(_untrained, prepared, options)
    return write_temporal_bundle(out, manifest, prepared.trunk, network, build, temporal_card(manifest, notes))


def prepare_sequences(
    paths: Sequence[Path],
    labels_csv: Path,
    survey: str,
    name: str | None,
    version: str,
    seed: int,
    simulated: int,
    members: int,
    progress: Progress = lambda done, total, text: None,
) -> PreparedSequences:
    """Read and simulate sequences, train the trunk, and make them into arrays; see `train_temporal`."""
    if survey not in TEMPORAL_PRESETS:
        raise ValueError(f"there is no preset for {survey}: {', '.join(TEMPORAL_PRESETS)}")
    if simulated < _SCORED_SHARE * 3:
        raise ValueError(f"{simulated} simulated objects are too few to learn from")
    preset = TEMPORAL_PRESETS[survey]
    labels = read_labels(labels_csv)
    form = DetectionForm(preset.manifest(name, version))
    real = real_examples(paths, labels, form)
    of_rows = [labels[alert_id] for alert_id in real.alert_ids.tolist()]
    folds = _dealt(of_rows, members, seed)
    synthetic = simulated_examples(simulated, seed, form)
    scored = simulated_examples(simulated // _SCORED_SHARE, seed + _SCORED_SEED_STEP, form)
    manifest = _standardised(form.manifest, preset, real, folds != NOT_LEARNED, synthetic)
    trunk = fit_trunk(manifest, synthetic, seed, progress)

    def arrays(examples: SequenceExamples) -> SequenceArrays:
        return sequence_arrays(examples, manifest, trunk)

    return PreparedSequences(
        manifest, trunk, arrays(real), arrays(synthetic), arrays(scored), of_rows, folds, _hideable(manifest)
    )


def fit_trunk(manifest: Manifest, simulated: SequenceExamples, seed: int, progress: Progress) -> keras.Model:
    """Train a stamp network on single simulated alerts, and take its part before the metadata join."""
    alone = np.flatnonzero(simulated.cut == 1)
    keras.utils.set_random_seed(seed)
    network = fast_network(
        size=manifest.stamps.size,
        channels=len(manifest.stamps.channels),
        features=len(manifest.features),
        classes=len(manifest.classes),
    )
    slot = np.full(len(simulated), -1)
    slot[simulated.raw.places[:, 0]] = np.arange(len(simulated.raw.places))
    alone = alone[slot[alone] >= 0]
    arrays = Arrays(
        simulated.raw.stamps[slot[alone]].astype(np.float32),
        np.zeros((len(alone), len(manifest.features)), dtype=np.float32),  # so that it has to look
        simulated.truth[alone],
        simulated.weight[alone],
    )
    learned = np.flatnonzero(simulated.objects[alone] % _SCORED_SHARE != 0)
    first = first_features(manifest.features)
    fit_on_simulation(network, arrays, learned, first=first, options=TRUNK_OPTIONS, seed=seed, progress=progress)
    embedded = _embedded(_seen(network), arrays.stamps)
    return trunk_of(network, embedded.mean(axis=0), embedded.std(axis=0) + 1e-3)


def sequence_arrays(examples: SequenceExamples, manifest: Manifest, trunk: keras.Model) -> SequenceArrays:
    """The tensors that the stage would make of the examples."""
    raw = examples.raw
    each = _embedded(lambda stamps: trunk(stamps, training=False)["embedding"], raw.stamps)
    embeddings = np.zeros((*raw.present.shape, each.shape[1]), dtype=np.float32)
    embeddings[raw.places[:, 0], raw.places[:, 1]] = each
    sequence = manifest.sequence
    return SequenceArrays(
        embeddings=embeddings,
        detections=detection_features(raw, () if sequence is None else sequence.features),
        present=raw.present.astype(np.float32),
        features=features_of(raw.latest, manifest.features).values,
        about=examples,
    )


def fit_members(
    prepared: PreparedSequences, options: TemporalFitOptions, seed: int, progress: Progress
) -> list[keras.Model]:
    """One network for each fold, that has learned from the others."""
    members = []
    total = planned(options, has_simulated=True)
    for fold in range(options.members):
        keras.utils.set_random_seed(seed + fold)
        network = prepared.build(options)
        fit_temporal_network(
            network,
            prepared.real,
            np.flatnonzero((prepared.folds != fold) & (prepared.folds != NOT_LEARNED)),
            prepared.simulated,
            prepared.hideable,
            options,
            np.random.default_rng((seed, fold)),
            report_to(progress, fold * total // options.members, total, f"member {fold + 1}"),
        )
        members.append(network)
    return members


def held_out_predictions(prepared: PreparedSequences, members: Sequence[keras.Model]) -> NDArray[np.float64]:
    """What the member that has not seen it says of each real example, (n, classes); zeros for the test split."""
    said = np.zeros((len(prepared.real), len(prepared.manifest.classes)))
    for fold, member in enumerate(members):
        rows = np.flatnonzero(prepared.folds == fold)
        said[rows] = predict_sequences(member, prepared.real, rows)
    return said


def _scored(
    prepared: PreparedSequences, members: Sequence[keras.Model], score_test: bool
) -> tuple[Manifest, keras.Model]:
    network = averaged_temporal(members)
    about = prepared.real.about
    said = held_out_predictions(prepared, members)
    learned = prepared.folds != NOT_LEARNED
    full = judged(about) & (about.cut == ALL)
    temperature = best_temperature(about.truth[full & learned], said[full & learned])
    metrics = _metrics("cross_validation", prepared, calibrated(said, temperature), learned)
    testing = ~learned
    if testing.any() and score_test:
        rows = np.flatnonzero(testing)
        said[rows] = predict_sequences(network, prepared.real, rows)
        metrics |= _metrics("test", prepared, calibrated(said, temperature), testing)
    bare = replace(prepared.scored, features=without_allwise(prepared))
    for title, arrays in (("simulated_with_allwise", prepared.scored), ("simulated_without_allwise", bare)):
        metrics[title] = _metrics_of_simulated(
            calibrated(predict_sequences(network, arrays), temperature), arrays.about, prepared.manifest.classes
        )
    return replace(prepared.manifest, temperature=temperature, metrics=metrics), network


def judged(about: SequenceExamples) -> NDArray[np.bool_]:
    """Which examples count in scores: the last alert of each object as it was sent, with two detections or more."""
    return about.is_last & ~about.copied_edits & (about.detections >= LEAST_DETECTIONS)


def strongly_labelled(prepared: PreparedSequences) -> NDArray[np.bool_]:
    """Which real examples have a label of a spectrum or of a catalogue."""
    return np.array([label.trust in STRONG_TRUST for label in prepared.labels], dtype=bool)


def _metrics(
    title: str, prepared: PreparedSequences, said: NDArray[np.float64], among: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Scores by object; and of the same objects with fewer detections."""
    about, classes = prepared.real.about, prepared.manifest.classes
    strong = strongly_labelled(prepared)
    metrics = {}
    for name, chosen in ((title, among), (f"{title}_trust_1_2", among & strong)):
        full = chosen & judged(about) & (about.cut == ALL)
        if not full.any():
            continue
        by_detections, objects = right_by_detections(about, said, chosen)
        metrics[name] = scores(about.truth[full], said[full], classes) | {
            "by_detections": by_detections,
            "by_detections_objects": objects,
        }
    return metrics


def right_by_detections(
    about: SequenceExamples, said: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> tuple[dict[str, float], int]:
    """Share of right answers about the same objects with so many detections (`COUNTS`), and how many objects these are.

    They are those of the chosen that have as many detections as the most that are asked for.
    """
    rich = np.isin(about.objects, about.objects[chosen & judged(about) & (about.detections >= max(COUNTS))])
    last = chosen & rich & about.is_last & ~about.copied_edits
    right = said.argmax(axis=1) == about.truth
    shares = {str(count): float(right[last & (about.cut == count)].mean()) for count in COUNTS}
    return shares, int((last & (about.cut == max(COUNTS))).sum())


def _metrics_of_simulated(said: NDArray[np.float64], about: SequenceExamples, classes: Sequence[str]) -> dict[str, Any]:
    few = np.isin(about.detections, COUNTS)
    right = said.argmax(axis=1) == about.truth
    by_detections = {str(count): float(right[about.detections == count].mean()) for count in COUNTS}
    return scores(about.truth[few], said[few], classes) | {"by_detections": by_detections}


def without_allwise(prepared: PreparedSequences) -> NDArray[np.float32]:
    """The features of the simulated objects to score by, as if AllWISE had not been asked."""
    hideable = prepared.hideable
    return np.where(hideable.allwise, hideable.unknown, prepared.scored.features)


def _untrained(prepared: PreparedSequences, options: TemporalFitOptions) -> keras.Model:
    return averaged_temporal([prepared.build(options) for _ in range(options.members)])


def _dealt(labels: Sequence[Label], members: int, seed: int) -> NDArray[np.int64]:
    learned = np.flatnonzero([label.split != "test" for label in labels])
    folds = np.full(len(labels), NOT_LEARNED, dtype=np.int64)
    folds[learned] = folds_by_object([labels[row] for row in learned.tolist()], members, np.random.default_rng(seed))
    if not set(range(max(members, 2))) <= set(folds.tolist()):
        raise ValueError(f"the labelled alerts are of too few objects for {members} folds")
    return folds


def _standardised(
    manifest: Manifest,
    preset: TemporalPreset,
    real: SequenceExamples,
    learned: NDArray[np.bool_],
    simulated: SequenceExamples,
) -> Manifest:
    """With means and deviations as real alerts have them, and simulated ones where no real one has the feature."""
    sent = learned & ~real.edited & ~real.copied_edits & (real.cut == ALL)
    latest, synthetic = real.raw.latest[sent], simulated.raw.latest[simulated.cut == ALL]
    unknown = np.isnan(latest).all(axis=0)
    columns = [synthetic[:, [i]] if unknown[i] else latest[:, [i]] for i in range(latest.shape[1])]
    features = tuple(
        standardised([feature], preset.median_fill, column)[0]
        for feature, column in zip(manifest.features, columns, strict=True)
    )
    of_each = real.raw.detections[sent][real.raw.present[sent]]
    sequence = replace(preset.sequence, features=standardised(preset.sequence.features, frozenset(), of_each))
    return replace(manifest, features=features, sequence=sequence)


def _hideable(manifest: Manifest) -> Hideable:
    sequence = manifest.sequence
    of_each = () if sequence is None else sequence.features
    stamped = [feature.source for feature in of_each].index("has_stamps")
    return Hideable(
        history=np.array([feature.source in LIGHT_CURVE for feature in manifest.features]),
        allwise=np.array([is_of_allwise(feature.source) for feature in manifest.features]),
        unknown=missing_features(manifest.features),
        stamped=stamped,
        unstamped=float(features_of(np.zeros((1, len(of_each))), of_each).values[0, stamped]),
    )


def _seen(network: keras.Model) -> Any:
    return lambda stamps: seen_by(network, stamps)


def _embedded(embed: Any, stamps: NDArray[Any]) -> NDArray[np.float32]:
    parts = [
        keras.ops.convert_to_numpy(embed(keras.ops.convert_to_tensor(chunk.astype(np.float32))))
        for chunk in np.split(stamps, range(_EMBEDDED_AT_A_TIME, len(stamps), _EMBEDDED_AT_A_TIME))
    ]
    return np.concatenate(parts)


def _objects_by_class(prepared: PreparedSequences, among: NDArray[np.bool_]) -> dict[str, int]:
    about = prepared.real.about
    return {
        name: len(np.unique(about.objects[among & (about.truth == number)]))
        for number, name in enumerate(prepared.manifest.classes)
    }


def _digest(prepared: PreparedSequences) -> str:
    """SHA-256 over ids and labels of the alerts that are learned from."""
    about = prepared.real.about
    lines = {
        f"{alert_id} {label.class_name} {label.trust}"
        for alert_id, label, fold in zip(
            about.alert_ids.tolist(), prepared.labels, prepared.folds.tolist(), strict=True
        )
        if fold != NOT_LEARNED
    }
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
