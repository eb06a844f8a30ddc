"""Our own plugin: what it says before it is set up, what it makes of its configuration, how it guards a fork."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
import types
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from broker_plugin import plugin as plugin_module
from broker_plugin._version import __version__
from broker_plugin.alert import Identity, Reason
from broker_plugin.hookspecs import AlertContext, BrokerPluginSpec, ObjectUpdate, StageInfo
from broker_plugin.plugin import BrokerPlugin
from broker_plugin.records.build import Producer, unclassified

DOCS = Path(__file__).parents[1] / "docs" / "hooks.md"
PACKETS = Path(__file__).parents[1] / "examples" / "packets"

needs_stage = pytest.mark.skipif(
    importlib.util.find_spec("broker_plugin.stage") is None or importlib.util.find_spec("tensorflow") is None,
    reason="needs the stage and TensorFlow",
)


class FakeStage:
    """Says of each alert only that it saw it; ``b"known"`` comes with a source of its own."""

    manifests = (SimpleNamespace(survey="ztf", kind="stamp"),)

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.batches: list[list[Any]] = []
        self.asked: list[tuple[bool, Any]] = []
        self.closed = 0

    def require_following(self) -> None:
        if self.options["bundles"] == ["stamp"]:
            raise ValueError("objects can't be followed")

    def close(self) -> None:
        self.closed += 1

    def on_object_updates(self, updates):
        return self.on_alerts([update.object_id for update in updates])

    def on_alerts(self, alerts, follow=False, fields=None):
        self.asked.append((follow, fields))
        self.batches.append(list(alerts))
        now = datetime.now(timezone.utc)
        return [
            [
                unclassified(
                    Identity(source="night.tar/1.avro" if alert == b"known" else None),
                    Producer("fake", "1.0.0"),
                    Reason.UNREADABLE,
                    repr(alert),
                    produced_at=now,
                    digest="00",
                )
            ]
            for alert in alerts
        ]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[FakeStage]:
    """The stages loaded so far; loading takes no time and no TensorFlow."""
    made: list[FakeStage] = []

    def load_stage(
        bundles=None, *, device="auto", precision="float32", max_batch=128, threads=None, weights=None
    ) -> FakeStage:
        made.append(FakeStage({"bundles": bundles, "device": device, "max_batch": max_batch}))
        return made[-1]

    module = types.ModuleType("broker_plugin.stage")
    module.load_stage = load_stage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broker_plugin.stage", module)
    return made


@pytest.fixture
def plugin() -> BrokerPlugin:
    return BrokerPlugin()


def test_info_before_setup_is_read_from_the_manifests(
    plugin: BrokerPlugin, stages: list[FakeStage], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = (("ztf", "stamp"), ("rubin", "stamp"), ("ztf", "temporal"))
    bundles = [SimpleNamespace(manifest=SimpleNamespace(survey=survey, kind=kind)) for survey, kind in kinds]
    monkeypatch.setattr(plugin_module, "find_bundles", lambda: bundles)
    assert plugin.broker_plugin_info() == StageInfo("broker-plugin", __version__, 1, ("rubin", "ztf"), True, 1)
    assert not stages


def test_info_after_setup_tells_what_is_loaded(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    plugin.broker_plugin_setup({})
    info = plugin.broker_plugin_info()
    assert (info.surveys, info.min_detections) == (("ztf",), 1)


def test_a_stage_of_temporal_classifiers_alone_needs_two_detections(
    plugin: BrokerPlugin, stages: list[FakeStage], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.broker_plugin_setup({})
    monkeypatch.setattr(stages[0], "manifests", (SimpleNamespace(survey="ztf", kind="temporal"),))
    assert plugin.broker_plugin_info().min_detections == 2


def test_works_with_a_brokers_own_manager(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    manager = pluggy.PluginManager("broker_plugin")
    manager.add_hookspecs(BrokerPluginSpec)
    manager.register(plugin, "broker-plugin")
    manager.check_pending()
    manager.hook.broker_plugin_setup(config={"device": "cpu"})
    [results] = manager.hook.on_alerts(alerts=[b"a", b"b"], context=None)
    assert [[r.detail for r in records] for records in results] == [["b'a'"], ["b'b'"]]
    [records] = manager.hook.on_alert(alert=b"c", context=None)
    assert [r.detail for r in records] == ["b'c'"]
    assert stages[0].batches == [[b"a", b"b"], [b"c"]]
    [results] = manager.hook.on_object_updates(updates=[ObjectUpdate("ZTF18a", "ztf")], context=None)
    assert [[r.detail for r in records] for records in results] == [["'ZTF18a'"]]
    [records] = manager.hook.on_object_update(update=ObjectUpdate("ZTF18b", "ztf"), context=None)
    assert [r.detail for r in records] == ["'ZTF18b'"]
    manager.hook.broker_plugin_teardown()


def test_config_reaches_the_stage(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    plugin.broker_plugin_setup({"device": "gpu:0", "max_batch": 32, "bundles": ["stamp"]})
    assert stages[0].options == {"bundles": ["stamp"], "device": "gpu:0", "max_batch": 32}


@pytest.mark.parametrize("config", [None, {}])
def test_config_may_be_empty(plugin: BrokerPlugin, stages: list[FakeStage], config: dict[str, Any] | None) -> None:
    plugin.broker_plugin_setup(config)
    assert stages[0].options["device"] == "auto"


def test_unknown_config_key_raises_with_the_nearest(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    with pytest.raises(ValueError, match=r"'devise' \(did you mean 'device'\?\), 'zzz'; there are bundles, device"):
        plugin.broker_plugin_setup({"devise": "cpu", "zzz": 1, "threads": 1})
    assert not stages


def test_setup_again_loads_anew_and_a_failure_keeps_the_old(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    plugin.broker_plugin_setup({})
    with pytest.raises(ValueError, match="nonsense"):
        plugin.broker_plugin_setup({"nonsense": 1})
    plugin.on_alerts([b"a"], None)
    plugin.broker_plugin_setup({"device": "cpu"})
    plugin.on_alerts([b"b"], None)
    assert [stage.batches for stage in stages] == [[[b"a"]], [[b"b"]]]
    assert [stage.closed for stage in stages] == [1, 0]


def test_call_before_setup_or_after_teardown_raises(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    with pytest.raises(RuntimeError, match="broker_plugin_setup"):
        plugin.on_alerts([b"a"], None)
    plugin.broker_plugin_setup({})
    plugin.broker_plugin_teardown()
    plugin.broker_plugin_teardown()
    assert stages[0].closed == 1
    with pytest.raises(RuntimeError, match="broker_plugin_setup"):
        plugin.on_alert(b"a", None)


def test_call_in_a_forked_child_raises(
    plugin: BrokerPlugin, stages: list[FakeStage], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.broker_plugin_setup({})
    parent = os.getpid()
    monkeypatch.setattr(plugin_module.os, "getpid", lambda: parent + 1)
    with pytest.raises(RuntimeError, match=f"in process {parent} .* after the fork"):
        plugin.on_alerts([b"a"], None)
    plugin.broker_plugin_setup({})
    assert len(plugin.on_alerts([b"a"], None)) == 1


def test_context_fills_in_the_source(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    plugin.broker_plugin_setup({})
    alerts = [b"a", b"known"]
    results = plugin.on_alerts(alerts, AlertContext(source="ztf_20240101_programid1"))
    assert [records[0].source for records in results] == ["ztf_20240101_programid1", "night.tar/1.avro"]
    assert [records[0].source for records in plugin.on_alerts(alerts, AlertContext())] == [None, "night.tar/1.avro"]


def test_context_brings_the_brokers_fields(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    plugin.broker_plugin_setup({})
    plugin.on_alerts([b"a"], AlertContext(fields=[{"w1mpro": 11.0}]))
    assert stages[0].asked == [(False, [{"w1mpro": 11.0}])]


def test_objects_are_followed_where_the_configuration_says_so(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    plugin.broker_plugin_setup({"follow": True})
    plugin.on_alerts([b"a"], None)
    plugin.broker_plugin_setup({"follow": False})
    plugin.on_alerts([b"a"], None)
    assert [stage.asked for stage in stages] == [[(True, None)], [(False, None)]]


def test_setup_refuses_to_follow_where_that_can_not_be(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    with pytest.raises(ValueError, match="can't be followed"):
        plugin.broker_plugin_setup({"follow": True, "bundles": ["stamp"]})


def test_context_fills_in_the_source_of_updates(plugin: BrokerPlugin, stages: list[FakeStage]) -> None:
    plugin.broker_plugin_setup({})
    [[record]] = plugin.on_object_updates([ObjectUpdate("ZTF18a", "ztf")], AlertContext(source="topic"))
    assert record.source == "topic"


def test_the_entry_points_target() -> None:
    assert isinstance(plugin_module.plugin, BrokerPlugin)


@needs_stage
def test_real_stage_documents_its_config_keys() -> None:
    from broker_plugin.stage import load_stage

    section = DOCS.read_text().split("## Configuration")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [
        *inspect.signature(load_stage).parameters,
        "follow",
    ]


@needs_stage
def test_real_stage_accounts_for_every_alert(plugin: BrokerPlugin) -> None:
    paths = sorted(PACKETS.rglob("*.avro"))[:3]
    alerts = [b"", *(path.read_bytes() for path in paths), b"garbage", {"candid": 1}]
    plugin.broker_plugin_setup({"device": "cpu"})
    try:
        results = plugin.on_alerts(alerts, AlertContext(source="a test"))
        assert len(results) == len(alerts)
        assert all(records for records in results)
        assert {record.status for record in results[0] + results[-2]} == {"error"}
        assert set(plugin.broker_plugin_info().surveys) >= {r.survey for rs in results for r in rs if r.status == "ok"}
    finally:
        plugin.broker_plugin_teardown()
