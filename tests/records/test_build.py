from __future__ import annotations

import math
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_plugin._version import __version__
from broker_plugin.alert import AlertError, Identity, Reason
from broker_plugin.records.build import MAX_DETAIL, Producer, classified, unclassified
from broker_plugin.records.record import _RECORD_NAMESPACE, make_record_id
from broker_plugin.records.validation import validate_record
from broker_plugin.records.writers import to_json

from .samples import IDENTITY, NOW, PROBABILITIES, PRODUCER, make_classified, make_temporal, make_unclassified


def classify(probabilities: Any = PROBABILITIES, novelty: float | None = None, **changes: Any) -> Any:
    options: dict[str, Any] = {
        "detections_used": 1,
        "stamps_used": 3,
        "imputed_features": (),
        "produced_at": NOW,
    } | changes
    return classified(IDENTITY, PRODUCER, probabilities, novelty=novelty, **options)


def test_a_classified_alert() -> None:
    record = make_classified()
    assert validate_record(record) == []
    assert (record.status, record.reason, record.detail) == ("ok", None, None)
    assert (record.class_name, record.class_probability) == ("SN", 0.7)
    assert [c.class_name for c in record.classifications] == list(PRODUCER.classes)
    assert record.probability("asteroid") == 0.1
    assert record.alert_id == IDENTITY.alert_id
    assert record.classifier_version == "1.12.3"
    assert record.broker_plugin_version == __version__


def test_a_classified_object() -> None:
    record = make_temporal()
    assert validate_record(record) == []
    assert (record.kind, record.allwise) == ("temporal", "none_there")


def test_who_looks_at_one_alert_makes_stamp_records_without_allwise() -> None:
    assert (make_classified().kind, make_classified().allwise) == ("stamp", None)


def test_the_first_of_equal_probabilities_wins() -> None:
    assert classify((0.1, 0.4, 0.4, 0.1, 0.0)).class_name == "SN"


def test_numpy_numbers_become_python_ones() -> None:
    numpy = pytest.importorskip("numpy")
    record = classify(numpy.array([0.05, 0.7, 0.1, 0.1, 0.05], dtype="float32"), novelty=numpy.float32(2.0))
    assert {type(c.probability) for c in record.classifications} == {float}
    assert type(record.novelty) is float
    assert validate_record(record) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_output_that_is_not_finite_is_refused(bad: float) -> None:
    for arguments in ((bad, 0.7, 0.1, 0.1, 0.1), None), (PROBABILITIES, bad):
        with pytest.raises(AlertError) as caught:
            classify(*arguments)
        assert caught.value.reason is Reason.NON_FINITE_OUTPUT
        assert "stamp" in caught.value.detail


@pytest.mark.parametrize(
    "bad", [(0.2, 0.7, 0.1, 0.1, 0.05), (-0.1, 0.8, 0.1, 0.1, 0.1), (1e308, 1e308, 0, 0, 0), (2, -1, 0, 0, 0)]
)
def test_numbers_that_are_no_probabilities_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(AlertError, match="sum to 1") as caught:
        classify(bad)
    assert caught.value.reason is Reason.PLUGIN_FAILED


@pytest.mark.parametrize("count", [0, 4, 6])
def test_as_many_probabilities_as_classes(count: int) -> None:
    with pytest.raises(ValueError, match=f"stamp has 5 classes, but gave {count} probabilities"):
        classify([1 / max(count, 1)] * count)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        classify(produced_at=datetime(2026, 1, 1))


@pytest.mark.parametrize("reason", Reason)
def test_an_unclassified_alert_of_every_reason(reason: Reason) -> None:
    record = make_unclassified(reason)
    assert validate_record(record) == []
    assert (record.status, record.reason) == (reason.status.value, reason.value)
    assert record.classifications == ()
    assert record.model_sha256 is None


def test_the_same_input_gives_the_same_id_anywhere() -> None:
    # Written down once: ids must not change between releases, or consumers would store alerts twice.
    assert make_classified().record_id == "dfd5ec5c-e678-5f07-b974-529308fd05ce"
    assert make_unclassified().record_id == "7c5ff069-9a47-519c-8b7f-3ac16e9ef660"
    assert make_temporal().record_id == "5b47535e-a924-596a-97e8-64f129c72966"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=3))
