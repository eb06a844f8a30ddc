"""A reference host: finds plugins, sets them up and calls them; one bad plugin harms no other.

`Host` does what a broker would have to do around the hooks, and `Batcher` makes batches out of
alerts that come one at a time::

    with Host({"broker-plugin": {"device": "cpu"}}) as host:
        for packet, records in zip(packets, host.on_alerts(packets)):
            ...
"""

from __future__ import annotations

import difflib
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib import metadata
from types import TracebackType
from typing import Any

import pluggy

from broker_plugin.alert import Identity, Reason
from broker_plugin.batcher import Batcher
from broker_plugin.hookspecs import (
    PROJECT_NAME,
    SPEC_VERSION,
    AlertContext,
    AlertInput,
    BrokerPluginSpec,
    ObjectUpdate,
    StageInfo,
    hookimpl,
)
from broker_plugin.packets import identify
from broker_plugin.records.build import Producer, unclassified
from broker_plugin.records.record import ClassificationRecord

__all__ = ["DISABLED_VARIABLE", "LOAD_VARIABLE", "Batcher", "Host", "LoadFailure", "Timing"]

LOAD_VARIABLE = "BROKER_PLUGIN_LOAD"
"""Environment variable: names of the entry points to load, separated by commas; unset or empty, all of them."""

DISABLED_VARIABLE = "BROKER_PLUGIN_DISABLED"
"""Environment variable: names of plugins not to run, separated by commas."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A plugin that doesn't run.

    Attributes
    ----------
    name
        Its entry point's name, or the name it was given.
    value
        What the entry point names (``package.module:attribute``), or the type of the plugin given.
    error
        Type and message of what went wrong.
    """

    name: str
    value: str
    error: str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the calls of one hook of one plugin took, in seconds; calls that raised are among them."""

    count: int = 0
    total_s: float = 0.0
    max_s: float = 0.0


def _timed(hook: str) -> Callable[..., Generator[None, Any, Any]]:
    # trylast: the innermost of the wrappers, so that the time is the plugin's own.
    @hookimpl(wrapper=True, trylast=True, specname=hook)
    def wrapper(self: _Timer) -> Generator[None, Any, Any]:
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.add(hook, time.perf_counter() - start)

    return wrapper


class _Timer:
    """Times the hooks of one plugin.  Each plugin has its own, so a timer needn't be told whose call it wraps."""

    def __init__(self) -> None:
        self.timings: dict[str, Timing] = {}
        self._lock = threading.Lock()

    def add(self, hook: str, seconds: float) -> None:
        with self._lock:
            old = self.timings.get(hook, Timing())
            self.timings[hook] = Timing(old.count + 1, old.total_s + seconds, max(old.max_s, seconds))

    time_setup = _timed("broker_plugin_setup")
    time_alert = _timed("on_alert")
    time_alerts = _timed("on_alerts")
    time_update = _timed("on_object_update")
    time_updates = _timed("on_object_updates")


