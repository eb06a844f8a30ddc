"""The contract itself: what brokers and plugins were built against must not move."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pluggy
import pytest

from broker_plugin import hookspecs
from broker_plugin.hookspecs import AlertContext, BrokerPluginSpec, ObjectUpdate, StageInfo, hookimpl

VERSION_1 = {
    "broker_plugin_info": (),
    "broker_plugin_setup": ("config",),
    "on_alert": ("alert", "context"),
    "on_alerts": ("alerts", "context"),
    "on_object_update": ("update", "context"),
    "on_object_updates": ("updates", "context"),
    "broker_plugin_teardown": (),
}


@pytest.fixture
def manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("broker_plugin")
    manager.add_hookspecs(BrokerPluginSpec)
    return manager


def test_hooks_of_version_1_and_their_arguments(manager: pluggy.PluginManager) -> None:
    assert hookspecs.SPEC_VERSION == 1
    assert {name: tuple(caller.spec.argnames) for name, caller in vars(manager.hook).items()} == VERSION_1


def test_no_hook_stops_at_the_first_result(manager: pluggy.PluginManager) -> None:
    assert not any(caller.spec.opts["firstresult"] for caller in vars(manager.hook).values())


def test_every_hook_says_what_it_is_for() -> None:
    assert all(getattr(BrokerPluginSpec, name).__doc__ for name in VERSION_1)


def test_a_plugin_may_take_fewer_arguments(manager: pluggy.PluginManager) -> None:
    class Plugin:
        @hookimpl
        def on_alerts(self, alerts):
            return [[len(alert)] for alert in alerts]

    manager.register(Plugin())
    assert manager.hook.on_alerts(alerts=[b"ab", b"c"], context=None) == [[[2], [1]]]


def test_a_plugin_may_not_take_other_arguments(manager: pluggy.PluginManager) -> None:
    class Plugin:
        @hookimpl
        def on_alerts(self, packets):
            return packets

    with pytest.raises(pluggy.PluginValidationError, match="packets"):
        manager.register(Plugin())


@pytest.mark.parametrize(
    "value",
    [StageInfo("a", "1.0.0", 1, ("ztf",)), AlertContext("ztf_20240101"), ObjectUpdate("ZTF18aaaaaaa", "ztf")],
)
def test_types_are_frozen(value: object) -> None:
    name = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")


def test_importing_the_contract_imports_no_tensorflow() -> None:
    code = (
        "import sys, broker_plugin.hookspecs, broker_plugin.plugin, broker_plugin.host;"
        "bad = {'tensorflow', 'keras', 'broker_plugin.stage'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
