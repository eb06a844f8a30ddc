"""What holds of every store."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from broker_plugin.history import DamagedObjectError, HistoryError, Limits, ObjectKey, ObjectStore, Stats

from .conftest import Backend
from .samples import AGN, RUBIN, SN, detection, encoded, ids, size_bytes

UNLIMITED = Limits(max_detections=1000, max_days=None, max_bytes=None)


@pytest.fixture
def store(backend: Backend) -> ObjectStore:
    return backend.open(UNLIMITED)


def test_what_was_remembered_is_recalled(store: ObjectStore) -> None:
    first, second = detection(1, 1.0, stamped=True), detection(2, 2.0, band=None)
    store.remember([(SN, first), (AGN, second)])
    assert [encoded(one) for one in store.recall([AGN, SN])] == [encoded([second]), encoded([first])]


def test_nothing_is_known_of_an_unknown_object(store: ObjectStore) -> None:
    store.remember([(SN, detection(1))])
    assert store.recall([RUBIN, AGN]) == [(), ()]


def test_a_key_may_be_asked_for_twice(store: ObjectStore) -> None:
    store.remember([(SN, detection(1))])
    assert [len(one) for one in store.recall([SN, AGN, SN])] == [1, 0, 1]


def test_surveys_are_kept_apart(store: ObjectStore) -> None:
    store.remember([(ObjectKey("ztf", "a"), detection(1)), (ObjectKey("rubin", "a"), detection(2))])
    assert ids(store, ObjectKey("ztf", "a")) == [1]


def test_names_of_objects_may_hold_anything(store: ObjectStore) -> None:
    keys = [ObjectKey("ztf", name) for name in ("a:b", "a b", "a\0b", "Ω", "'; --", "x" * 256)]
    store.remember([(key, detection(i)) for i, key in enumerate(keys)])
    assert [ids(store, key) for key in keys] == [[i] for i in range(len(keys))]


@pytest.mark.parametrize("alert_id", [0, -(2**63), 2**63 - 1, 1706273085315015033, 313853499872346134])
def test_ids_keep_every_digit(store: ObjectStore, alert_id: int) -> None:
    store.remember([(SN, detection(3)), (SN, replace(detection(3), alert_id=alert_id))])
    assert set(ids(store, SN)) == {3, alert_id}


def test_detections_come_by_time_then_id(store: ObjectStore) -> None:
    for alert_id, mjd in ((3, 5.0), (9, 1.0), (2, 5.0), (1, 7.0), (10, 5.0)):
        store.remember([(SN, detection(alert_id, mjd))])
    assert ids(store, SN) == [9, 2, 3, 10, 1]


def test_an_empty_batch_is_no_batch(store: ObjectStore) -> None:
    store.remember([])
    assert store.remember_and_recall([]) == {} and store.recall([]) == []
    assert store.stats() == Stats(0, 0, 0)


def test_remember_and_recall_gives_all_of_each_object(store: ObjectStore) -> None:
    store.remember([(SN, detection(1, 1.0)), (AGN, detection(2, 2.0))])
    known = store.remember_and_recall([(SN, detection(3, 0.5)), (RUBIN, detection(4)), (SN, detection(5, 3.0))])
    assert {key: [one.alert_id for one in some] for key, some in known.items()} == {SN: [3, 1, 5], RUBIN: [4]}


def test_a_repeated_alert_changes_nothing(store: ObjectStore) -> None:
    one = detection(1, stamped=True)
    store.remember([(SN, one), (SN, one)])
    before = store.stats()
    store.remember([(SN, one)])
    assert store.stats() == before == Stats(1, 1, size_bytes(one))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("stamped_first", [True, False])
def test_stamps_take_the_place_of_none(store: ObjectStore, stamped_first: bool, together: bool) -> None:
    with_stamps = detection(1, stamped=True)
    items = [(SN, with_stamps), (SN, replace(with_stamps, stamps=None))]
    items = items if stamped_first else items[::-1]
    for batch in [items] if together else [[item] for item in items]:
        store.remember(batch)
    assert encoded(store.recall([SN])[0]) == encoded([with_stamps])
    assert store.stats() == Stats(1, 1, size_bytes(with_stamps))


def test_what_is_given_may_be_changed_afterwards(store: ObjectStore) -> None:
    one = detection(1, stamped=True)
    before = encoded([one])
    store.remember([(SN, one)])
    assert one.stamps is not None
    one.stamps[:] = 0
    one.values[:] = 0
    assert encoded(store.recall([SN])[0]) == before


def test_a_batch_with_what_can_not_be_written_leaves_nothing(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="alert 2: values are float64"):
        store.remember([(SN, detection(1)), (AGN, replace(detection(2), values=np.zeros(1)))])
    assert store.stats() == Stats(0, 0, 0)


def test_forget_throws_an_object_away(store: ObjectStore) -> None:
    kept = detection(3, 3.0)
    store.remember([(SN, detection(1)), (SN, detection(2, stamped=True)), (AGN, kept)])
    store.forget([SN, RUBIN])
    assert store.recall([SN]) == [()]
    assert store.stats() == Stats(1, 1, size_bytes(kept))


def test_stats_count(store: ObjectStore) -> None:
    some = [detection(i, stamped=i % 2 == 0) for i in range(5)]
    store.remember([(SN if i < 2 else AGN, one) for i, one in enumerate(some)])
    assert store.stats() == Stats(2, 5, size_bytes(*some))


class TestMostDetections:
    def test_as_many_as_the_limit_stay(self, backend: Backend) -> None:
        store = backend.open(Limits(max_detections=3))
        store.remember([(SN, detection(i, float(i))) for i in range(3)])
        assert ids(store, SN) == [0, 1, 2]

    def test_of_one_more_the_oldest_goes(self, backend: Backend) -> None:
        store = backend.open(Limits(max_detections=3))
        store.remember([(SN, detection(i, float(i))) for i in range(3)])
        store.remember([(SN, detection(3, 0.5))])
        assert ids(store, SN) == [3, 1, 2]
        assert store.stats().detections == 3

    def test_of_the_same_time_the_lower_id_goes(self, backend: Backend) -> None:
        store = backend.open(Limits(max_detections=1))
        store.remember([(SN, detection(5)), (SN, detection(4)), (SN, detection(6))])
        assert ids(store, SN) == [6]

    def test_a_late_one_that_is_too_old_changes_nothing(self, backend: Backend) -> None:
        store = backend.open(Limits(max_detections=1))
        store.remember([(SN, detection(2, 2.0))])
        before = store.stats()
        assert len(store.remember_and_recall([(SN, detection(1, 1.0))])[SN]) == 1
        assert ids(store, SN) == [2] and store.stats() == before


class TestMostDays:
    def test_exactly_that_old_stays(self, backend: Backend) -> None:
        store = backend.open(Limits(max_days=10.0))
        store.remember([(SN, detection(1, 100.0)), (SN, detection(2, 110.0))])
        assert ids(store, SN) == [1, 2]

    def test_older_goes_when_a_newer_one_comes(self, backend: Backend) -> None:
        store = backend.open(Limits(max_days=10.0))
        store.remember([(SN, detection(1, 100.0)), (SN, detection(2, 105.0))])
        store.remember([(SN, detection(3, np.nextafter(110.0, 111.0)))])
        assert ids(store, SN) == [2, 3]
        assert store.stats().detections == 2

    def test_a_late_one_that_is_older_is_not_kept(self, backend: Backend) -> None:
        store = backend.open(Limits(max_days=0.0))
        store.remember([(SN, detection(2, 2.0))])
        store.remember([(SN, detection(1, 1.0))])
        assert ids(store, SN) == [2]

    def test_it_counts_from_the_newest_of_the_same_object(self, backend: Backend) -> None:
        store = backend.open(Limits(max_days=1.0))
        store.remember([(SN, detection(1, 1.0)), (AGN, detection(2, 1000.0))])
        assert ids(store, SN) == [1]


class TestMostBytes:
    ONE = size_bytes(detection(0))

    def test_as_many_as_the_limit_stay(self, backend: Backend) -> None:
        store = backend.open(Limits(max_bytes=3 * self.ONE))
        store.remember([(key, detection(i)) for i, key in enumerate((SN, AGN, RUBIN))])
        assert store.stats() == Stats(3, 3, 3 * self.ONE)

    def test_of_one_byte_more_the_whole_oldest_object_goes(self, backend: Backend) -> None:
        store = backend.open(Limits(max_bytes=4 * self.ONE - 1))
        store.remember([(SN, detection(0)), (SN, detection(1))])
        store.remember([(AGN, detection(2))])
        store.remember([(RUBIN, detection(3))])
        assert [len(one) for one in store.recall([SN, AGN, RUBIN])] == [0, 1, 1]
        assert store.stats() == Stats(2, 2, 2 * self.ONE)

    def test_an_object_that_gained_something_since_stays(self, backend: Backend) -> None:
        store = backend.open(Limits(max_bytes=3 * self.ONE))
        for alert_id, key in enumerate((SN, AGN, SN, RUBIN)):
            store.remember([(key, detection(alert_id))])
        assert [len(one) for one in store.recall([SN, AGN, RUBIN])] == [2, 0, 1]

    def test_a_repeated_alert_is_no_gain(self, backend: Backend) -> None:
        store = backend.open(Limits(max_bytes=2 * self.ONE))
        for alert_id, key in ((0, SN), (1, AGN), (0, SN), (2, RUBIN)):
            store.remember([(key, detection(alert_id))])
        assert [len(one) for one in store.recall([SN, AGN, RUBIN])] == [0, 1, 1]

    def test_a_batch_larger_than_the_store_is_answered_all_the_same(self, backend: Backend) -> None:
        store = backend.open(Limits(max_bytes=self.ONE))
        known = store.remember_and_recall([(SN, detection(0)), (AGN, detection(1)), (RUBIN, detection(2))])
        assert [len(one) for one in known.values()] == [1, 1, 1]
        assert store.stats() == Stats(1, 1, self.ONE)

    def test_an_object_that_finds_no_room_leaves_nothing(self, backend: Backend) -> None:
        store = backend.open(Limits(max_bytes=self.ONE - 1))
        store.remember([(SN, detection(0))])
        assert store.stats() == Stats(0, 0, 0)

    def test_an_object_may_come_back(self, backend: Backend) -> None:
        store = backend.open(Limits(max_bytes=self.ONE))
        for alert_id, key in enumerate((SN, AGN, SN)):
            store.remember([(key, detection(alert_id))])
        assert ids(store, SN) == [2] and store.stats() == Stats(1, 1, self.ONE)


@pytest.mark.parametrize(
    "wrong", [{"max_detections": 0}, {"max_days": -1.0}, {"max_days": float("nan")}, {"max_bytes": 0}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


DAMAGES = {
    "flipped": lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
    "truncated": lambda data: data[:-1],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_an_error_that_names_the_object(backend: Backend, how: object) -> None:
    store = backend.open()
    store.remember([(SN, detection(1)), (AGN, detection(2))])
    backend.damage(store, SN, how)
    for call in (
        lambda: store.recall([AGN, SN]),
        lambda: store.remember([(AGN, detection(3)), (SN, detection(4))]),
    ):
        with pytest.raises(DamagedObjectError, match="a detection of ztf:ZTF21abcdefg is damaged") as caught:
            call()
        assert caught.value.key == SN
    assert ids(store, AGN) == [2], "what came with the damaged one was written"
    store.forget([SN])
    store.remember([(SN, detection(4))])
    assert ids(store, SN) == [4]


def test_threads_lose_nothing(store: ObjectStore) -> None:
    def remember(first: int) -> None:
        for alert_id in range(first, first + 25):
            store.remember([(SN, detection(alert_id)), (AGN, detection(alert_id))])

    threads = [threading.Thread(target=remember, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.stats().detections == 200
    assert ids(store, SN) == ids(store, AGN) == [100 * i + j for i in range(4) for j in range(25)]


def test_a_closed_store_says_so(backend: Backend) -> None:
    with backend.open() as store:
        pass
    for call in (
        lambda: store.recall([SN]),
        lambda: store.remember([(SN, detection(1))]),
        lambda: store.forget([SN]),
        store.stats,
    ):
        with pytest.raises(HistoryError, match="closed"):
            call()
    store.close()


class TestOpenedAgain:
    def test_everything_is_there(self, persistent: Backend) -> None:
        with persistent.open() as store:
            store.remember([(SN, detection(1, stamped=True)), (AGN, detection(2))])
            before, counted = [encoded(one) for one in store.recall([SN, AGN])], store.stats()
        with persistent.open() as store:
            assert [encoded(one) for one in store.recall([SN, AGN])] == before and store.stats() == counted

    def test_two_at_a_time_see_the_same(self, persistent: Backend) -> None:
        with persistent.open() as one, persistent.open() as other:
            one.remember([(SN, detection(1))])
            other.remember([(SN, detection(2))])
            assert ids(one, SN) == ids(other, SN) == [1, 2]

    def test_another_form_is_refused_with_what_to_do(self, persistent: Backend) -> None:
        persistent.open().close()
        with pytest.raises(HistoryError, match=r"holds detections of the form 'form-1', and those of 'form-2'.*throw"):
            persistent.open(form="form-2")

    def test_a_newer_version_is_refused(self, persistent: Backend) -> None:
        persistent.open().close()
        persistent.set_version(2)
        with pytest.raises(HistoryError, match=r"newer broker_plugin \(store version 2; this one knows 1\)"):
            persistent.open()

    def test_lower_limits_hold_once_an_object_is_remembered_again(self, persistent: Backend) -> None:
        with persistent.open() as store:
            store.remember([(SN, detection(i, float(i))) for i in range(5)])
        with persistent.open(Limits(max_detections=2)) as store:
            store.remember([(SN, detection(0, 0.0))])
            assert ids(store, SN) == [3, 4] and store.stats().detections == 2
