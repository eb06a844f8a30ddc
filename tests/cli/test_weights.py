from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .running import Run


@pytest.fixture
def weights(tiny_weights: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(tiny_weights, tmp_path / "weights"))


def test_list(run: Run, tiny_weights: Path) -> None:
    result = run("weights", "list", "--weights", tiny_weights)
    assert result.exit_code == 0
    (row,) = (line for line in result.stdout.splitlines() if "tiny-ztf/0.1.0" in line.split())
    for said in ("ztf", "stamp", "AGN, SN, VS", "float32, bfloat16", "given", str(tiny_weights)):
        assert said in row


def test_list_shows_broken_ones(run: Run, weights: Path) -> None:
    (weights / "tiny-ztf" / "0.1.0" / "bundle.json").write_text("{")
    result = run("weights", "list", "--weights", weights)
    assert result.exit_code == 0
    assert "not a bundle manifest" in result.stdout
    assert "tiny-rubin/0.1.0" in result.stdout


def test_verify(run: Run, weights: Path) -> None:
    assert run("weights", "verify", "--weights", weights).exit_code == 0
    (weights / "tiny-ztf" / "0.1.0" / "MODEL_CARD.md").write_text("changed")
    result = run("weights", "verify", "--weights", weights)
    assert result.exit_code == 1
    assert "MODEL_CARD.md is not the file that the manifest names" in result.stdout
    assert "1 failed" in result.stdout
