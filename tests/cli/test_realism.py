from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker_plugin.simulation import write_packets

from .running import Run


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    list(write_packets(folder, "ztf", 60, seed=8))
    return folder


def test_simulated_alerts_are_like_simulated_alerts(run: Run, night: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    wishes = ("--labels", night / "labels.csv", "--survey", "ztf", "-n", 100, "--report", tmp_path / "report")
    result = run("realism", night, *wishes)
    assert result.exit_code == 0, result.output
    assert "60 real and 100 simulated alerts" in result.stderr
    numbers = json.loads((tmp_path / "report" / "realism.json").read_text(encoding="utf-8"))
    assert numbers["auc"]["all"] < 0.7
    assert (tmp_path / "report" / "index.html").is_file()


def test_alerts_of_the_other_survey_are_too_few(run: Run, night: Path, tmp_path: Path) -> None:
    wishes = ("--labels", night / "labels.csv", "--survey", "rubin", "-n", 100, "--report", tmp_path / "report")
    result = run("realism", night, *wishes)
    assert result.exit_code == 2
    assert "too few objects" in result.stderr
