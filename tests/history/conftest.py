"""The three stores behind one fixture: each test that takes ``backend`` runs over all of them."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker_plugin.history import Limits, ObjectKey, ObjectStore, open_store

from . import redis_server
from .samples import FORM


class Backend:
    """Makes empty stores of one kind, opens them again, and damages them."""

    def __init__(self) -> None:
        self.url = "memory:"

    def open(self, limits: Limits | None = None, form: str = FORM) -> ObjectStore:
        return open_store(self.url, form, limits)

    def fresh(self, limits: Limits | None = None) -> ObjectStore:
        """An empty store, whatever others were filled with."""
        return self.open(limits)

    def damage(self, store: ObjectStore, key: ObjectKey, how: Callable[[bytes], bytes]) -> None:
        """Change the bytes of every detection of an object, behind the back of the store."""
        objects = store._objects
        objects[key] = tuple(how(data) for data in objects[key])


class SqliteBackend(Backend):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self.renew()

    def renew(self) -> None:
        self.path = self._folder / f"store-{next(self._numbers)}.db"
        self.url = f"sqlite:{self.path}"

    def fresh(self, limits: Limits | None = None) -> ObjectStore:
        self.renew()
        return self.open(limits)

    def damage(self, store: ObjectStore, key: ObjectKey, how: Callable[[bytes], bytes]) -> None:
        db = sqlite3.connect(self.path)
        db.create_function("how", 1, how)
        with db:
            db.execute(
                "UPDATE detection SET data = how(data) FROM object WHERE object = number AND object_id = ?",
                (key.object_id,),
            )
        db.close()

    def set_version(self, version: int) -> None:
        db = sqlite3.connect(self.path)
        db.execute(f"PRAGMA user_version = {version}")
        db.close()


class RedisBackend(Backend):
    def __init__(self, port: int) -> None:
        import redis

        self.url = f"redis://127.0.0.1:{port}/0"
        self.client = redis.Redis(port=port)
        self.client.flushall()

    def fresh(self, limits: Limits | None = None) -> ObjectStore:
        self.client.flushall()
        return self.open(limits)

    def damage(self, store: ObjectStore, key: ObjectKey, how: Callable[[bytes], bytes]) -> None:
        name = f"broker-plugin:history:object:{key}"
        for alert_id, data in self.client.hgetall(name).items():
            self.client.hset(name, alert_id, how(data))

    def set_version(self, version: int) -> None:
        self.client.set("broker-plugin:history:store", f"{version} {FORM}")


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server.running(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture
def sqlite_backend(tmp_path: Path) -> SqliteBackend:
    return SqliteBackend(tmp_path)


@pytest.fixture
def redis_backend(redis_port: int) -> Iterator[RedisBackend]:
    backend = RedisBackend(redis_port)
    yield backend
    backend.client.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return Backend() if request.param == "memory" else request.getfixturevalue(f"{request.param}_backend")


@pytest.fixture(params=["sqlite", "redis"])
def persistent(request: pytest.FixtureRequest) -> SqliteBackend | RedisBackend:
    """Only those that outlive their process."""
    return request.getfixturevalue(f"{request.param}_backend")
