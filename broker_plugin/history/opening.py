"""Which store an address means."""

from __future__ import annotations

import re
from pathlib import Path

from broker_plugin.history.limits import Limits
from broker_plugin.history.memory import MemoryStore
from broker_plugin.history.sqlite import SqliteStore
from broker_plugin.history.sqlite import held_form as form_in_file
from broker_plugin.history.store import HistoryError, ObjectStore

_MEMORY = "memory:"
_REDIS = ("redis://", "rediss://")
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
    if url == _MEMORY:
        return MemoryStore(limits)
    if url.startswith(_REDIS):
        from broker_plugin.history.redis import RedisStore

        return RedisStore(url, form, limits)
    return SqliteStore(_path(url), form, limits)


def held_form(url: str) -> str:
    """The form that a store was made with.

    Raises
    ------
    HistoryError
        It is no address of `open_store`; there is no store, and none is made; or what is there can't be read.
    """
    if url == _MEMORY:
        raise HistoryError(f"{url} a store in memory ends with the process that filled it")
    if url.startswith(_REDIS):
        from broker_plugin.history.redis import held_form as form_in_database

        return form_in_database(url)
    return form_in_file(_path(url))


def _path(url: str) -> Path:
    path = url.removeprefix("sqlite:")
    if not path or "://" in path:
        raise HistoryError(f"{url!r} names no store: memory:, sqlite:PATH, a path, or redis://HOST:PORT/DATABASE")
    return Path(path)
