"""Objects remembered in a Redis server, by any number of workers on any number of machines.

Keys, all under one prefix:

================= ==========================================================================
``store``         string: version of this layout and the form, with a space between
``totals``        hash: ``touches``, ``detections``, ``bytes``
``touched``       sorted set: objects, by the number of the touch that last changed them
``object:OBJECT`` hash: encoded detections by alert id
================= ==========================================================================

What stays of an object is worked out in Python, as for the other stores, between a read and a write.  The write, a
script that the server runs as one step, goes through only if each object of the batch still has the touch with which it
was read; else the batch is read again.  The number of a touch is never given twice, so nothing that others wrote is
lost, and a write that is sent again after a broken connection is refused and then found done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from broker_plugin.history.detection import ObjectKey, Row
from broker_plugin.history.limits import Limits, Merged, merge
from broker_plugin.history.store import HistoryError, ObjectStore, Stats, newer_version, no_store, other_form

if TYPE_CHECKING:
    import redis

VERSION = 1
PREFIX = "broker-plugin:history:"
_STORE, _TOTALS, _TOUCHED, _OBJECT = (PREFIX + name for name in ("store", "totals", "touched", "object:"))
_TIMEOUT_S = 10.0
_UNKNOWN = -1  # the touch of an object that is not there

_DELETE = """
local totals, touched, prefix = KEYS[1], KEYS[2], KEYS[3]
local function delete(object)
    local key, detections, bytes = prefix .. object, 0, 0
    for _, alert_id in ipairs(redis.call('HKEYS', key)) do
        detections = detections + 1
        bytes = bytes + redis.call('HSTRLEN', key, alert_id)
    end
    redis.call('HINCRBY', totals, 'detections', 0 - detections)
    redis.call('HINCRBY', totals, 'bytes', 0 - bytes)  -- not -bytes: minus nothing is written -0
    redis.call('UNLINK', key)
    redis.call('ZREM', touched, object)
end
"""

# ARGV: the objects.
_FORGET = _DELETE + "for _, object in ipairs(ARGV) do delete(object) end"

# ARGV: the most bytes or '', then for each object: its name, the touch that it was read with or -1, the detections and
# bytes that it gains, the number of alert ids to drop, these, the number of detections to put, their ids and bytes.
_APPLY = (
    _DELETE
    + """
local max_bytes, at = tonumber(ARGV[1]), 1
local function following()
    at = at + 1
    return ARGV[at]
end
local function list(length)
    local items = {}
    for i = 1, length do items[i] = following() end
    return items
end

