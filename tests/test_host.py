"""The reference host: one bad plugin harms no other, every alert is accounted for."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from broker_plugin.alert import Identity, Reason
from broker_plugin.hookspecs import AlertContext, ObjectUpdate, StageInfo, hookimpl
from broker_plugin.host import Batcher, Host, LoadFailure
from broker_plugin.plugin import BrokerPlugin
from broker_plugin.records.build import Producer, unclassified
from broker_plugin.records.record import ClassificationRecord

from . import objects

ROOT = Path(__file__).parents[1]
GENEROUS_S = 30.0  # for what ought to take milliseconds, on a machine that others use


def make_record(alert: Any, name: str) -> ClassificationRecord:
    """A record that shows which plugin made it, and of what."""
    return unclassified(
        Identity(survey="ztf", alert_id=7),
        Producer(name, "1.0.0"),
        Reason.NO_CUTOUTS,
        repr(alert),
        produced_at=datetime(2024, 1, 1, tzinfo=timezone.utc),
    )


class Plain:
    """A plugin with a name and nothing else."""

    def __init__(self, name: str = "plain", spec_version: Any = 1) -> None:
        self.name = name
        self.spec_version = spec_version
        self.calls: list[Any] = []

    @hookimpl
    def broker_plugin_info(self):
        return StageInfo(self.name, "1.2.3", self.spec_version, ("ztf",))


class Batch(Plain):
    """Classifies batches; would also take one alert, and mustn't be asked to."""

    @hookimpl
    def broker_plugin_setup(self, config):
        self.calls.append(("setup", dict(config)))

    @hookimpl
    def broker_plugin_teardown(self):
        self.calls.append("teardown")

    @hookimpl
    def on_alert(self, alert):
        raise AssertionError("on_alert was called besides on_alerts")

    @hookimpl
    def on_alerts(self, alerts, context):
        self.calls.append(list(alerts))
        return self.answer(alerts)

    def answer(self, alerts):
        return [[make_record(alert, self.name)] for alert in alerts]


class Single(Plain):
    """Classifies alerts one by one, and can't bear some of them."""

    @hookimpl
    def on_alert(self, alert):
        self.calls.append(alert)
        if alert == b"poison":
            raise KeyError("candidate")
        return [make_record(alert, self.name)]


class Answering(Batch):
    """Answers a batch with whatever the test wants; calls it if it is a function."""

    def __init__(self, name: str, answer: Any) -> None:
        super().__init__(name)
        self._answer = answer

    def answer(self, alerts):
        return self._answer(alerts) if callable(self._answer) else self._answer


def raising(error: BaseException) -> Callable[[Any], Any]:
    def answer(alerts: Any) -> Any:
        raise error

    return answer


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_PLUGIN_LOAD", raising=False)
    monkeypatch.delenv("BROKER_PLUGIN_DISABLED", raising=False)


def make_host(*plugins: Plain, config: Any = None) -> Host:
    host = Host(config, load=())
    for plugin in plugins:
        assert host.register(plugin, plugin.name), host.failures
    return host


def told(results: list[list[ClassificationRecord]]) -> list[list[tuple[str, str | None]]]:
    return [[(r.classifier_name, r.reason) for r in records] for records in results]


# Calling.


def test_results_are_merged_per_alert_in_the_order_of_registration() -> None:
    with make_host(Batch("b"), Single("a"), Batch("c")) as host:
        results = host.on_alerts([b"1", b"2"])
        assert [[(r.classifier_name, r.detail) for r in records] for records in results] == [
            [("b", "b'1'"), ("a", "b'1'"), ("c", "b'1'")],
            [("b", "b'2'"), ("a", "b'2'"), ("c", "b'2'")],
        ]
        assert [(name, info.version) for name, info in host.plugins] == [("b", "1.2.3"), ("a", "1.2.3"), ("c", "1.2.3")]
        assert told([host.on_alert(b"1")]) == told(results[:1])


def test_a_plugin_is_asked_by_batch_or_by_alert_but_not_both() -> None:
    batch, single = Batch("batch"), Single("single")
    with make_host(batch, single) as host:
        host.on_alerts([b"1", b"2"])
    assert batch.calls == [("setup", {}), [b"1", b"2"], "teardown"]
    assert single.calls == [b"1", b"2"]


