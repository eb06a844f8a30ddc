from __future__ import annotations

from pathlib import Path

from .running import EXAMPLES, Run, RunProgram


def test_designs_writes_results_and_a_figure(run_program: RunProgram, tmp_path: Path) -> None:
    arguments = ("train", "designs", EXAMPLES / "ztf", "--labels", EXAMPLES / "ztf" / "labels.csv", "-o", tmp_path)
    budget = ("--pretraining", 0, "--iterations", 1, "--simulated", 1, "--folds", 2)
    result = run_program(*arguments, *budget, "--design", "metadata alone")
    assert result.returncode == 0, result.stderr
    assert "metadata alone, fold 2 of 2" in result.stderr
    assert result.stdout == f"{tmp_path / 'designs.png'} shows 1 design\n"
    assert (tmp_path / "designs.jsonl").read_text().count("\n") == 2


def test_a_design_that_is_not_there(run: Run, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("broker_plugin.cli.designs._compute_on_one_core", lambda: None)
    labels = EXAMPLES / "ztf" / "labels.csv"
    result = run("train", "designs", EXAMPLES / "ztf", "--labels", labels, "-o", tmp_path, "--design", "huge")
    assert result.exit_code == 2
    assert "no design 'huge'; there are fast, " in result.stderr
