from __future__ import annotations

from importlib import metadata

import pytest

from broker_plugin import __version__

from .running import Run


def test_our_own_is_listed(run: Run) -> None:
    result = run("plugins")
    assert result.exit_code == 0
    assert any(line.split()[:3] == ["broker-plugin", __version__, "1"] for line in result.stdout.splitlines())


def test_one_that_does_not_load(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = metadata.EntryPoint("bad-one", "no_such_module:plugin", "broker_plugin")
    monkeypatch.setattr(metadata, "entry_points", lambda **_: metadata.EntryPoints([bad]))
    result = run("plugins")
    assert result.exit_code == 0
    assert "no stages found" in result.stdout
    assert "no_such_module:plugin" in result.stdout
    assert "ModuleNotFoundError" in result.stdout
    assert "Traceback" not in result.output