def test_an_empty_batch_asks_nobody() -> None:
    plugin = Batch("b")
    with make_host(plugin) as host:
        assert host.on_alerts([]) == []
    assert plugin.calls == [("setup", {}), "teardown"]


def test_a_plugin_can_not_take_alerts_from_the_others() -> None:
    def steal(alerts: Any) -> Any:
        alerts.clear()

    other = Batch("other")
    with make_host(Answering("thief", steal), other) as host:
        assert told(host.on_alerts([b"1"])) == [[("thief", "plugin_failed"), ("other", "no_cutouts")]]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (raising(ValueError("bad weights")), "bad: on_alerts raised ValueError: bad weights"),
        (raising(StopIteration()), "bad: on_alerts raised StopIteration"),
        ([[]], "1 lists, not one list of records for each of 2 alerts"),
        (lambda alerts: [[make_record(a, "bad")] for a in alerts] * 2, "4 lists"),
        (None, "returned NoneType"),
        ({}, "returned dict"),
        (lambda alerts: ([make_record(a, "bad")] for a in alerts), "returned generator"),
        (
            lambda alerts: [make_record(a, "bad") for a in alerts],
            "returned ClassificationRecord in the place of a list",
        ),
        (lambda alerts: [[{"status": "ok"}] for _ in alerts], "returned dict in the place of a record"),
        (lambda alerts: [[] for _ in alerts], "returned an empty list of records"),
    ],
)
def test_a_bad_answer_costs_only_its_plugins_results(answer: Any, detail: str, caplog: Any) -> None:
    with make_host(Batch("a"), Answering("bad", answer), Batch("c")) as host, caplog.at_level(logging.ERROR):
        results = host.on_alerts([b"1", b"2"])
    assert told(results) == [[("a", "no_cutouts"), ("bad", "plugin_failed"), ("c", "no_cutouts")]] * 2
    for records in results:
        assert (records[1].status, records[1].classifier_version, records[1].kind) == ("error", "1.2.3", "stage")
        assert detail in records[1].detail
        assert records[1].detail.startswith("bad: on_alerts ")
    assert len(caplog.records) == 1  # not one for each alert
    assert "2 of 2 alerts" in caplog.text
    assert len({records[1].record_id for records in results}) == 2


def test_only_the_bad_ones_among_the_answers_are_replaced() -> None:
    def answer(alerts: Any) -> Any:
        return [None if alert == b"2" else [make_record(alert, "half")] for alert in alerts]

    with make_host(Answering("half", answer)) as host:
        reasons = [records[0].reason for records in host.on_alerts([b"1", b"2", b"3"])]
    assert reasons == ["no_cutouts", "plugin_failed", "no_cutouts"]


def test_errors_of_single_alerts_cost_only_these_and_are_logged_once(caplog: Any) -> None:
    with make_host(Single("s")) as host, caplog.at_level(logging.ERROR):
        results = host.on_alerts([b"1", b"poison", b"2", b"poison"])
    assert [r.reason for [r] in results] == ["no_cutouts", "plugin_failed", "no_cutouts", "plugin_failed"]
    assert results[1][0].detail == "s: on_alert raised KeyError: 'candidate'"
    [entry] = caplog.records
    assert "2 of 4 alerts" in entry.getMessage()
    assert entry.exc_info[0] is KeyError


def test_error_records_say_which_alert_and_where_from() -> None:
    alert = {"schemavsn": "4.02", "publisher": "ZTF", "objectId": "ZTF18abc", "candid": 2345678901234567890}
    alert["candidate"] = {"candid": alert["candid"], "jd": 2459000.5, "fid": 1, "ra": 10.0, "dec": -3.0}
    with make_host(Answering("bad", raising(ValueError()))) as host:
        results = host.on_alerts([alert, b"junk", b"rubbish"], AlertContext(source="topic"))
    assert results[0][0].alert_id == 2345678901234567890
    assert results[0][0].object_id == "ZTF18abc"
    assert [r.source for [r] in results] == ["topic"] * 3
    assert len({r.record_id for [r] in results}) == 3


def test_an_exception_that_can_not_be_printed_is_still_a_record() -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with make_host(Answering("bad", raising(UnprintableError()))) as host:
        [[record]] = host.on_alerts([b"1"])
    assert "UnprintableError" in record.detail


