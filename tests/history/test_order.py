"""The order in which detections arrive, and how they are divided into batches, makes no difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_plugin.history import Limits, ObjectKey, ObjectStore, RememberedDetection

from .conftest import Backend
from .samples import AGN, RUBIN, SN, encoded

KEYS = (SN, AGN, RUBIN)
Item = tuple[ObjectKey, RememberedDetection]


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Few ids and times, so that they meet: also one id with two times, or told in two ways."""
    alert_id = draw(st.integers(0, 7))
    stamps = np.full((1, 1, 1), draw(st.sampled_from([1, 2])), np.float16)
    return draw(st.sampled_from(KEYS)), RememberedDetection(
        alert_id,
        alert_id / 2 + draw(st.sampled_from([0.0, 0.0, 0.0, 1.5])),
        draw(st.sampled_from([None, "g"])),
        draw(st.sampled_from([None, stamps])),
        np.array([draw(st.sampled_from([np.nan, 0.0, 1.0]))], np.float32),
    )


def limits() -> st.SearchStrategy[Limits]:
    return st.builds(
        Limits,
        max_detections=st.integers(1, 5),
        max_days=st.sampled_from([None, 0.0, 0.5, 1.0, 2.0]),
        max_bytes=st.none(),
    )


def content(store: ObjectStore) -> object:
    return [encoded(one) for one in store.recall(KEYS)], store.stats()


def batches_of(some: Sequence[Item], data: st.DataObject) -> list[Sequence[Item]]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(some)), max_size=8), label="cuts"))
    return [some[start:end] for start, end in zip([0, *cuts], [*cuts, len(some)], strict=True)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(items(), max_size=24), limits(), st.data())
def test_any_order_and_any_batches_give_the_same(
    backend: Backend, some: list[Item], limits: Limits, data: st.DataObject
) -> None:
    with backend.fresh(limits) as store:
        store.remember(some)
        expected = content(store)
    repeated = data.draw(st.lists(st.sampled_from(some), max_size=8), label="repeated") if some else []
    shuffled = data.draw(st.permutations(some + repeated), label="shuffled")
    with backend.fresh(limits) as store:
        for batch in batches_of(shuffled, data):
            known = store.remember_and_recall(batch)
            assert [encoded(known[key]) for key in known] == [encoded(one) for one in store.recall(list(known))]
        assert content(store) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(items(), max_size=24), limits())
def test_what_stays_is_what_the_limits_say(backend: Backend, some: list[Item], limits: Limits) -> None:
    with backend.fresh(limits) as store:
        for item in some:
            store.remember([item])
        recalled = dict(zip(KEYS, store.recall(KEYS), strict=True))
    for key in KEYS:
        mine = [one for of, one in some if of == key]
        newest = {}
        for one in mine:
            newest[one.alert_id] = max(one.mjd, newest.get(one.alert_id, one.mjd))
        latest = sorted((mjd, alert_id) for alert_id, mjd in newest.items())[-limits.max_detections :]
        if limits.max_days is not None:
            latest = [time for time in latest if time[0] >= latest[-1][0] - limits.max_days]
        assert [(one.mjd, one.alert_id) for one in recalled[key]] == latest
        for kept in recalled[key]:
            same = [one for one in mine if (one.alert_id, one.mjd) == (kept.alert_id, kept.mjd)]
            assert (kept.stamps is None) == all(one.stamps is None for one in same)
            assert encoded([kept])[0] in encoded(same)