local changes = {}
while at < #ARGV do
    local object, touch = following(), following()
    if tonumber(redis.call('ZSCORE', touched, object) or -1) ~= tonumber(touch) then return 0 end
    local detections, bytes = following(), following()
    local drop = list(tonumber(following()))
    local put = list(2 * tonumber(following()))
    changes[#changes + 1] = {object = object, detections = detections, bytes = bytes, drop = drop, put = put}
end
for _, change in ipairs(changes) do
    local key = prefix .. change.object
    for _, alert_id in ipairs(change.drop) do redis.call('HDEL', key, alert_id) end
    for i = 1, #change.put, 2 do redis.call('HSET', key, change.put[i], change.put[i + 1]) end
    redis.call('HINCRBY', totals, 'detections', change.detections)
    redis.call('HINCRBY', totals, 'bytes', change.bytes)
    redis.call('ZADD', touched, redis.call('HINCRBY', totals, 'touches', 1), change.object)
end
while max_bytes and tonumber(redis.call('HGET', totals, 'bytes') or 0) > max_bytes do
    delete(redis.call('ZRANGE', touched, 0, 0)[1])
end
return 1
"""
)


class RedisStore(ObjectStore):
    """Objects in one database of a Redis server.  It may be used on both sides of a fork.

    Parameters
    ----------
    url
        ``redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]``, or ``rediss://`` for TLS.
    form
        Stands for how stamps and values were prepared.
    limits
        How much is kept.

    Raises
    ------
    HistoryError
        There is no answer from the server, it may throw keys away by itself, redis-py is not installed, or the database
        holds another form or a newer version.
    """

    def __init__(self, url: str, form: str, limits: Limits) -> None:
        super().__init__(_without_password(url), limits)
        self._client = _client(url, self.address)
        self._apply = self._client.register_script(_APPLY)
        self._forget = self._client.register_script(_FORGET)
        self._closed = False
        with self._connected() as client:
            client.set(_STORE, f"{VERSION} {form}", nx=True)
            held: Any = client.get(_STORE)
            memory: Any = client.info("memory")
        self._check(held.decode(), form)
        policy = memory.get("maxmemory_policy", "")
        if policy.startswith("allkeys"):
            raise HistoryError(
                f"{self.address} may throw keys away by itself (maxmemory-policy {policy}), and the store would lose"
                " count: set it to noeviction, and bound the store by Limits.max_bytes"
            )

    def forget(self, keys: Iterable[ObjectKey]) -> None:
        with self._connected():
            self._forget(keys=[_TOTALS, _TOUCHED, _OBJECT], args=[str(key) for key in keys])

    def stats(self) -> Stats:
        with self._connected() as client, client.pipeline(transaction=True) as pipeline:
            pipeline.zcard(_TOUCHED)
            pipeline.hmget(_TOTALS, ["detections", "bytes"])
            objects, (detections, size) = pipeline.execute()
        return Stats(objects, int(detections or 0), int(size or 0))

    def close(self) -> None:
        self._closed = True
        self._client.close()

    def _merge(self, batch: Mapping[ObjectKey, list[Row]]) -> dict[ObjectKey, Sequence[Row]]:
        while True:  # it ends: a batch is refused only where another worker's went through
            found = self._fetch(list(batch))
            merged = {key: merge(self._rows(key, found[key][1]), new, self.limits) for key, new in batch.items()}
            changed = {key: change for key, change in merged.items() if change.changes}
            if not changed or self._write(changed, {key: found[key][0] for key in changed}):
                return {key: change.after for key, change in merged.items()}

    def _read(self, keys: Sequence[ObjectKey]) -> list[Sequence[Row]]:
        found = self._fetch(keys)
        return [self._rows(key, found[key][1]) for key in keys]

    def _fetch(self, keys: Sequence[ObjectKey]) -> dict[ObjectKey, tuple[int, list[bytes]]]:
        """The touch of each object, and its encoded detections, all at one moment."""
        with self._connected() as client, client.pipeline(transaction=True) as pipeline:
            for key in keys:
                pipeline.zscore(_TOUCHED, str(key))
                pipeline.hvals(f"{_OBJECT}{key}")
            answers = pipeline.execute()
        touches = [_UNKNOWN if touch is None else int(touch) for touch in answers[::2]]
        return dict(zip(keys, zip(touches, answers[1::2], strict=True), strict=True))

    def _write(self, changed: Mapping[ObjectKey, Merged], touches: Mapping[ObjectKey, int]) -> bool:
        """Whether it went through."""
        arguments: list[Any] = ["" if self.limits.max_bytes is None else self.limits.max_bytes]
        for key, change in changed.items():
            arguments += [str(key), touches[key], change.added_detections, change.added_bytes]
            arguments += [len(change.drop), *change.drop, len(change.put)]
            for row in change.put:
                arguments += [row.alert_id, row.data]
        with self._connected():
            return bool(self._apply(keys=[_TOTALS, _TOUCHED, _OBJECT], args=arguments))

    def _check(self, held: str, form: str) -> None:
        known = _form_in(held, self.address)
        if known != form:
            raise HistoryError(other_form(self.address, known, form, f"delete its keys {PREFIX}*"))

    @contextmanager
    def _connected(self) -> Iterator[redis.Redis]:
        if self._closed:
            raise HistoryError(f"{self.address} is closed")
        with _errors_of(self.address):
            yield self._client


def held_form(url: str) -> str:
    """The form of what a database holds.  Nothing is made or changed.

    Raises
    ------
    HistoryError
        It holds no objects or is of a newer version, there is no answer from the server, or redis-py is not installed.
    """
    address = _without_password(url)
    client = _client(url, address)
    with _errors_of(address), client:
        held: Any = client.get(_STORE)
    if held is None:
        raise HistoryError(no_store(address))
    return _form_in(held.decode(), address)


def _form_in(held: str, address: str) -> str:
    """The form that the key of the store names."""
    version, _, form = held.partition(" ")
    if int(version) > VERSION:
        raise HistoryError(newer_version(address, int(version), VERSION))
    return form


@contextmanager
def _errors_of(address: str) -> Iterator[None]:
    import redis

    try:
        yield
    except redis.RedisError as problem:
        raise HistoryError(f"{address}: {problem}") from problem


def _client(url: str, address: str) -> redis.Redis:
    try:
        import redis
    except ImportError as problem:
        raise HistoryError(f"{address} needs redis-py: pip install 'broker-plugin[redis]'") from problem
    wrong = f"{address}: not redis://[USER:PASSWORD@]HOST:PORT/DATABASE, with %2F for / and so on in a password"
    if "@" in url.removeprefix(f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"):
        raise HistoryError(wrong)  # or a part of the password would be taken for the host, and shown
    try:
        return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
    except ValueError:
        raise HistoryError(wrong) from None  # its message may hold the password


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