def test_a_huge_message_is_cut() -> None:
    with make_host(Answering("bad", raising(ValueError("x" * 10**6)))) as host:
        [[record]] = host.on_alerts([b"1"])
    assert len(record.detail) < 1000


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupts_pass_through(error: type[BaseException]) -> None:
    plugin = Answering("bad", raising(error()))
    with pytest.raises(error), make_host(plugin) as host:
        host.on_alerts([b"1"])
    assert plugin.calls[-1] == "teardown"


def test_without_a_running_plugin_alerts_are_refused() -> None:
    with Host(load=["no-such-plugin"]) as host, pytest.raises(RuntimeError, match="no-such-plugin: LookupError"):
        host.on_alerts([b"1"])
    with make_host(Plain()) as host, pytest.raises(RuntimeError, match="none is installed and enabled"):
        host.on_alerts([b"1"])


def test_object_updates() -> None:
    class Objects(Plain):
        @hookimpl
        def on_object_updates(self, updates):
            self.calls.append(tuple(updates))
            return [[make_record(update.object_id, self.name)] for update in updates]

    class OneObject(Plain):
        @hookimpl
        def on_object_update(self, update, context):
            if update.object_id == "bad":
                raise ValueError("no")
            return [make_record(update.object_id, self.name)]

    updates = [ObjectUpdate("ZTF18a", "ztf"), ObjectUpdate("bad", "rubin", [b"junk"]), ObjectUpdate("bad", "ztf")]
    with make_host(Batch("alerts-only"), Objects("many"), OneObject("one")) as host:
        results = host.on_object_updates(updates)
        assert host.on_object_updates([]) == []
    assert told(results) == [
        [("many", "no_cutouts"), ("one", "no_cutouts")],
        [("many", "no_cutouts"), ("one", "plugin_failed")],
        [("many", "no_cutouts"), ("one", "plugin_failed")],
    ]
    assert [(r.survey, r.object_id) for r in (results[1][1], results[2][1])] == [("rubin", "bad"), ("ztf", "bad")]
    assert results[1][1].record_id != results[2][1].record_id
    with make_host(Batch("alerts-only")) as host:
        assert host.on_object_updates(updates) == [[], [], []]


def test_our_own_plugin_follows_objects(tiny_weights: Path, temporal_weights: Path) -> None:
    bundles = ["tiny-ztf", str(temporal_weights / "tiny-temporal-ztf" / "0.1.0")]
    settings = {"bundles": bundles, "weights": tiny_weights, "device": "cpu", "history": "memory:", "follow": True}
    host = Host({"broker-plugin": settings}, load=())
    assert host.register(BrokerPlugin(), "broker-plugin"), host.failures
    with host:
        results = host.on_alerts(objects.packets(3))
        updates = [ObjectUpdate(objects.OBJECT, "ztf"), ObjectUpdate("7", "rubin")]
        [[known], [unknown]] = host.on_object_updates(updates, AlertContext(source="topic"))
    assert [[(r.kind, r.detections_used) for r in records if r.kind == "temporal"] for records in results] == [
        [("temporal", 3)]
    ] * 3
    assert (known.status, known.detections_used, known.source) == ("ok", 3, "topic")
    assert (unknown.kind, unknown.reason) == ("stage", "unsupported_survey")


def test_many_threads_may_call() -> None:
    batches = [[str(i).encode()] * 3 for i in range(50)]
    answers: dict[int, Any] = {}
    with make_host(Batch("a"), Single("b")) as host:
        threads = [
            threading.Thread(target=lambda i=i: answers.setdefault(i, host.on_alerts(batches[i]))) for i in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GENEROUS_S)
        assert host.timings["a", "on_alerts"].count == 50
        assert host.timings["b", "on_alert"].count == 150
    assert all([r.detail for r in records] == [repr(batches[i][0])] * 2 for i in range(50) for records in answers[i])


# Wrappers and timings.


def test_wrappers_wrap_each_plugins_call() -> None:
    class Audit(Plain):
        @hookimpl(wrapper=True)
        def on_alerts(self, alerts):
            result = yield
            self.calls.append((len(alerts), result[0][0][0].classifier_name))
            return result

    audit = Audit("audit")
    with make_host(Batch("a"), audit, Batch("b")) as host:
        assert told(host.on_alerts([b"1"])) == [[("a", "no_cutouts"), ("b", "no_cutouts")]]
    assert audit.calls == [(1, "a"), (1, "b")]


