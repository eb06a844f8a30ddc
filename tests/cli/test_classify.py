from __future__ import annotations

import functools
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import broker_plugin.stage
from broker_plugin.records.readers import read_records
from broker_plugin.records.validation import validate_file, validate_record

from .running import EXAMPLES, Options, Run, RunProgram


@pytest.mark.parametrize("suffix", [".avro", ".jsonl", ".parquet"])
def test_every_packet_gets_its_record(run: Run, tiny: Options, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"records{suffix}"
    result = run("classify", EXAMPLES, "-o", out, *tiny, "--batch", 16)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert list(validate_file(out)) == []
    sources = [record["source"] for record in read_records(out)]
    assert sorted(sources) == sorted(str(path) for path in EXAMPLES.rglob("*.avro"))


def test_the_summary_says_what_came_of_them(run: Run, tiny: Options, tmp_path: Path) -> None:
    (tmp_path / "bad.avro").write_bytes(b"no packet")
    (tmp_path / "notes.txt").write_text("not read")
    out = tmp_path / "records.jsonl"
    result = run("classify", EXAMPLES / "ztf", tmp_path, "-o", out, *tiny)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert "tiny-ztf/0.1.0 ok 20" in lines
    assert any(line.startswith("broker-plugin/") and "error unreadable 1" in line for line in lines)
    assert any("bad.avro: neither an Avro container" in line for line in lines)
    assert "3 files passed over: allwise.csv, labels.csv, notes.txt" in lines
    assert any(line.startswith("21 packets, 21 records in ") and "alerts/s" in line for line in lines)
    assert any("reading, classifying and writing; loading the models took" in line for line in lines)


def test_quiet_says_nothing(run: Run, tiny: Options, ztf_packet: Path, tmp_path: Path) -> None:
    result = run("classify", ztf_packet, "-o", tmp_path / "records.avro", *tiny, "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_an_error_is_a_failure_only_if_strict(run: Run, tiny: Options, tmp_path: Path) -> None:
    packet = tmp_path / "bad.avro"
    packet.write_bytes(b"no packet")
    arguments = ("classify", packet, "-o", tmp_path / "records.avro", *tiny)
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "--strict").exit_code == 3
    assert len(list(read_records(tmp_path / "records.avro"))) == 1


def test_bundles_are_chosen_by_name(run: Run, tiny_weights: Path, rubin_packet: Path, tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    result = run("classify", rubin_packet, "-o", out, "--weights", tiny_weights, "--bundle", "tiny-ztf")
    assert result.exit_code == 0
    (record,) = read_records(out)
    assert (record["status"], record["reason"]) == ("skipped", "unsupported_survey")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--device", "tpu", "is not auto, cpu, gpu or gpu:N"),
        ("--device", "gpu:99", "gpu:99 was asked for"),
        ("--precision", "int3", "it has float32, bfloat16"),
        ("--bundle", "no-such", "found: "),
        ("--datum-schema", "lsst.v99_9", "is neither an .avsc file nor one of"),
        ("--schema-registry", "localhost", "must begin with http"),
    ],
)
def test_settings_that_cannot_be(
    run: Run, tiny: Options, ztf_packet: Path, tmp_path: Path, option: str, value: str, said: str
) -> None:
    result = run("classify", ztf_packet, "-o", tmp_path / "out.avro", *tiny, option, value)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_packets(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not read")
    result = run("classify", tmp_path, "-o", tmp_path / "out.avro")
    assert result.exit_code == 2
    assert f"no packets found in {tmp_path}" in result.stderr
    assert "passed over: notes.txt" in result.stderr
    assert not (tmp_path / "out.avro").exists()


def test_an_archive_without_packets_leaves_no_file(run: Run, tiny: Options, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "empty.tar", "w") as archive:
        archive.add(EXAMPLES, "packets", recursive=False)
    result = run("classify", tmp_path / "empty.tar", "-o", tmp_path / "out.avro", *tiny)
    assert result.exit_code == 2
    assert "no packets found" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.tar"]


def test_a_broken_bundle_is_told(run: Run, tiny_weights: Path, ztf_packet: Path, tmp_path: Path) -> None:
    broken = tmp_path / "weights" / "broken" / "1.0.0"
    broken.mkdir(parents=True)
    (broken / "bundle.json").write_text("{}")
    arguments = ("classify", ztf_packet, "-o", tmp_path / "out.avro", "--weights", tmp_path / "weights")
    result = run(*arguments, BROKER_PLUGIN_WEIGHTS=str(tiny_weights))
    assert result.exit_code == 0
    assert "passed over a broken bundle" in result.stderr


# Following objects


@pytest.fixture
def temporal(tiny_weights: Path, temporal_weights: Path) -> Options:
    """Options that choose the tiny bundles, a temporal one among them."""
    folder = temporal_weights / "tiny-temporal-ztf" / "0.1.0"
    return ("--weights", str(tiny_weights), "--bundle", "tiny-ztf", "--bundle", str(folder))


def test_objects_are_followed(run: Run, temporal: Options, object_packets: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    result = run("classify", *object_packets, EXAMPLES / "ztf", "-o", out, *temporal, "--follow")
    assert result.exit_code == 0
    assert list(validate_file(out)) == []
    records = [record for record in read_records(out) if record["kind"] == "temporal"]
    assert [(r["status"], r["detections_used"], r["allwise"]) for r in records[:4]] == [("ok", 4, "absent")] * 4
    lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert any(line.startswith("tiny-temporal-ztf/0.1.0 ok ") for line in lines)
    assert any(line.startswith("tiny-temporal-ztf/0.1.0 skipped too_few_detections ") for line in lines)
    assert any(line.startswith("24 packets, 48 records in ") for line in lines)


def test_a_store_remembers_from_one_run_to_the_next(
    run: Run, temporal: Options, object_packets: list[Path], tmp_path: Path
) -> None:
    arguments = ("-o", tmp_path / "out.jsonl", *temporal, "--follow", "--store", f"sqlite:{tmp_path / 'objects.db'}")
    assert run("classify", object_packets[0], *arguments).exit_code == 0
    assert run("classify", object_packets[1], *arguments).exit_code == 0
    assert run("classify", object_packets[3], *arguments).exit_code == 0
    stamp, temporal_record = read_records(tmp_path / "out.jsonl")
    assert (stamp["kind"], temporal_record["detections_used"], temporal_record["stamps_used"]) == ("stamp", 4, 9)


def test_without_following_nothing_is_said_of_objects(
    run: Run, temporal: Options, object_packets: list[Path], tmp_path: Path
) -> None:
    assert run("classify", *object_packets, "-o", tmp_path / "out.jsonl", *temporal).exit_code == 0
    assert [record["kind"] for record in read_records(tmp_path / "out.jsonl")] == ["stamp"] * 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "memory:"], "--store is for following objects: give --follow too"),
        (["--allwise", "."], "--allwise is for following objects: give --follow too"),
        (["--follow", "--store", "nonesuch/objects.db"], "nonesuch/objects.db: there is no folder"),
        (["--follow", "--store", "ftp://objects"], "names no store"),
        (["--follow", "--allwise", "."], "properties"),
    ],
)
def test_settings_for_following_that_cannot_be(
    run: Run, temporal: Options, ztf_packet: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    result = run("classify", ztf_packet, "-o", tmp_path / "out.avro", *temporal, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_following_needs_a_temporal_bundle(run: Run, tiny: Options, ztf_packet: Path, tmp_path: Path) -> None:
    result = run("classify", ztf_packet, "-o", tmp_path / "out.avro", *tiny, "--follow")
    assert result.exit_code == 2
    assert "need a temporal classifier, and none is loaded" in result.stderr


def test_an_interrupt_leaves_no_half_file(
    run: Run, tiny: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = broker_plugin.stage.Stage.on_alerts
    calls = []

    def interrupted(self, alerts, **named):  # type: ignore[no-untyped-def]
        calls.append(len(alerts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, alerts, **named)

    monkeypatch.setattr(broker_plugin.stage.Stage, "on_alerts", interrupted)
    arguments = ("classify", EXAMPLES / "ztf", *tiny, "--batch", 8)
    result = run(*arguments, "-o", tmp_path / "out.avro")
    assert result.exit_code == 130
    assert "interrupted after 8 packets" in result.stderr
    assert "tiny-ztf/0.1.0" in result.stderr
    assert list(tmp_path.iterdir()) == []

    calls.clear()
    result = run(*arguments, "-o", "-")
    assert result.exit_code == 130
    assert len(result.stdout.splitlines()) == 8


def test_standard_output_is_records_alone(run_program: RunProgram, tiny: Options) -> None:
    done = run_program("classify", EXAMPLES / "ztf", "-o", "-", *tiny)
    assert done.returncode == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 20
    assert all(validate_record(record) == [] for record in records)
    assert "20 packets, 20 records" in done.stderr
    assert "cuda" not in done.stderr.lower()
    assert "\x1b" not in done.stderr  # no bar where nobody looks


def test_a_reader_that_goes_is_no_error(tiny: Options) -> None:
    arguments = [sys.executable, "-m", "broker_plugin.cli", "classify", str(EXAMPLES), "--batch", "4", "-o", "-"]
    arguments += [*tiny]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=60)


def test_a_terminal_gets_a_bar_and_ctrl_c_is_heeded(tiny: Options, tmp_path: Path) -> None:
    """The real thing: a terminal on standard error, and an interrupt in the midst of the work."""
    for copy in range(60):
        folder = tmp_path / "packets" / str(copy)
        folder.mkdir(parents=True)
        for packet in (EXAMPLES / "ztf").iterdir():
            (folder / packet.name).symlink_to(packet)
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "broker_plugin.cli", "classify", str(tmp_path / "packets")]
    arguments += ["-o", str(tmp_path / "out.avro"), "--batch", "1", *tiny]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    shown = b""
    # Where the tests run in the background, interrupts are ignored, and a new program inherits that.
    heeded = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(arguments, stderr=theirs, env=environment, preexec_fn=heeded) as process:
        os.close(theirs)
        deadline = time.monotonic() + 60
        interrupted = False
        while time.monotonic() < deadline:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if b"alerts/s" in shown and not interrupted:
                interrupted = True
                process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
    os.close(ours)
    assert b"loading the models" in shown
    assert b"interrupted after" in shown
    assert b"Traceback" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["packets"]
