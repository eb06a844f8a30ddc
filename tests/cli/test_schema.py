from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker_plugin.records.schema import load_schema

from .running import Options, Run


@pytest.fixture
def records(run: Run, tiny: Options, ztf_packet: Path, tmp_path: Path) -> Path:
    out = tmp_path / "records.jsonl"
    assert run("classify", ztf_packet, "-o", out, *tiny).exit_code == 0
    return out


def test_show(run: Run) -> None:
    assert json.loads(run("schema", "show").stdout) == load_schema()
    assert json.loads(run("schema", "show", "--version", "1.0").stdout) == load_schema("1.0")


def test_a_good_file(run: Run, records: Path) -> None:
    result = run("schema", "validate", records)
    assert (result.exit_code, result.output) == (0, "1 record valid\n")


@pytest.mark.parametrize("suffix", [".avro", ".jsonl", ".parquet"])
def test_a_file_of_an_older_version(run: Run, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    result = run("schema", "validate", Path(__file__).parents[1] / "records" / "stored" / f"1.0{suffix}")
    assert (result.exit_code, result.output) == (0, "2 records valid\n")


def test_a_bad_file(run: Run, records: Path) -> None:
    bad = json.loads(records.read_text()) | {"class_probability": 2.0}
    records.write_text((json.dumps(bad) + "\n") * 25)
    result = run("schema", "validate", records)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("line 1 (")
    assert "class_probability is 2.0" in lines[0]
    assert lines[-1] == "and 5 problems more"