@pytest.mark.parametrize("outcome", ["garbage", "error"])
def test_a_bad_wrapper_costs_the_calls_it_wraps_and_no_more(outcome: str) -> None:
    class Bad(Plain):
        @hookimpl(wrapper=True)
        def on_alerts(self, alerts):
            result = yield
            if result[0][0][0].classifier_name == "a":
                if outcome == "error":
                    raise ValueError("wrapper")
                return 17
            return result

    with make_host(Bad("bad"), Batch("a"), Batch("b")) as host:
        assert told(host.on_alerts([b"1"])) == [[("a", "plugin_failed"), ("b", "no_cutouts")]]


def test_timings_are_kept_by_plugin_and_hook() -> None:
    def slow(alerts: Any) -> Any:
        time.sleep(0.02)
        return [[make_record(alert, "slow")] for alert in alerts]

    with make_host(Answering("slow", slow), Batch("fast"), Answering("bad", raising(ValueError()))) as host:
        for _ in range(3):
            host.on_alerts([b"1", b"2"])
        timings = host.timings
    assert {key: timing.count for key, timing in timings.items() if key[1] != "broker_plugin_setup"} == {
        ("slow", "on_alerts"): 3,
        ("fast", "on_alerts"): 3,
        ("bad", "on_alerts"): 3,
    }
    slow_timing = timings["slow", "on_alerts"]
    assert 0.06 <= slow_timing.total_s <= 3 * slow_timing.max_s
    assert timings["fast", "on_alerts"].total_s < slow_timing.total_s
    assert timings["slow", "broker_plugin_setup"].count == 1


# Registration, setup, teardown.


@pytest.mark.parametrize(
    ("version", "error"),
    [(2, "version 2 of the hooks"), (0, "version 0"), ("1", "must be an int"), (True, "must be an int"), (None, "int")],
)
def test_spec_version_is_checked(version: Any, error: str) -> None:
    host = Host(load=())
    assert not host.register(Plain("odd", spec_version=version), "odd")
    [failure] = host.failures
    assert failure.name == "odd"
    assert error in failure.error
    assert failure.value.endswith("Plain")


class NoInfo:
    @hookimpl
    def on_alerts(self, alerts):
        return [[] for _ in alerts]


class WrongInfo:
    @hookimpl
    def broker_plugin_info(self):
        return {"name": "wrong"}


class InfoRaises:
    @hookimpl
    def broker_plugin_info(self):
        raise OSError("no manifest")


class Misspelt(Plain):
    @hookimpl
    def on_alertz(self, alerts):
        return []


class WrongArgument(Plain):
    @hookimpl
    def on_alerts(self, packets):
        return []


@dataclass
class Unhashable:
    name: str = "unhashable"

    @hookimpl
    def broker_plugin_info(self):
        return StageInfo("unhashable", "1.0.0", 1, ("ztf",))


@pytest.mark.parametrize(
    ("plugin", "error"),
    [
        (NoInfo(), "does not implement broker_plugin_info"),
        (WrongInfo(), "must return a StageInfo, and returned dict"),
        (InfoRaises(), "OSError: no manifest"),
        (Misspelt(), "unknown hook 'on_alertz'"),
        (WrongArgument(), "packets"),
        (Unhashable(), "unhashable type"),
        (Batch, "missing 1 required positional argument"),
        (object(), "does not implement broker_plugin_info"),
        (None, "does not implement broker_plugin_info"),
    ],
)
def test_a_plugin_that_can_not_be_registered_is_reported_and_the_rest_run(plugin: Any, error: str) -> None:
    host = make_host(Batch("a"))
    assert not host.register(plugin, "odd")
    assert error in host.failures[0].error
    assert host.register(Batch("b"), "odd")  # the name is free, and nothing of the odd one is left
    with host:
        assert told(host.on_alerts([b"1"])) == [[("a", "no_cutouts"), ("b", "no_cutouts")]]


def test_a_name_or_plugin_taken_twice_is_reported_and_the_first_stays() -> None:
    plugin = Batch("a")
    host = make_host(plugin)
    assert not host.register(Batch("other"), "a")
    assert not host.register(plugin, "b")
    assert not host.register(plugin, "a")
    assert ["already registered" in failure.error for failure in host.failures] == [True] * 3
    with host:
        assert told(host.on_alerts([b"1"])) == [[("a", "no_cutouts")]]


