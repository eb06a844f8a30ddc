"""Objects on the road: remembered, classified, looked up; the order in which alerts come makes no difference."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_plugin.alert import Alert, Detection, Identity, ObjectUpdate, Reason
from broker_plugin.bundles import BundleError
from broker_plugin.crossmatch import Counterpart, Match, NotLookedUp, Position, Sources
from broker_plugin.following import Following
from broker_plugin.history import HistoryError
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.simulation import simulate_packets
from broker_plugin.stage import Stage, load_stage

from . import objects, temporal_bundle
from .history import redis_server
from .objects import OBJECT, packet, packets

MakeStage = Callable[..., Stage]
UPDATE = ObjectUpdate(OBJECT, "ztf")


@pytest.fixture(scope="module")
def loaded(tiny_weights: Path, temporal_weights: Path) -> Stage:
    names = ["tiny-ztf", "tiny-rubin", *(str(path) for path in sorted(temporal_weights.glob("*/*")))]
    return load_stage(names, weights=tiny_weights, device="cpu", max_batch=32)


@pytest.fixture(scope="module")
def make_stage(loaded: Stage) -> MakeStage:
    """Stages with a store of their own, of models that are loaded once."""

    def make(history: str | None = "memory:", *sources: Any, timeout_s: float | None = None) -> Stage:
        following = Following(loaded.following.classifiers, Sources(sources), timeout_s, history)
        return Stage(loaded.classifiers, following, loaded.reader, loaded.device)

    return make


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    return make_stage()


class Sky:
    """Answers every look-up alike, and counts them."""

    def __init__(self, match: Match) -> None:
        self.match_of_all = match
        self.calls: list[tuple[int, float | None]] = []

    def match(self, positions: Sequence[Position], *, timeout_s: float | None = None) -> list[Match]:
        self.calls.append((len(positions), timeout_s))
        return [self.match_of_all] * len(positions)


STAR = Match(Counterpart.of("J1", 0.4, (12.0, 11.8, 11.0, None, 0.02, 0.02, 0.1, None), "test"))
NONE_THERE = Match()
TOO_SLOW = Match(not_looked_up=NotLookedUp.TOO_SLOW)


def temporal(records: Sequence[ClassificationRecord]) -> ClassificationRecord:
    (record,) = [record for record in records if record.kind == "temporal"]
    return record


def said(record: ClassificationRecord) -> tuple[Any, ...]:
    """What a record says, with its numbers to the bit."""
    return (
        record.record_id,
        record.status,
        record.reason,
        [c.probability.hex() for c in record.classifications],
        record.novelty,
        record.detections_used,
        record.stamps_used,
        record.imputed_features,
        record.allwise,
    )


def final(stage: Stage) -> ClassificationRecord:
    [[record]] = stage.on_object_updates([UPDATE])
    return record


def nameless(raw: dict[str, Any], stage: Stage) -> Alert:
    """The alert of a packet whose survey has made no object of it."""
    alert = stage.reader.read(raw)
    assert isinstance(alert, Alert)
    return replace(alert, identity=replace(alert.identity, object_id=None, object_id_kind=None))


# Following alerts


def test_each_alert_has_a_stamp_record_and_one_of_its_object(stage: Stage) -> None:
    batch = packets(5)
    results = stage.on_alerts(batch, follow=True)
    assert [[record.kind for record in records] for records in results] == [["stamp", "temporal"]] * 5
    for alert, records in zip(batch, results, strict=True):
        record = temporal(records)
        assert (record.status, record.alert_id, record.object_id) == ("ok", alert["candid"], OBJECT)
        assert record.mjd == pytest.approx(alert["candidate"]["jd"] - 2400000.5)
        assert (record.classifier_name, record.detections_used) == ("tiny-temporal-ztf", 5)
        assert record.stamps_used == 4 * 3  # the third has none
        assert sum(c.probability for c in record.classifications) == pytest.approx(1.0, abs=1e-6)
        assert record.novelty is not None


def test_an_object_is_classified_once_in_a_batch(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = stage.following.classifiers[-1]
    asked = []
    answers = classifier.answers
    monkeypatch.setattr(classifier, "answers", lambda known: asked.append(len(known)) or answers(known))
    others = [packet(number, object_id=f"ZTF21b{number}") for number in (6, 7)]
    stage.on_alerts([*packets(5), *others], follow=True)
    assert asked == [3]


def test_stamp_records_are_the_same_with_and_without_following(stage: Stage, loaded: Stage) -> None:
    batch = [*packets(4), b"junk", nameless(packet(7), stage)]
    followed = [records[0] for records in stage.on_alerts(batch, follow=True)]
    plain = [records[0] for records in loaded.on_alerts(batch)]
    assert list(map(said, followed)) == list(map(said, plain))


def test_one_detection_is_too_few(stage: Stage) -> None:
    record = temporal(stage.on_alert(packet(0), follow=True))
    assert (record.status, record.reason, record.detections_used) == ("skipped", "too_few_detections", 0)


def test_the_history_in_a_packet_is_enough(stage: Stage) -> None:
    record = temporal(stage.on_alert(packet(3, history=3), follow=True))
    assert (record.status, record.detections_used, record.stamps_used) == ("ok", 4, 3)


def test_alerts_are_remembered_without_following(stage: Stage) -> None:
    assert [len(records) for records in stage.on_alerts(packets(4))] == [1] * 4
    record = temporal(stage.on_alert(packet(4), follow=True))
    assert record.detections_used == 5


def test_an_alert_without_an_object_is_skipped(stage: Stage) -> None:
    record = temporal(stage.on_alert(nameless(packet(3, history=3), stage), follow=True))
    assert (record.status, record.reason) == ("skipped", "no_object")


def test_an_asteroid_is_no_object_of_the_sky(stage: Stage) -> None:
    alert = stage.reader.read(packet(3, history=3))
    assert isinstance(alert, Alert)
    moving = replace(alert, identity=replace(alert.identity, object_id_kind="ss_object_id"))
    record = temporal(stage.on_alert(moving, follow=True))
    assert (record.reason, record.object_id) == ("no_object", OBJECT)
    assert final(stage).reason == "too_few_detections"


def test_a_packet_that_can_not_be_read_has_a_record_of_each_classifier(stage: Stage) -> None:
    bad = packet(3) | {"candidate": packet(3)["candidate"] | {"ra": None}}
    results = stage.on_alerts([*packets(3), bad, b"junk"], follow=True)
    assert [len(records) for records in results] == [2, 2, 2, 2, 1]
    record = temporal(results[3])
    assert (record.status, record.reason, record.alert_id) == ("error", "missing_field", bad["candid"])


def test_a_bad_field_costs_its_own_alert_alone(stage: Stage) -> None:
    results = stage.on_alerts([*packets(3), packet(3, distnr=float("inf"))], follow=True)
    assert [temporal(records).reason for records in results] == [None, None, None, "invalid_field"]
    assert temporal(results[0]).detections_used == 3


HOSTILE: dict[str, Callable[[Alert], Alert]] = {
    "a time that is none": lambda a: replace(a, identity=replace(a.identity, mjd=float("nan"))),
    "no time": lambda a: replace(a, identity=replace(a.identity, mjd=None)),
    "no id": lambda a: replace(a, identity=replace(a.identity, alert_id=None)),
    "an id of 70 bits": lambda a: replace(a, identity=replace(a.identity, alert_id=2**70)),
    "a band without end": lambda a: replace(a, identity=replace(a.identity, band="g" * 256)),
    "an object without a name": lambda a: replace(a, identity=replace(a.identity, object_id="")),
    "a history of texts": lambda a: replace(a, history=("yesterday",)),  # type: ignore[arg-type]
    "a history before all times": lambda a: replace(a, history=(Detection(float("-inf"), "g", {}),)),
    "a band without a name in its history": lambda a: replace(a, history=(Detection(1.0, 7, {}),)),  # type: ignore[arg-type]
    "values that are none": lambda a: replace(a, values=[1]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("how", HOSTILE)
def test_an_alert_made_wrongly_costs_no_other(stage: Stage, how: str) -> None:
    alert = stage.reader.read(packet(9, object_id="ZTF21other"))
    assert isinstance(alert, Alert)
    results = stage.on_alerts([*packets(2), HOSTILE[how](alert), *packets(4)[2:]], follow=True)
    record = temporal(results.pop(2))
    assert record.status == "error"
    assert [temporal(records).status for records in results] == ["ok"] * 4


def test_both_surveys_are_followed_side_by_side(stage: Stage) -> None:
    rubin = [packet.payload for packet in simulate_packets("rubin", 6, seed=11)]
    results = stage.on_alerts([*packets(2), *rubin], follow=True)
    assert [temporal(records).classifier_name for records in results] == ["tiny-temporal-ztf"] * 2 + [
        "tiny-temporal-rubin"
    ] * 6


def test_following_needs_a_store(make_stage: MakeStage) -> None:
    with pytest.raises(ValueError, match="name a store of them in history"):
        make_stage(None).on_alerts([], follow=True)


def test_following_needs_a_temporal_classifier(loaded: Stage) -> None:
    with pytest.raises(ValueError, match="no temporal classifier is loaded"):
        Stage(loaded.classifiers, None, loaded.reader, loaded.device).on_alerts([], follow=True)


# The store


class Failing:
    """A store that is gone."""

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: object) -> None:
            raise HistoryError("objects.db: disk I/O error")

        return fail


@pytest.fixture
def failing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(stage.following, "_store", Failing())
    return stage


def test_a_store_that_fails_costs_only_what_is_said_of_objects(failing: Stage, loaded: Stage) -> None:
    results = failing.on_alerts([packet(0), packet(1), packet(2)], follow=True)
    assert [records[0].status for records in results] == ["ok"] * 3
    assert [(temporal(r).status, temporal(r).reason) for r in results] == [("error", "history_unavailable")] * 3
    assert temporal(results[0]).detail == "objects.db: disk I/O error"
    assert final(failing).reason == "history_unavailable"


def test_a_store_that_fails_is_logged_where_nobody_follows(failing: Stage, caplog: Any) -> None:
    assert [records[0].status for records in failing.on_alerts([packet(0), packet(1)])] == ["ok"] * 2
    assert "not remembered: objects.db: disk I/O error" in caplog.text


def test_a_damaged_object_is_forgotten_and_costs_no_other(make_stage: MakeStage, tmp_path: Path, caplog: Any) -> None:
    stage = make_stage(f"sqlite:{tmp_path / 'objects.db'}")
    others = [packet(number, object_id="ZTF21other") for number in range(3)]
    stage.on_alerts([*packets(3), *others])
    with sqlite3.connect(tmp_path / "objects.db") as db:
        db.execute("UPDATE detection SET data = x'00'")  # of both
    db.close()
    results = stage.on_alerts([packet(3, history=1), packet(3, object_id="ZTF21other")], follow=True)
    assert [temporal(records).reason for records in results] == [None, "too_few_detections"]
    assert temporal(results[0]).detections_used == 2
    assert caplog.text.count("is thrown away") == 2
    stage.close()


def test_what_is_remembered_outlives_the_stage(make_stage: MakeStage, tmp_path: Path) -> None:
    first = make_stage(f"sqlite:{tmp_path / 'objects.db'}")
    first.on_alerts(packets(4))
    first.close()
    second = make_stage(f"sqlite:{tmp_path / 'objects.db'}")
    assert final(second).detections_used == 4
    second.close()


# Order of arrival

ARRIVALS = packets(5)


@pytest.fixture(scope="module")
def expected(make_stage: MakeStage) -> tuple[Any, ...]:
    stage = make_stage()
    stage.on_alerts(ARRIVALS)
    return said(final(stage))


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_division_and_repetition_end_alike(
    make_stage: MakeStage, expected: tuple[Any, ...], tmp_path: Path, store: str, data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(range(5)), max_size=3), label="repeated")
    order = data.draw(st.permutations([*range(5), *repeated]), label="order")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4), label="cuts"))
    address = "memory:" if store == "memory" else f"sqlite:{tmp_path / f'{next(_numbers)}.db'}"
    stage = make_stage(address)
    last: list[list[ClassificationRecord]] = []
    for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        last = stage.on_alerts([ARRIVALS[number] for number in order[start:end]], follow=True) or last
    assert said(final(stage)) == expected
    assert said(temporal(stage.on_alert(ARRIVALS[-1], follow=True))) == expected
    assert {tuple(map(str, said(temporal(records))[3:])) for records in last} == {tuple(map(str, expected[3:]))}
    stage.close()


_numbers = itertools.count()


def test_objects_in_redis_end_alike(
    make_stage: MakeStage, expected: tuple[Any, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with redis_server.running(tmp_path_factory.mktemp("redis")) as port:
        stage = make_stage(f"redis://127.0.0.1:{port}/0")
        for alert in reversed(ARRIVALS):
            stage.on_alert(alert, follow=True)
        assert said(final(stage)) == expected
        stage.close()


def test_a_late_detection_takes_its_place(stage: Stage, expected: tuple[Any, ...]) -> None:
    for number in (0, 2, 3, 4):
        stage.on_alert(ARRIVALS[number], follow=True)
    late = temporal(stage.on_alert(ARRIVALS[1], follow=True))
    assert late.alert_id == ARRIVALS[1]["candid"]
    assert said(late)[3:] == expected[3:]
    assert said(final(stage)) == expected


def test_a_stamp_that_comes_late_gives_another_record_id(stage: Stage) -> None:
    before = temporal(stage.on_alert(packet(4, history=1), follow=True))
    stage.on_alert(packet(3))
    after = final(stage)
    assert (before.detections_used, after.detections_used) == (2, 2)
    assert (before.stamps_used, after.stamps_used) == (3, 6)
    assert before.alert_id == after.alert_id and before.record_id != after.record_id


def test_a_duplicate_changes_nothing(stage: Stage, expected: tuple[Any, ...]) -> None:
    stage.on_alerts(ARRIVALS)
    stage.on_alerts([ARRIVALS[2], ARRIVALS[2]], follow=True)
    assert said(final(stage)) == expected


def test_only_the_latest_count_where_there_are_more_than_the_model_looks_at(stage: Stage) -> None:
    stage.on_alerts([packet(number) for number in reversed(range(9))])
    record = final(stage)
    assert (record.detections_used, record.alert_id) == (temporal_bundle.LENGTH, objects.FIRST_ID + 8)


# Updates of objects


def test_an_update_is_answered_from_the_store(stage: Stage) -> None:
    stage.on_alerts(packets(3))
    record = final(stage)
    newest = packets(3)[-1]
    assert (record.status, record.detections_used, record.alert_id) == ("ok", 3, newest["candid"])
    assert (record.mjd_scale, record.band, record.object_id_kind) == ("utc", "g", "ztf_object_id")
    assert record.mjd == pytest.approx(newest["candidate"]["jd"] - 2400000.5)
    assert record.ra is None


def test_no_id_is_made_up_for_a_detection_whose_id_has_lost_its_digits(stage: Stage) -> None:
    raw = packet(3)
    later = packet(4)["candidate"]
    raw["prv_candidates"] = [{name: later[name] for name in objects.HISTORY} | {"candid": float(later["candid"])}]
    stage.on_alert(raw)
    record = final(stage)
    assert (record.status, record.detections_used, record.alert_id) == ("ok", 2, None)
    assert record.mjd == pytest.approx(later["jd"] - 2400000.5)


def test_an_update_is_answered_from_its_alerts(make_stage: MakeStage, expected: tuple[Any, ...]) -> None:
    stage = make_stage(None)
    [[record]] = stage.on_object_updates([ObjectUpdate(OBJECT, "ztf", packets(5))])
    assert said(record) == expected
    assert (record.ra, record.dec) == (objects.RA_DEG, objects.DEC_DEG)
    assert final(stage).reason == "too_few_detections"  # and nothing is kept


def test_the_alerts_of_an_update_join_what_is_known(stage: Stage, expected: tuple[Any, ...]) -> None:
    stage.on_alerts(packets(3))
    [[record]] = stage.on_object_updates([ObjectUpdate(OBJECT, "ztf", packets(5)[3:])])
    assert said(record) == expected == said(final(stage))


def test_an_object_of_which_nothing_is_known_is_skipped(stage: Stage) -> None:
    record = final(stage)
    assert (record.status, record.reason, record.object_id) == ("skipped", "too_few_detections", OBJECT)
    assert "no detection of the object is known" in (record.detail or "")


def test_many_updates_are_one_batch(stage: Stage) -> None:
    stage.on_alerts(packets(3))
    updates = [
        UPDATE,
        ObjectUpdate("ZTF21other", "ztf", [packet(4, history=2, object_id="ZTF21other")]),
        UPDATE,
        ObjectUpdate("313853499872346134", "rubin"),
    ]
    results = stage.on_object_updates(updates)
    assert [[record.object_id for record in records] for records in results] == [[u.object_id] for u in updates]
    assert [record.detections_used for [record] in results] == [3, 3, 3, 0]
    assert said(results[0][0]) == said(results[2][0])


def test_a_name_of_the_brokers_own_is_kept(stage: Stage) -> None:
    [[record]] = stage.on_object_updates([ObjectUpdate("LOCUS-7", "ztf", packets(3))])
    assert (record.object_id, record.detections_used) == ("LOCUS-7", 3)
    [[again]] = stage.on_object_updates([ObjectUpdate("LOCUS-7", "ztf")])
    assert again.record_id == record.record_id


@pytest.mark.parametrize(
    ("alerts", "reason"),
    [
        ([b"junk"], Reason.UNREADABLE),
        ([None], Reason.UNREADABLE),
        ([packet.payload for packet in simulate_packets("rubin", 1, seed=1)], Reason.INVALID_FIELD),
        ([Alert(Identity(survey="ztf", alert_id=7, mjd=1.0, object_id_kind="ss_object_id"))], Reason.NO_OBJECT),
    ],
)
def test_an_update_whose_alerts_are_no_good_says_so(stage: Stage, alerts: Any, reason: Reason) -> None:
    [[record]] = stage.on_object_updates([ObjectUpdate(OBJECT, "ztf", alerts)])
    assert (record.reason, record.object_id, record.kind) == (reason.value, OBJECT, "temporal")
    [[record]] = stage.on_object_updates([ObjectUpdate(OBJECT, "ztf", [*packets(2), *alerts])])
    assert (record.status, record.detections_used) == ("ok", 2)


@pytest.mark.parametrize(
    "update",
    [
        None,
        17,
        ObjectUpdate(None, "ztf"),  # type: ignore[arg-type]
        ObjectUpdate("", "ztf"),
        ObjectUpdate("a", ["ztf"]),  # type: ignore[arg-type]
        ObjectUpdate("a", "zt:f"),
        ObjectUpdate("a", "ztf", 17),  # type: ignore[arg-type]
    ],
)
def test_an_update_that_is_none_has_a_record_that_says_so(stage: Stage, update: Any) -> None:
    stage.on_alerts(packets(2))
    [[bad], [good]] = stage.on_object_updates([update, UPDATE])
    assert (bad.kind, bad.status, bad.reason) == ("stage", "error", "invalid_field")
    assert good.status == "ok"


def test_an_update_of_a_survey_without_temporal_classifier_has_a_record_of_the_stage(loaded: Stage) -> None:
    alone = Stage(loaded.classifiers, None, loaded.reader, loaded.device)
    [[record]] = alone.on_object_updates([UPDATE])
    assert (record.kind, record.reason, record.object_id) == ("stage", "unsupported_survey", OBJECT)
    assert record.detail == "no temporal classifier is loaded for survey ztf: give a history, or name a bundle"


def test_no_updates_have_no_records(stage: Stage) -> None:
    assert stage.on_object_updates([]) == []


# AllWISE


@pytest.mark.parametrize(("match", "word"), [(STAR, "found"), (NONE_THERE, "none_there"), (TOO_SLOW, "too_slow")])
def test_the_record_says_what_came_of_the_look_up(make_stage: MakeStage, match: Match, word: str) -> None:
    sky = Sky(match)
    results = make_stage("memory:", sky, timeout_s=0.5).on_alerts(packets(3), follow=True)
    assert [temporal(records).allwise for records in results] == [word] * 3
    assert ("w1" in temporal(results[0]).imputed_features) == (match is not STAR)
    [(count, timeout_s)] = sky.calls
    assert count == 3 and timeout_s == pytest.approx(0.5, abs=0.1)


def test_without_a_source_it_is_absent(stage: Stage) -> None:
    assert temporal(stage.on_alerts(packets(3), follow=True)[0]).allwise == "absent"


def test_asteroids_and_alerts_without_object_are_not_looked_up(make_stage: MakeStage) -> None:
    sky = Sky(STAR)
    stage = make_stage("memory:", sky)
    stage.on_alerts([packet(0), nameless(packet(1), stage)], follow=True)
    assert [count for count, _ in sky.calls] == [1]


def test_an_earlier_look_up_holds_where_the_latest_came_to_nothing(make_stage: MakeStage) -> None:
    sky = Sky(STAR)
    stage = make_stage("memory:", sky)
    [_, early] = stage.on_alerts(packets(2), follow=True)
    sky.match_of_all = TOO_SLOW
    late = temporal(stage.on_alert(packets(3)[-1], follow=True))
    assert late.allwise == temporal(early).allwise == "found"
    assert not {"w1", "w1_w2"} & set(late.imputed_features)
    assert final(stage).allwise == "found"


def test_the_latest_look_up_counts(make_stage: MakeStage) -> None:
    sky = Sky(STAR)
    stage = make_stage("memory:", sky)
    stage.on_alerts(packets(2))
    sky.match_of_all = NONE_THERE
    assert temporal(stage.on_alert(packets(3)[-1], follow=True)).allwise == "none_there"


@pytest.mark.parametrize(
    "matches", [(TOO_SLOW, STAR), (STAR, TOO_SLOW), (TOO_SLOW, NONE_THERE), (NONE_THERE, TOO_SLOW)]
)
def test_of_an_alert_that_comes_twice_the_look_up_that_came_to_something_counts(
    make_stage: MakeStage, matches: tuple[Match, Match]
) -> None:
    sky = Sky(matches[0])
    stage = make_stage("memory:", sky)
    stage.on_alerts(packets(2))
    sky.match_of_all = matches[1]
    stage.on_alerts(packets(2))
    assert final(stage).allwise == ("found" if STAR in matches else "none_there")


BROKERS: Mapping[str, Any] = {"allwise": [{"designation": "J1", "w1mpro": 11.5, "w1sigmpro": 0.02}]}


def test_the_brokers_fields_are_asked_first(make_stage: MakeStage) -> None:
    sky = Sky(NONE_THERE)
    stage = make_stage("memory:", sky)
    results = stage.on_alerts(packets(3), follow=True, fields=[None, None, BROKERS])
    assert temporal(results[0]).allwise == "found"
    assert [count for count, _ in sky.calls] == [2]


def test_fields_in_a_decoded_packet_are_read(stage: Stage) -> None:
    batch = [packet(0), {**packet(1), **BROKERS}]
    assert temporal(stage.on_alerts(batch, follow=True)[0]).allwise == "found"
    [[record]] = stage.on_object_updates([ObjectUpdate("LOCUS", "ztf", batch)])
    assert record.allwise == "found"


def test_fields_in_a_packet_are_read_where_the_broker_says_nothing_beside_it(stage: Stage) -> None:
    batch = [packet(0), {**packet(1), **BROKERS}]
    assert temporal(stage.on_alerts(batch, follow=True, fields=[None, None])[0]).allwise == "found"


def test_an_update_says_why_its_alerts_were_not_looked_up(make_stage: MakeStage) -> None:
    stage = make_stage("memory:", Sky(TOO_SLOW))
    [[record]] = stage.on_object_updates([ObjectUpdate(OBJECT, "ztf", packets(3))])
    assert record.allwise == "too_slow"
    assert final(stage).allwise == "absent"  # nobody looked this time


def test_fields_of_another_number_of_alerts_are_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="2 alerts, and fields of 1"):
        stage.on_alerts(packets(2), fields=[None])


def test_what_a_packet_calls_allwise_is_not_believed(stage: Stage) -> None:
    told = {"allwise.looked_up": 1.0, "allwise.found": 1.0, "allwise.w1_mag": 3.0}
    results = stage.on_alerts([packet(number, **told) for number in range(2)], follow=True)
    assert temporal(results[0]).allwise == "absent"


# Loading


def test_a_store_is_opened_for_its_form(temporal_weights: Path, tmp_path: Path) -> None:
    names = [str(path) for path in sorted(temporal_weights.glob("*/*"))]
    address = str(tmp_path / "objects.db")
    load_stage(names, device="cpu", history=address).close()
    with pytest.raises(HistoryError, match="holds detections of the form"):
        load_stage(names[:1], device="cpu", history=address)


def test_a_local_catalogue_is_asked(temporal_weights: Path, tmp_path: Path) -> None:
    import numpy as np

    from broker_plugin.crossmatch.build import build_catalogue

    table = tmp_path / "allwise.csv"
    columns = ["designation", "ra", "dec", *(f"w{band}{kind}" for band in (1, 2, 3, 4) for kind in ("mpro", "sigmpro"))]
    row = ["J1", objects.RA_DEG, objects.DEC_DEG, *np.tile([12.0, 0.1], 4)]
    table.write_text(f"{','.join(columns)}\n{','.join(map(str, row))}\n")
    build_catalogue([table], tmp_path / "allwise")
    name = str(temporal_weights / "tiny-temporal-ztf" / "0.1.0")
    stage = load_stage([name], device="cpu", history="memory:", allwise=tmp_path / "allwise", allwise_timeout_s=None)
    assert temporal(stage.on_alerts(packets(2), follow=True)[0]).allwise == "found"


def test_a_stage_of_objects_alone_has_nothing_to_say_of_alerts(temporal_weights: Path) -> None:
    stage = load_stage([str(temporal_weights / "tiny-temporal-ztf" / "0.1.0")], device="cpu")
    [record] = stage.on_alert(packet(0))
    assert (record.kind, record.reason) == ("stage", "unsupported_survey")
    assert record.detail == "no classifier is loaded for alerts of survey ztf, only of its objects"


def test_temporal_bundles_that_are_found_are_loaded_with_a_history_alone(
    tiny_weights: Path, temporal_weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("broker_plugin.bundles.store.data_folder", lambda name: tmp_path)
    monkeypatch.setenv("BROKER_PLUGIN_WEIGHTS", f"{tiny_weights}:{temporal_weights}")
    assert {manifest.kind for manifest in load_stage(device="cpu").manifests} == {"stamp"}
    assert {manifest.kind for manifest in load_stage(device="cpu", history="memory:").manifests} == {
        "stamp",
        "temporal",
    }
    monkeypatch.setenv("BROKER_PLUGIN_WEIGHTS", str(temporal_weights))
    with pytest.raises(BundleError, match="only temporal bundles are found"):
        load_stage(device="cpu")


@pytest.mark.parametrize("option", [{"history": "memory:"}, {"allwise": "catalogue"}, {"allwise_cds": True}])
def test_what_is_for_temporal_classifiers_needs_one(tiny_weights: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need a temporal classifier, and none is loaded"):
        load_stage(["tiny-ztf"], weights=tiny_weights, device="cpu", **option)


def test_bundles_of_one_survey_must_prepare_detections_alike(temporal_weights: Path, tmp_path: Path) -> None:
    one = temporal_weights / "tiny-temporal-ztf" / "0.1.0"
    other = temporal_bundle.write(tmp_path / "other" / "0.1.0", preprocessing_version="2.0")
    with pytest.raises(ValueError, match="prepare detections in different ways"):
        load_stage([str(one), str(other)], device="cpu")


def test_a_bundle_that_can_not_say_whether_it_was_looked_up_is_refused(tmp_path: Path) -> None:
    blind = temporal_bundle.write(tmp_path / "blind" / "0.1.0", features=temporal_bundle.ALLWISE[:2])
    with pytest.raises(BundleError, match=r"lacks features of allwise.looked_up and allwise.found"):
        load_stage([str(blind)], device="cpu")


def test_a_bundle_without_allwise_says_nothing_of_it(tmp_path: Path) -> None:
    plain = temporal_bundle.write(tmp_path / "plain" / "0.1.0", features=(temporal_bundle.LATITUDE,))
    stage = load_stage([str(plain)], device="cpu", history="memory:")
    record = temporal(stage.on_alerts(packets(2), follow=True)[0])
    assert (record.status, record.allwise) == ("ok", None)
