"""The wheel by itself: weights and schemas inside, Keras not needed."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_weights_and_schemas(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for survey in ("ztf", "rubin"):
        assert f"broker_plugin/_weights/stamp-{survey}/0.1.0/bundle.json" in names
        assert f"broker_plugin/_weights/stamp-{survey}/0.1.0/saved_model/saved_model.pb" in names
    for version in ("1.0", "1.1"):
        assert f"broker_plugin/_schemas/classification/{version}.avsc" in names
    assert "broker_plugin/evaluation/templates/report.html.j2" in names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "weights/"))]


@pytest.mark.slow
def test_an_empty_venv_classifies_without_keras(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, timeout=600)
    # Keras comes with TensorFlow; a module of its name that does not import stands in front of it.
    (tmp_path / "blocked" / "keras").mkdir(parents=True)
    (tmp_path / "blocked" / "keras" / "__init__.py").write_text("raise ImportError('Keras is not here')\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    packets = REPOSITORY / "examples" / "packets"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "blocked")}

    blocked = subprocess.run([python, "-c", "import keras"], env=environment, capture_output=True)
    assert blocked.returncode != 0
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "broker-plugin", "classify", str(packets), "-o", "-"],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 40
    assert {record["status"] for record in records} == {"ok"}