class SetupFails(Batch):
    @hookimpl
    def broker_plugin_setup(self, config):
        raise OSError("no GPU")


def test_a_failed_setup_is_reported_and_the_rest_run(caplog: Any) -> None:
    failing, good = SetupFails("failing"), Batch("good")
    with make_host(failing, good) as host:
        assert [name for name, _ in host.plugins] == ["good"]
        assert host.failures == [LoadFailure("failing", f"{__name__}.SetupFails", "OSError: no GPU")]
        assert told(host.on_alerts([b"1"])) == [[("good", "no_cutouts")]]
        assert host.register(Batch("late"), "late")
        assert not host.register(SetupFails("late too"), "late too")
        assert told(host.on_alerts([b"1"])) == [[("good", "no_cutouts"), ("late", "no_cutouts")]]
    assert failing.calls == []  # what was not set up is not torn down
    assert "no GPU" in caplog.text


def test_an_interrupted_setup_tears_down_what_was_set_up() -> None:
    class Interrupted(Batch):
        @hookimpl
        def broker_plugin_setup(self, config):
            raise KeyboardInterrupt

    first, last = Batch("first"), Batch("last")
    with pytest.raises(KeyboardInterrupt), make_host(first, Interrupted("interrupted"), last):
        pass
    assert first.calls == [("setup", {}), "teardown"]
    assert last.calls == []


def test_a_failed_teardown_is_logged_and_the_others_are_torn_down(caplog: Any) -> None:
    class TeardownFails(Batch):
        @hookimpl
        def broker_plugin_teardown(self):
            raise ValueError("stuck")

    first = Batch("first")
    with make_host(first, TeardownFails("bad")):
        pass
    assert first.calls[-1] == "teardown"
    assert "stuck" in caplog.text


def test_each_plugin_gets_its_own_section_of_the_configuration() -> None:
    a, b = Batch("a"), Batch("b")
    with make_host(a, b, config={"a": {"device": "cpu"}}):
        pass
    assert (a.calls[0], b.calls[0]) == (("setup", {"device": "cpu"}), ("setup", {}))


def test_configuration_for_no_plugin_raises() -> None:
    with pytest.raises(ValueError, match=r"'stampp', which is no plugin \(did you mean 'stamp'\?\)"):
        make_host(Batch("stamp"), config={"stampp": {}}).setup()


def test_a_host_must_be_set_up_and_can_be_again() -> None:
    plugin = Batch("a")
    host = make_host(plugin)
    with pytest.raises(RuntimeError, match="not set up"):
        host.on_alerts([b"1"])
    for _ in range(2):
        with host:
            host.setup()  # does nothing
            assert len(host.on_alerts([b"1"])) == 1
        host.teardown()  # does nothing
    assert plugin.calls == [("setup", {}), [b"1"], "teardown"] * 2


# Entry points.

GOOD = """
from datetime import datetime, timezone
from broker_plugin.alert import Reason
from broker_plugin.hookspecs import StageInfo, hookimpl
from broker_plugin.packets import identify
from broker_plugin.records.build import Producer, unclassified

@hookimpl
def broker_plugin_info():
    return StageInfo("good-stage", "0.1.0", 1, ("ztf",))

@hookimpl
def on_alerts(alerts):
    now = datetime.now(timezone.utc)
    who = Producer("good-stage", "0.1.0")
    return [
        [unclassified(identify(a)[0], who, Reason.NO_CUTOUTS, "good", produced_at=now)] for a in alerts
    ]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages with one distribution: a plugin that works, one that doesn't, and nothing else is there."""
    (tmp_path / "good_stage.py").write_text(GOOD)
    (tmp_path / "broken_stage.py").write_text("import a_module_that_is_not_there\n")
    info = tmp_path / "some_stages-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-stages\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[broker_plugin]\nzgood = good_stage\nbroken = broken_stage\nabsent = good_stage:nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    real = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda **kwargs: real(path=[str(tmp_path)], **kwargs))
    yield tmp_path
    for name in ("good_stage", "broken_stage"):
        sys.modules.pop(name, None)


def test_a_broken_entry_point_is_reported_and_the_rest_run(installed: Path) -> None:
    with Host() as host:
        assert [(name, info.name) for name, info in host.plugins] == [("zgood", "good-stage")]
        assert [(f.name, f.value, f.error.split(":")[0]) for f in host.failures] == [
            ("absent", "good_stage:nothing", "AttributeError"),
            ("broken", "broken_stage", "ModuleNotFoundError"),
        ]
        assert told(host.on_alerts([b"1"])) == [[("good-stage", "no_cutouts")]]


