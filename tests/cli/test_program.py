"""What holds of every command: help at once, errors in one line, no TensorFlow where none is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broker_plugin import __version__

from .running import Options, Run, RunProgram

COMMANDS = [
    (),
    ("classify",),
    ("inspect",),
    ("schema",),
    ("schema", "show"),
    ("schema", "validate"),
    ("weights",),
    ("weights", "list"),
    ("weights", "verify"),
    ("plugins",),
    ("train",),
    ("train", "stamp"),
    ("evaluate",),
    ("explain",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_has_an_example(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "For example:\n" in result.stdout
    assert " ".join(["broker-plugin", *command[:1]]) in result.stdout.split("For example:")[1]


def test_help_imports_nothing_heavy() -> None:
    arguments = [sys.executable, "-X", "importtime", "-m", "broker_plugin.cli", "classify", "--help"]
    imported = subprocess.run(arguments, capture_output=True, text=True, check=True).stderr
    modules = {line.rpartition("|")[2].strip() for line in imported.splitlines()}
    assert "click" in modules
    assert not modules & {"tensorflow", "keras", "numpy", "rich", "fastavro", "matplotlib", "astropy"}


def test_plugins_imports_no_tensorflow() -> None:
    code = """
import sys
from click.testing import CliRunner
from broker_plugin.cli import main
assert CliRunner().invoke(main, ["plugins"]).exit_code == 0
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"broker-plugin {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classify", "nowhere.avro", "-o", "out.avro"], "nowhere.avro: no such file or folder"),
        (["classify"], "Missing argument"),
        (["classify", "tests", "-o", "out.csv"], "the suffix must be .avro, .jsonl, .parquet"),
        (["classify", "tests", "-o", "nowhere/out.avro"], "the folder of nowhere/out.avro does not exist"),
        (["classify", "tests", "-o", "x.avro", "--schema-cache", "c"], "give --schema-registry URL too"),
        (["classify", "tests", "-o", "x.avro", "--wieghts", "c"], "--weights"),
        (["clasify"], "classify"),
        (["inspect", "nowhere.avro"], "nowhere.avro: no such file"),
        (["inspect", "tests"], "tests is a folder"),
        (["inspect", "x.avro", "--png", "x.jpg"], "must end in .png"),
        (["schema", "validate", "nowhere.avro"], "no such file"),
        (["schema", "validate", "pyproject.toml"], "the suffix must be"),
        (["schema", "show", "--version", "9.9"], "no version '9.9'"),
        (["weights", "list", "--weights", "nowhere"], "'nowhere' does not exist"),
        (["train", "stamp", "x.avro", "--labels", "y.csv", "-o", "z", "--survey", "ztf"], "x.avro: no such file"),
    ],
)
def test_bad_arguments_are_told_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(request.config.rootpath)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("broker-plugin: ")
    assert said in result.stderr


def test_a_problem_is_one_line_whatever_tensorflow_says(
    run_program: RunProgram, tiny: Options, ztf_packet: Path, tmp_path: Path
) -> None:
    done = run_program("classify", ztf_packet, "-o", tmp_path / "out.avro", *tiny, "--device", "gpu:99")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("broker-plugin: device gpu:99 was asked for; TensorFlow sees ")
    assert done.stderr.count("\n") == 1