def test_ids_are_the_uuid5_of_the_standard_library(parts: list[str]) -> None:
    made = make_record_id(parts[0], parts[1], parts[2], None)
    assert made == str(uuid.uuid5(_RECORD_NAMESPACE, "\x1f".join([*parts, ""])))
    temporal = make_record_id(parts[0], parts[1], parts[2], None, detections_key="17+")
    assert temporal == str(uuid.uuid5(_RECORD_NAMESPACE, "\x1f".join([parts[0], "17+", *parts[1:], ""])))


def test_ids_tell_alerts_and_models_apart() -> None:
    def record_id(identity: Identity, producer: Producer = PRODUCER, digest: str | None = None) -> str:
        return unclassified(identity, producer, Reason.NO_CUTOUTS, "", produced_at=NOW, digest=digest).record_id

    ids = [
        record_id(IDENTITY),
        record_id(replace(IDENTITY, alert_id=IDENTITY.alert_id + 1)),  # type: ignore[operator]
        record_id(replace(IDENTITY, survey="rubin")),
        record_id(IDENTITY, replace(PRODUCER, name="other")),
        record_id(IDENTITY, replace(PRODUCER, version="1.12.4")),
        record_id(IDENTITY, replace(PRODUCER, model_sha256=None)),
        record_id(Identity(source="a"), digest="ab"),
        record_id(Identity(source="a")),
        record_id(Identity(source="b")),
        record_id(Identity()),
        record_id(Identity(object_id="x")),
    ]
    assert len(set(ids)) == len(ids)


def test_ids_tell_sets_of_detections_apart() -> None:
    temporal = replace(PRODUCER, name="temporal", kind="temporal")
    too_few = unclassified(
        IDENTITY, temporal, Reason.TOO_FEW_DETECTIONS, "only one", produced_at=NOW, detections_key="17+"
    )
    unknown = unclassified(IDENTITY, temporal, Reason.HISTORY_UNAVAILABLE, "no store", produced_at=NOW)
    ids = [
        too_few.record_id,
        unknown.record_id,
        make_temporal(detections_key="17+,18+").record_id,
        make_temporal(detections_key="17+,18-").record_id,
    ]
    assert len(set(ids)) == len(ids)


def test_allwise_is_not_in_the_id() -> None:
    assert make_temporal(allwise="too_slow").record_id == make_temporal(allwise="found").record_id


def test_only_what_identifies_the_alert_is_in_its_id() -> None:
    same = replace(IDENTITY, source="elsewhere", input_schema=None, ra_deg=None)
    record = unclassified(same, PRODUCER, Reason.NO_CUTOUTS, "x", produced_at=NOW, digest="ab")
    assert record.record_id == make_classified().record_id


@pytest.mark.parametrize("alert_id", [2**63, -(2**63) - 1, 10**5000], ids=["2**63", "-2**63-1", "huge"])
def test_an_id_that_no_format_holds_is_dropped(alert_id: int) -> None:
    record = make_classified(alert_id=alert_id)
    assert record.alert_id is None
    assert validate_record(record) == []


def test_numbers_that_are_not_finite_become_null() -> None:
    record = make_classified(ra_deg=math.nan, dec_deg=math.inf, mjd=-math.inf)
    assert (record.ra, record.dec, record.mjd) == (None, None, None)


def test_control_characters_are_shown_and_length_is_bounded() -> None:
    detail = make_unclassified(detail="a\x1b[31m\r\n\u202eb\ud800é").detail
    assert detail == "a\\x1b[31m\\r\\n\\u202eb\\ud800é"
    long = make_unclassified(detail="x" * 501).detail
    assert long is not None and len(long) == MAX_DETAIL and long.endswith("…")
    assert make_unclassified(detail="x" * 500).detail == "x" * 500


@given(st.text(st.characters(categories=None), max_size=700), st.integers(-(2**70), 2**70))
def test_whatever_a_packet_says_the_record_is_valid(text: str, alert_id: int) -> None:
    identity = Identity(survey=text, alert_id=alert_id, object_id=text, band=text, input_schema=text, source=text)
    record = unclassified(identity, PRODUCER, Reason.INVALID_FIELD, text, produced_at=NOW)
    assert validate_record(record) == []
    to_json(record).encode("ascii")
    assert record.detail is not None and record.source is not None
    assert len(record.detail) <= MAX_DETAIL
    assert not any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in record.detail + record.source)