@dataclass(slots=True)
class _Registered:
    """A plugin that runs.  ``callers`` reach, hook by hook, this plugin alone through all the wrappers."""

    plugin: object
    value: str
    info: StageInfo
    timer: _Timer = field(default_factory=_Timer)
    callers: dict[str, pluggy.HookCaller] = field(default_factory=dict)
    is_set_up: bool = False


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a plugin has no records for an alert."""

    detail: str
    cause: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Road:
    """A pair of hooks that ask the same, of one item and of a batch, and how to tell which item it was."""

    one: str
    one_argument: str
    many: str
    many_argument: str
    identify: Callable[[Any], tuple[Identity, str | None]]


def _identify_update(update: ObjectUpdate) -> tuple[Identity, str | None]:
    identity, digest = identify(update.alerts[-1]) if update.alerts else (Identity(), None)
    return replace(identity, survey=update.survey, object_id=update.object_id), digest


_ALERTS = _Road("on_alert", "alert", "on_alerts", "alerts", identify)
_UPDATES = _Road("on_object_update", "update", "on_object_updates", "updates", _identify_update)
_HOOKS = tuple(name for name in vars(BrokerPluginSpec) if not name.startswith("_"))


class Host:
    """Finds the installed plugins, sets them up, and calls them so that none can harm another.

    What can be known before setup (whether a plugin imports, which version of the contract it
    speaks) is settled when the host is made, so it may be made before a fork; enter it, or call
    `setup`, in each process after the fork.  Whoever gets it set up may call it from several
    threads, if the plugins bear that; ours does.

    Parameters
    ----------
    config
        One section for each plugin, by its name: what its ``broker_plugin_setup`` gets.
    load
        Names of the entry points to load, in the order in which the plugins are called.  Not
        given, ``$BROKER_PLUGIN_LOAD`` says; if that is empty too, all of them, by name.
    disabled
        Names of plugins not to run, besides those in ``$BROKER_PLUGIN_DISABLED``.

    Attributes
    ----------
    failures : list of LoadFailure
        The plugins that were to run and don't, and why.  The others run.
    """

    def __init__(
        self,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        load: Iterable[str] | None = None,
        disabled: Iterable[str] = (),
    ) -> None:
        self.failures: list[LoadFailure] = []
        self._config = dict(config or {})
        self._registered: dict[str, _Registered] = {}
        self._is_set_up = False
        self._manager = pluggy.PluginManager(PROJECT_NAME)
        self._manager.add_hookspecs(BrokerPluginSpec)
        self._names_seen = {*disabled, *_names_in(DISABLED_VARIABLE)}
        for name in self._names_seen:
            self._manager.set_blocked(name)
        wanted = list(load) if load is not None else _names_in(LOAD_VARIABLE) or None
        self._load_entry_points(wanted)

    @property
    def plugins(self) -> list[tuple[str, StageInfo]]:
        """Name and description of each plugin that runs, in the order in which they are called."""
        return [(name, registered.info) for name, registered in self._registered.items()]

    @property
    def timings(self) -> dict[tuple[str, str], Timing]:
        """What the calls have taken so far, by plugin and hook."""
        return {
            (name, hook): timing
            for name, registered in self._registered.items()
            for hook, timing in list(registered.timer.timings.items())
        }

    def register(self, plugin: object, name: str) -> bool:
        """Take a plugin that isn't installed as an entry point; if the host is set up, set it up too.

        Returns
        -------
        bool
            Whether it runs.  Where it doesn't it is disabled, or `failures` says why.
        """
        return self._register(plugin, name, f"{type(plugin).__module__}.{type(plugin).__qualname__}")

    def setup(self) -> None:
        """Set up each plugin in this process; one that raises is a failure, and the others run.

        Does nothing on a host that is set up.

        Raises
        ------
        ValueError
            The configuration has a section for a plugin that isn't there, running or failed.
        """
        if self._is_set_up:
            return
        for name in self._config:
            if name not in self._names_seen:
                nearest = difflib.get_close_matches(name, self._names_seen, n=1)
                hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
                there = ", ".join(sorted(self._names_seen)) or "none"
                raise ValueError(f"configuration for {name!r}, which is no plugin{hint}; there are: {there}")
        self._is_set_up = True
        for name in list(self._registered):
            self._set_up(name)

    def teardown(self) -> None:
        """Tear down each plugin that was set up, the last one first; one that raises is logged, no more."""
        if not self._is_set_up:
            return
        self._is_set_up = False
        for name, registered in reversed(list(self._registered.items())):
            caller = registered.callers.get("broker_plugin_teardown")
            try:
                if registered.is_set_up and caller is not None:
                    caller()
            except Exception:
                logger.exception("plugin %s: broker_plugin_teardown failed", name)
            registered.is_set_up = False

    def __enter__(self) -> Host:
        try:
            self.setup()
        except BaseException:
            self.teardown()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.teardown()

    def on_alerts(
        self, alerts: Sequence[AlertInput], context: AlertContext | None = None
    ) -> list[list[ClassificationRecord]]:
        """What every plugin says of each alert.

        A plugin is called once with the batch if it implements ``on_alerts``, else alert by alert if
        it implements ``on_alert``.  One that raises, or that doesn't return a list of records for
        each alert, gets a record with the status ``error`` and the reason ``plugin_failed`` for each
        alert that it failed; that is logged once.  ``KeyboardInterrupt`` and ``SystemExit`` pass.

        Returns
        -------
        list of list of ClassificationRecord
            One list for each alert, in the order given; in it the records of each plugin, in the
            order of registration.

        Raises
        ------
        RuntimeError
            The host isn't set up, or no plugin runs that takes alerts: they would vanish.
        """
        if not any(_ALERTS.one in r.callers or _ALERTS.many in r.callers for r in self._registered.values()):
            why = "; ".join(f"{f.name}: {f.error}" for f in self.failures) or "none is installed and enabled"
            raise RuntimeError(f"no plugin that takes alerts is running ({why})")
        return self._ask_all(_ALERTS, alerts, context)

    def on_alert(self, alert: AlertInput, context: AlertContext | None = None) -> list[ClassificationRecord]:
        """`on_alerts` of a batch of one."""
        return self.on_alerts([alert], context)[0]

    def on_object_updates(
        self, updates: Sequence[ObjectUpdate], context: AlertContext | None = None
    ) -> list[list[ClassificationRecord]]:
        """What every plugin that follows objects says of each update, in the manner of `on_alerts`.

        The lists are empty where no plugin implements ``on_object_updates`` or ``on_object_update``.
        """
        return self._ask_all(_UPDATES, updates, context)

    # Finding and taking plugins.

    def _load_entry_points(self, wanted: Sequence[str] | None) -> None:
        entries = sorted(metadata.entry_points(group=PROJECT_NAME), key=lambda entry: entry.name)
        installed = sorted({entry.name for entry in entries})
        self._names_seen.update(installed)
        if wanted is not None:
            entries = [entry for name in dict.fromkeys(wanted) for entry in entries if entry.name == name]
            for name in dict.fromkeys(wanted):
                if name not in installed and not self._manager.is_blocked(name):
                    there = ", ".join(installed) or "none"
                    self._fail(name, "", LookupError(f"no such entry point is installed; there are: {there}"))
        for entry in entries:
            if self._manager.is_blocked(entry.name):
                continue  # not even imported
            try:
                plugin = entry.load()
            except Exception as error:
                self._fail(entry.name, entry.value, error)
            else:
                self._register(plugin, entry.name, entry.value)

    def _register(self, plugin: object, name: str, value: str) -> bool:
        self._names_seen.add(name)
        if self._manager.is_blocked(name):
            return False
        try:
            hash(plugin)  # pluggy keeps plugins in sets
            self._manager.register(plugin, name)
            self._manager.check_pending()  # for hooks that no spec knows: a name misspelt
            info = self._ask_info(plugin)
        except Exception as error:
            if name not in self._registered:
                self._manager.unregister(name=name)
            self._fail(name, value, error)
            return False
        registered = self._registered[name] = _Registered(plugin, value, info)
        self._manager.register(registered.timer, f"{name} (timer)")
        self._renew_callers()
        return self._set_up(name) if self._is_set_up else True

    def _ask_info(self, plugin: object) -> StageInfo:
        caller = self._callers_of(plugin, timer=None).get("broker_plugin_info")
        if caller is None:
            raise TypeError("it does not implement broker_plugin_info")
        results = caller()
        if len(results) != 1 or not isinstance(results[0], StageInfo):
            returned = ", ".join(type(result).__name__ for result in results) or "nothing"
            raise TypeError(f"broker_plugin_info must return a StageInfo, and returned {returned}")
        info: StageInfo = results[0]
        if type(info.spec_version) is not int:
            raise TypeError(f"spec_version must be an int, and is {info.spec_version!r}")
        if not 1 <= info.spec_version <= SPEC_VERSION:
            raise ValueError(
                f"it was written for version {info.spec_version} of the hooks, and this host speaks 1 to {SPEC_VERSION}"
            )
        return info

    def _set_up(self, name: str) -> bool:
        registered = self._registered[name]
        caller = registered.callers.get("broker_plugin_setup")
        try:
            if caller is not None:
                caller(config=self._config.get(name, {}))
        except Exception as error:
            del self._registered[name]
            self._manager.unregister(name=name)
            self._manager.unregister(registered.timer)
            self._renew_callers()
            self._fail(name, registered.value, error)
            return False
        registered.is_set_up = True
        return True

    def _fail(self, name: str, value: str, error: Exception) -> None:
        self.failures.append(LoadFailure(name, value, _describe(error)))
        logger.error("plugin %s (%s) does not run: %s", name, value, _describe(error), exc_info=error)

    def _renew_callers(self) -> None:
        for registered in self._registered.values():
            registered.callers = self._callers_of(registered.plugin, registered.timer)

    def _callers_of(self, plugin: object, timer: _Timer | None) -> dict[str, pluggy.HookCaller]:
        """A caller for each hook that the plugin implements: it leaves out the other plugins, but not the wrappers.

        Plain pluggy calls all plugins in one go, and loses what the others returned if one raises.
        """
        callers = {}
        for hook in _HOOKS:
            implementations = getattr(self._manager.hook, hook).get_hookimpls()
            implementers = [i.plugin for i in implementations if not (i.wrapper or i.hookwrapper)]
            if not any(implementer is plugin for implementer in implementers):
                continue
            timers = [i.plugin for i in implementations if isinstance(i.plugin, _Timer)]
            others = [other for other in implementers + timers if other is not plugin and other is not timer]
            callers[hook] = self._manager.subset_hook_caller(hook, others)
        return callers

    # Calling them.

    def _ask_all(
        self, road: _Road, items: Sequence[Any], context: AlertContext | None
    ) -> list[list[ClassificationRecord]]:
        if not self._is_set_up:
            raise RuntimeError("the host is not set up: use it in a with statement, or call setup() in this process")
        # A tuple, so that no plugin can take an alert out of its neighbours' batch.
        items = tuple(items)
        merged: list[list[ClassificationRecord]] = [[] for _ in items]
        identities: dict[int, tuple[Identity, str | None]] = {}  # of the items that some plugin failed
        if not items:
            return merged
        for name, registered in list(self._registered.items()):
            answers = _ask(name, registered, road, items, context)
            faults = {i: answer for i, answer in enumerate(answers) if isinstance(answer, _Fault)}
            if faults:
                first = next(iter(faults.values()))
                count = f"{len(faults)} of {len(items)} {road.many_argument}"
                logger.error("%s (%s)", first.detail, count, exc_info=first.cause)
            for i, answer in enumerate(answers):
                if not isinstance(answer, _Fault):
                    merged[i] += answer
                    continue
                if i not in identities:
                    identities[i] = road.identify(items[i])
                merged[i].append(_error_record(registered.info, identities[i], answer, context))
        return merged


def _ask(
    name: str, registered: _Registered, road: _Road, items: Sequence[Any], context: AlertContext | None
) -> Sequence[list[ClassificationRecord] | _Fault]:
    """One answer for each item from one plugin; none if it implements neither hook of the road."""
    if road.many in registered.callers:
        answer = _call(name, registered, road.many, **{road.many_argument: items}, context=context)
        if isinstance(answer, _Fault):
            return [answer] * len(items)
        if not isinstance(answer, list) or len(answer) != len(items):
            got = f"{len(answer)} lists" if isinstance(answer, list) else type(answer).__name__
            wanted = f"one list of records for each of {len(items)} {road.many_argument}"
            return [_Fault(f"{name}: {road.many} returned {got}, not {wanted}")] * len(items)
        return [_checked(f"{name}: {road.many}", records) for records in answer]
    if road.one in registered.callers:
        return [
            _checked(
                f"{name}: {road.one}",
                _call(name, registered, road.one, **{road.one_argument: item}, context=context),
            )
            for item in items
        ]
    return []


def _call(name: str, registered: _Registered, hook: str, **arguments: Any) -> Any:
    """What the plugin's hook returned, None if it returned nothing, or what went wrong."""
    try:
        results = registered.callers[hook](**arguments)
    except Exception as error:
        return _Fault(f"{name}: {hook} raised {_describe(error)}", error)
    # A list of one, unless a wrapper made something else of it.
    return results[0] if isinstance(results, list) and len(results) == 1 else None


