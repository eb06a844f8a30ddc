"""Running commands, in this process and in one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker_plugin.cli import main

from .running import EXAMPLES, Options, Run, RunProgram


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_PLUGIN_WEIGHTS", "BROKER_PLUGIN_LOAD", "BROKER_PLUGIN_DISABLED", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny(tiny_weights: Path) -> Options:
    """Options that choose the tiny bundles, whatever else is found."""
    return ("--weights", str(tiny_weights), "--bundle", "tiny-ztf", "--bundle", "tiny-rubin")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process; an exception that is no exit is raised."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def invoke(*arguments: object, **environment: str) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="broker-plugin", env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def run_program() -> RunProgram:
    """Runs a command in a process of its own."""

    def invoke(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "broker_plugin.cli", *map(str, arguments)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return invoke


@pytest.fixture(scope="session")
def ztf_packet() -> Path:
    return EXAMPLES / "ztf" / "3035176385315015033.avro"


@pytest.fixture(scope="session")
def rubin_packet() -> Path:
    return EXAMPLES / "rubin" / "170358262798749277.avro"


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of three ZTF packets."""
    import tarfile

    path = tmp_path_factory.mktemp("night") / "night.tar"
    with tarfile.open(path, "w") as archive:
        for packet in sorted((EXAMPLES / "ztf").iterdir())[:3]:
            archive.add(packet, packet.name)
    return path