def test_load_names_what_is_loaded_and_in_which_order(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(load=["zgood"])
    assert ([name for name, _ in host.plugins], host.failures) == (["zgood"], [])
    assert [f.name for f in Host(load=["broken", "zgood", "absent"]).failures] == ["broken", "absent"]
    assert "broken_stage" not in sys.modules
    monkeypatch.setenv("BROKER_PLUGIN_LOAD", " zgood, missing,")
    host = Host()
    assert [name for name, _ in host.plugins] == ["zgood"]
    assert [f.name for f in host.failures] == ["missing"]
    assert "there are: absent, broken, zgood" in host.failures[0].error
    assert Host(load=()).plugins == []  # an argument goes before the variable
    monkeypatch.setenv("BROKER_PLUGIN_LOAD", "")
    assert len(Host().failures) == 2


def test_disabled_plugins_are_not_even_imported(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(disabled=["broken", "absent"])
    assert ([name for name, _ in host.plugins], host.failures) == (["zgood"], [])
    monkeypatch.setenv("BROKER_PLUGIN_DISABLED", "zgood,given,broken")
    sys.modules.pop("good_stage", None)
    host = Host({"zgood": {}}, load=["zgood", "broken"], disabled=["absent"])
    assert (host.plugins, host.failures) == ([], [])
    assert "good_stage" not in sys.modules
    assert not host.register(Batch("given"), "given")  # the variable holds for these too
    host.setup()  # a section for a disabled plugin is no error
    assert (host.plugins, host.failures) == ([], [])


def test_two_distributions_with_one_name_run_the_first(installed: Path) -> None:
    info = installed / "more_stages-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more-stages\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[broker_plugin]\nzgood = good_stage\n")
    host = Host(load=["zgood"])
    assert [name for name, _ in host.plugins] == ["zgood"]
    assert "already registered" in host.failures[0].error


def test_the_example_broker(installed: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = installed / "some_stages-1.0.dist-info" / "entry_points.txt"
    entries.write_text("[broker_plugin]\nzgood = good_stage\n")
    folder = tmp_path / "packets" / "ztf"
    folder.mkdir(parents=True)
    for name in ("2.avro", "1.avro", "labels.csv"):
        (folder / name).write_bytes(b"junk")
    example = ROOT / "examples" / "mini_broker.py"
    monkeypatch.setattr(sys, "argv", [str(example), str(folder.parent)])
    runpy.run_path(str(example), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ") for line in lines] == [
        [os.path.join("ztf", "1.avro"), "good-stage: skipped, good"],
        [os.path.join("ztf", "2.avro"), "good-stage: skipped, good"],
    ]


def test_the_plugin_in_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = (ROOT / "docs" / "hooks.md").read_text().split("```python\n")[1:]
    [code] = [block.split("```")[0] for block in blocks if block.startswith("# hemisphere.py")]
    assert sum(1 for line in code.splitlines() if line and not line.startswith(("#", "from", "import"))) <= 17
    (tmp_path / "hemisphere.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    import hemisphere  # type: ignore[import-not-found]

    packet = {"schemavsn": "4.02", "publisher": "ZTF", "objectId": "ZTF18abc", "candid": 11}
    packet["candidate"] = {"candid": 11, "jd": 2459000.5, "fid": 1, "ra": 10.0, "dec": -3.0}
    with make_host() as host:
        assert host.register(hemisphere, "hemisphere"), host.failures
        [[south], [unreadable]] = host.on_alerts([packet, b"junk"])
    sys.modules.pop("hemisphere")
    assert (south.class_name, south.probability("south"), south.alert_id) == ("south", 1.0, 11)
    assert unreadable.reason == "missing_field"


def test_batches_for_a_host() -> None:
    plugin = Batch("a")
    with make_host(plugin) as host, Batcher(host, max_batch=3, max_wait_ms=1e9) as batcher:
        futures = [batcher.submit(alert) for alert in (b"1", b"2", b"3")]
        assert [f.result(GENEROUS_S)[0].detail for f in futures] == ["b'1'", "b'2'", "b'3'"]
    assert plugin.calls[1] == [b"1", b"2", b"3"]
