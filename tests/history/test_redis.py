"""What is particular to Redis: the server may be away, full or somebody else's, and others write to it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from broker_plugin.history import HistoryError, Limits, ObjectKey, held_form, open_store
from broker_plugin.history.limits import Merged

from . import redis_server
from .conftest import RedisBackend
from .samples import AGN, FORM, SN, detection, encoded, ids

SECRET = "hunter2"


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    pytest.importorskip("redis")
    with pytest.raises(HistoryError, match=r"redis://127\.0\.0\.1:1/3: .*refused") as caught:
        open_store(f"redis://me:{SECRET}@127.0.0.1:1/3", FORM)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://me:{SECRET}@127.0.0.1:port/0",
        f"redis://me:12/{SECRET}@127.0.0.1:6379/0",
        f"redis://me:{SECRET}#@127.0.0.1:6379/0",
        f"redis://me:12?{SECRET}@127.0.0.1:6379/0",
    ],
)
def test_a_password_that_breaks_the_address_is_not_shown(url: str) -> None:
    pytest.importorskip("redis")
    with pytest.raises(HistoryError, match="not redis://") as caught:
        open_store(url, FORM)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_server_that_goes_away_is_an_error_and_may_come_back(tmp_path: Path) -> None:
    with redis_server.running(tmp_path) as port:
        store = open_store(f"redis://127.0.0.1:{port}/0", FORM)
        store.remember([(SN, detection(1))])
    for call in (lambda: store.recall([SN]), lambda: store.remember([(SN, detection(2))]), store.stats):
        with pytest.raises(HistoryError, match=rf"redis://127\.0\.0\.1:{port}/0: "):
            call()


def test_a_wrong_password_is_an_error(tmp_path: Path) -> None:
    with redis_server.running(tmp_path, "--requirepass", SECRET) as port:
        with pytest.raises(HistoryError, match="uthenticat") as caught:
            open_store(f"redis://127.0.0.1:{port}/0", FORM)
        with open_store(f"redis://:{SECRET}@127.0.0.1:{port}/0", FORM) as store:
            store.remember([(SN, detection(1))])
            assert ids(store, SN) == [1]
            assert SECRET not in store.address
    assert SECRET not in str(caught.value)


def test_a_full_server_is_an_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    with (
        redis_server.running(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as port,
        open_store(f"redis://127.0.0.1:{port}/0", FORM, Limits(max_detections=10**6)) as store,
    ):
        store.remember([(SN, detection(0))])
        written = 0
        with pytest.raises(HistoryError, match="maxmemory"):
            for written in range(1000):
                store.remember([(AGN, detection(written, stamped=True, size=33))])
        assert ids(store, SN) == [0]
        assert ids(store, AGN) == list(range(written))


def test_a_server_that_throws_keys_away_by_itself_is_refused(tmp_path: Path) -> None:
    with (
        redis_server.running(tmp_path, "--maxmemory-policy", "allkeys-lru") as port,
        pytest.raises(HistoryError, match=r"allkeys-lru.*set it to noeviction"),
    ):
        open_store(f"redis://127.0.0.1:{port}/0", FORM)


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(HistoryError, match=r"needs redis-py: pip install 'broker-plugin\[redis\]'"):
        open_store("redis://127.0.0.1:6379/0", FORM)


def test_other_keys_of_the_database_are_left_alone(redis_backend: RedisBackend) -> None:
    redis_backend.client.set("mine", "1")
    with redis_backend.open(Limits(max_bytes=1)) as store:
        store.remember([(SN, detection(1))])
        store.forget([SN])
    assert redis_backend.client.get("mine") == b"1"
    others = [key for key in redis_backend.client.scan_iter() if not key.startswith(b"broker-plugin:history:")]
    assert others == [b"mine"]


def test_a_database_tells_its_form_and_none_is_made(redis_backend: RedisBackend) -> None:
    with pytest.raises(HistoryError, match="there is no store of objects"):
        held_form(redis_backend.url)
    assert redis_backend.client.dbsize() == 0
    redis_backend.open().close()
    assert held_form(redis_backend.url) == FORM


def test_nothing_is_left_of_what_is_forgotten_or_evicted(redis_backend: RedisBackend) -> None:
    with redis_backend.open(Limits(max_bytes=1000)) as store:
        for number in range(50):
            store.remember([(ObjectKey("ztf", str(number)), detection(number))])
        store.forget([ObjectKey("ztf", str(number)) for number in range(50)])
    left = sorted(redis_backend.client.keys())
    assert left == [b"broker-plugin:history:store", b"broker-plugin:history:totals"]


def test_a_write_of_another_worker_in_between_is_not_lost(
    redis_backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_backend.open() as mine, redis_backend.open() as other:
        write, refused = mine._write, []

        def write_after_another(changed: Mapping[ObjectKey, Merged], touches: Mapping[ObjectKey, int]) -> bool:
            if not refused:
                other.remember([(AGN, detection(7))])
            done = write(changed, touches)
            refused.append(not done)
            return done

        monkeypatch.setattr(mine, "_write", write_after_another)
        mine.remember([(SN, detection(1)), (AGN, detection(8))])
        assert refused == [True, False]
        assert ids(mine, AGN) == [7, 8] and ids(mine, SN) == [1]


def test_an_object_thrown_away_in_between_does_not_come_back_in_part(
    redis_backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_backend.open() as mine, redis_backend.open() as other:
        mine.remember([(SN, detection(1))])
        write, calls = mine._write, []

        def write_after_another(changed: Mapping[ObjectKey, Merged], touches: Mapping[ObjectKey, int]) -> bool:
            if not calls:
                other.forget([SN])
            calls.append(1)
            return write(changed, touches)

        monkeypatch.setattr(mine, "_write", write_after_another)
        known = mine.remember_and_recall([(SN, detection(2))])
        assert encoded(known[SN]) == encoded([detection(2)])
        assert ids(mine, SN) == [2] and mine.stats().detections == 1


def test_a_write_that_is_sent_twice_is_done_once(redis_backend: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """As happens where a connection breaks between a write and its answer."""
    with redis_backend.open() as store:
        write = store._write
        monkeypatch.setattr(store, "_write", lambda *what: write(*what) and write(*what))
        store.remember([(SN, detection(1))])
        assert ids(store, SN) == [1] and store.stats().detections == 1
