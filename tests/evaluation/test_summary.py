"""Summaries, groups and relations of the example packets."""

from dataclasses import replace

import numpy as np
import pytest

from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.examples import Examples
from broker_plugin.evaluation.groups import tables
from broker_plugin.evaluation.relations import relations
from broker_plugin.evaluation.summary import confusion, summary


def test_a_summary_agrees_with_the_answers(answers: Answers) -> None:
    one = summary(answers)
    assert one.accuracy.value == answers.right.mean()
    assert (one.alerts, one.objects) == (20, len(set(answers.objects)))
    assert one.strong_accuracy == one.accuracy  # all labels of these are strong
    assert set(one.recall) == set(answers.classes)
    assert one.true_positive_rate is not None


def test_a_class_without_alerts_has_no_recall(answers: Answers) -> None:
    one = summary(_without(answers, "SN"))
    assert "SN" not in one.recall
    assert one.true_positive_rate is None


def test_confusion_of_two_bundles(answers: Answers) -> None:
    all_wrong = replace(answers, probabilities=np.roll(np.eye(5)[answers.truth], 1, axis=1))
    all_right = replace(answers, probabilities=np.eye(5)[answers.truth])
    matrix = confusion([all_right, all_wrong])
    assert np.array_equal(matrix.counts.diagonal(), matrix.counts.sum(axis=1))
    assert matrix.mean.diagonal() == pytest.approx(0.5)
    assert matrix.spread.diagonal() == pytest.approx(0.5)


def test_tables_are_of_what_the_labels_tell(answers: Answers) -> None:
    assert not {"By source of the label", "By data set", "By trust in the label"} & set(tables(answers))
    labels = [replace(x, source="ab"[i % 2], trust=1 + i % 3) for i, x in enumerate(answers.examples.labels)]
    told = tables(replace(answers, examples=Examples(answers.examples.alerts, labels)))
    assert [group.name for group in told["By source of the label"]] == ["a", "b"]
    for groups in told.values():
        assert sum(group.alerts for group in groups) == len(answers.truth)
        assert sum(sum(group.classes.values()) for group in groups) == len(answers.truth)


def test_a_night_does_not_end_at_midnight_utc(ztf_answers: Answers) -> None:
    # Palomar's evening of 17 April 2018 and the morning after: MJD 58226 is 18 April, 0 h UTC, 16 h there.
    for mjd, evening in ((58226.1, "2018-04-17"), (58226.55, "2018-04-17"), (58226.9, "2018-04-18")):
        alerts = [
            replace(alert, identity=replace(alert.identity, mjd=mjd if i else 60000.0))
            for i, alert in enumerate(ztf_answers.examples.alerts)
        ]
        nights = tables(replace(ztf_answers, examples=Examples(alerts, ztf_answers.examples.labels)))["By night"]
        assert nights[0].name == evening


def test_relations_average_to_the_mean_probability(answers: Answers) -> None:
    found = relations(answers)
    assert len(found) == len(answers.manifest.features)
    for one in found:
        assert list(one.values) == sorted(one.values)
        for name in answers.classes:
            assert len(one.probabilities[name]) == len(one.values)
        if one.values:
            total = np.sum([one.probabilities[name] for name in answers.classes], axis=0)
            assert total == pytest.approx(1.0)


def _without(answers: Answers, class_name: str) -> Answers:
    keep = answers.truth != answers.classes.index(class_name)
    return replace(
        answers,
        examples=answers.examples.where(keep),
        stamps=answers.stamps[keep],
        features=answers.features[keep],
        imputed=[names for names, kept in zip(answers.imputed, keep, strict=True) if kept],
        truth=answers.truth[keep],
        probabilities=answers.probabilities[keep],
        novelty=None,
    )
