"""The contract between a broker and a classification stage: the hooks, version 1.

``docs/hooks.md`` says it at length, for the broker's side and for the plugin's.
"""
# The specs have a docstring for a body: pluggy reads their signatures and never calls them.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pluggy

from broker_plugin.alert import Alert
from broker_plugin.alert import ObjectUpdate as ObjectUpdate  # part of the contract, though the stage knows it too
from broker_plugin.records.record import ClassificationRecord

PROJECT_NAME = "broker_plugin"
"""Name of the pluggy project, and of the entry-point group that plugins stand in."""

SPEC_VERSION = 1
"""Grows when a hook or an argument is added; a plugin states the version it was written for."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)

AlertInput: TypeAlias = bytes | Mapping[str, Any] | Alert
"""What a broker has of an alert: the bytes off the wire, a decoded record, or an `Alert`."""


@dataclass(frozen=True, slots=True)
class StageInfo:
    """Who a plugin is, and which alerts it has something to say about."""

    name: str
    version: str
    spec_version: int
    surveys: tuple[str, ...]
    needs_cutouts: bool = True
    min_detections: int = 1


@dataclass(frozen=True, slots=True)
class AlertContext:
    """What a broker knows of a batch and the packets don't say.

    ``source`` is the topic or file they came from; ``fields`` is what it knows of each alert, for ``on_alerts``: its
    AllWISE counterpart, as ``docs/crossmatch.md`` has it, or None.
    """

    source: str | None = None
    fields: Sequence[Mapping[str, Any] | None] | None = None


class BrokerPluginSpec:
    """The hooks.  None is ``firstresult``: classifiers live side by side, and each record says whose it is."""

    @hookspec
    def broker_plugin_info(self) -> StageInfo:
        """Say who the plugin is; called at registration, before setup, so it has to be quick."""

    @hookspec
    def broker_plugin_setup(self, config: Mapping[str, Any]) -> None:
        """Load models and warm up; called once in each process, after any fork."""

    @hookspec
    def on_alert(self, alert: AlertInput, context: AlertContext | None) -> list[ClassificationRecord]:
        """Classify one alert."""

    @hookspec
    def on_alerts(self, alerts: Sequence[AlertInput], context: AlertContext | None) -> list[list[ClassificationRecord]]:
        """Classify a batch, the main road: one list of records for each alert, in the order given."""

    @hookspec
    def on_object_update(self, update: ObjectUpdate, context: AlertContext | None) -> list[ClassificationRecord]:
        """Classify one object that gained a detection."""

    @hookspec
    def on_object_updates(
        self, updates: Sequence[ObjectUpdate], context: AlertContext | None
    ) -> list[list[ClassificationRecord]]:
        """Classify a batch of objects: one list of records for each update, in the order given."""

    @hookspec
    def broker_plugin_teardown(self) -> None:
        """Let go of what setup took; called once, at shutdown."""