def _checked(what: str, records: Any) -> list[ClassificationRecord] | _Fault:
    if isinstance(records, _Fault):
        return records
    if not isinstance(records, list):
        return _Fault(f"{what} returned {type(records).__name__} in the place of a list of records")
    if not records:
        # What can't be classified has a record that says so; silence would lose the alert.
        return _Fault(f"{what} returned an empty list of records")
    for record in records:
        if not isinstance(record, ClassificationRecord):
            return _Fault(f"{what} returned {type(record).__name__} in the place of a record")
    return records


def _error_record(
    info: StageInfo, identified: tuple[Identity, str | None], fault: _Fault, context: AlertContext | None
) -> ClassificationRecord:
    identity, digest = identified
    record = unclassified(
        identity,
        Producer(name=info.name, version=info.version, kind="stage"),
        Reason.PLUGIN_FAILED,
        fault.detail,
        produced_at=datetime.now(timezone.utc),
        digest=digest,
    )
    # Not put into the identity, from which the record's id is made: a batch shares its context.
    if record.source is None and context is not None:
        record = replace(record, source=context.source)
    return record


def _describe(error: Exception) -> str:
    try:
        message = str(error)
    except Exception:
        message = "(its message can't be printed)"
    return f"{type(error).__name__}: {message}"


def _names_in(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
