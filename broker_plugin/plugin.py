"""Our own classifiers as a plugin.  They come in by the entry point that anybody's would: ``broker-plugin``."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from broker_plugin._version import NAME, __version__
from broker_plugin.bundles import find_bundles
from broker_plugin.hookspecs import AlertContext, AlertInput, ObjectUpdate, StageInfo, hookimpl
from broker_plugin.records.record import ClassificationRecord

if TYPE_CHECKING:
    from broker_plugin.stage import Stage


_FOLLOW = "follow"


class BrokerPlugin:
    """The stage behind the hooks.

    It holds nothing until it is set up, and TensorFlow isn't imported before that: a broker may
    import it, register it and ask who it is in a parent process, then fork.
    """

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._follow = False
        self._pid: int | None = None

    @hookimpl
    def broker_plugin_info(self) -> StageInfo:
        """Name, version and surveys: before setup those of the installed bundles, after it those of the loaded ones."""
        manifests = [b.manifest for b in find_bundles()] if self._stage is None else self._stage.manifests
        return StageInfo(
            name=NAME,
            version=__version__,
            spec_version=1,
            surveys=tuple(sorted({manifest.survey for manifest in manifests})),
            min_detections=2 if manifests and all(manifest.kind == "temporal" for manifest in manifests) else 1,
        )

    @hookimpl
    def broker_plugin_setup(self, config: Mapping[str, Any] | None) -> None:
        """Import TensorFlow, load the bundles, verify them and warm up.

        A second call loads anew with the configuration it is given; the first stage serves until
        the new one is ready.

        Parameters
        ----------
        config
            The arguments of `broker_plugin.stage.load_stage` by name, all of them optional; and ``follow``: whether
            `on_alerts` gives a record of each alert's object too, as `Stage.on_alerts` does.

        Raises
        ------
        ValueError
            A key is not one of those; the message gives the nearest that are.  Or objects are to be followed, and
            can't be.
        """
        # Imported here, since a process that only asks who we are shouldn't pay for what it brings in.
        from broker_plugin.stage import load_stage

        options = dict(config or {})
        _check_keys(options, [*inspect.signature(load_stage).parameters, _FOLLOW])
        follow = bool(options.pop(_FOLLOW, False))
        stage = load_stage(**options)
        if follow:
            stage.require_following()
        before = self._stage
        self._stage, self._follow, self._pid = stage, follow, os.getpid()
        if before is not None:
            before.close()

    @hookimpl
    def on_alert(self, alert: AlertInput, context: AlertContext | None) -> list[ClassificationRecord]:
        """The records of one alert: `on_alerts` of a batch of one."""
        return self.on_alerts([alert], context)[0]

    @hookimpl
    def on_alerts(self, alerts: Sequence[AlertInput], context: AlertContext | None) -> list[list[ClassificationRecord]]:
        """One list of records for each alert, in the order given; a bad packet gets a record that says why.

        Raises
        ------
        RuntimeError
            The plugin isn't set up in this process.
        """
        fields = None if context is None else context.fields
        results = self._ready_stage().on_alerts(alerts, follow=self._follow, fields=fields)
        return _with_source(results, context)

    @hookimpl
    def on_object_update(self, update: ObjectUpdate, context: AlertContext | None) -> list[ClassificationRecord]:
        """The records of one object: `on_object_updates` of a batch of one."""
        return self.on_object_updates([update], context)[0]

    @hookimpl
    def on_object_updates(
        self, updates: Sequence[ObjectUpdate], context: AlertContext | None
    ) -> list[list[ClassificationRecord]]:
        """One list of records for each object, in the order given; a bad update gets a record that says why.

        Raises
        ------
        RuntimeError
            The plugin isn't set up in this process.
        """
        return _with_source(self._ready_stage().on_object_updates(updates), context)

    @hookimpl
    def broker_plugin_teardown(self) -> None:
        """Let go of the models, and close what objects are remembered in."""
        if self._stage is not None:
            self._stage.close()
        self._stage = self._pid = None

    def _ready_stage(self) -> Stage:
        # No lazy setup: it would hide seconds of loading, and any fault of the configuration or the
        # weights, behind the first alert of the night.
        if self._stage is None:
            raise RuntimeError(f"{NAME} is not set up: call the hook broker_plugin_setup first")
        # TensorFlow's threads don't survive a fork, and the first call in the child would hang for ever.
        if self._pid != os.getpid():
            raise RuntimeError(
                f"{NAME} was set up in process {self._pid} and called in process {os.getpid()}:"
                " call the hook broker_plugin_setup in each process, after the fork"
            )
        return self._stage


def _check_keys(options: Mapping[str, Any], known: Collection[str]) -> None:
    problems = []
    for key in options:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=2)
            problems.append(f"{key!r}" + (f" (did you mean {' or '.join(map(repr, nearest))}?)" if nearest else ""))
    if problems:
        raise ValueError(f"{NAME}: no such configuration key: {', '.join(problems)}; there are {', '.join(known)}")


def _with_source(
    results: list[list[ClassificationRecord]], context: AlertContext | None
) -> list[list[ClassificationRecord]]:
    """The records, those that don't say where they come from with the source of the batch."""
    if context is None or context.source is None:
        return results
    source = context.source
    return [[r if r.source is not None else replace(r, source=source) for r in records] for records in results]


plugin = BrokerPlugin()
"""What the entry point names.  One for a process, whichever managers it is registered with."""
