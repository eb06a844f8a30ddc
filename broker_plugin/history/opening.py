"""Which store an address means."""

from __future__ import annotations

import re
from pathlib import Path

from broker_plugin.history.limits import Limits
from broker_plugin.history.memory import MemoryStore
from broker_plugin.history.sqlite import SqliteStore
from broker_plugin.history.store import HistoryError, ObjectStore

_FORM = re.compile(r"[!-~]{1,128}")


def open_store(url: str, form: str, limits: Limits | None = None) -> ObjectStore:
    """Open a store of objects, or make it.

    Parameters
    ----------
    url
        ``memory:``, ``sqlite:PATH`` or a plain path, ``redis://HOST:PORT/DATABASE``.
    form
        A short digest, 1 to 128 printable characters, of how stamps and values are prepared: a store holds
        one form.
    limits
        How much is kept; None: `Limits` as it is.

    Raises
    ------
    HistoryError
        It is no such address, the store can't be opened, or it holds another form.
    ValueError
        ``form`` is no such digest.
    """
    if not _FORM.fullmatch(form):
        raise ValueError(f"form {form[:140]!r}: it must have 1 to 128 printable characters and no space")
    limits = limits or Limits()
    if url == "memory:":
        return MemoryStore(limits)
    if url.startswith(("redis://", "rediss://")):
        from broker_plugin.history.redis import RedisStore

        return RedisStore(url, form, limits)
    path = url.removeprefix("sqlite:")
    if not path or "://" in path:
        raise HistoryError(f"{url!r} names no store: memory:, sqlite:PATH, a path, or redis://HOST:PORT/DATABASE")
    return SqliteStore(Path(path), form, limits)
