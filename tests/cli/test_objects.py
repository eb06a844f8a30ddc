from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .running import Options, Run

OBJECT = "ZTF21abcdefg"


@pytest.fixture(scope="session")
def bundle(temporal_weights: Path) -> Options:
    return ("--bundle", str(temporal_weights / "tiny-temporal-ztf" / "0.1.0"))


@pytest.fixture
def store(run: Run, bundle: Options, object_packets: list[Path], tmp_path: Path) -> Path:
    """A store that knows four detections of an object, the first two by the history of the third; one has stamps."""
    path = tmp_path / "objects.db"
    result = run(
        "classify", *object_packets[2:], "-o", tmp_path / "out.jsonl", *bundle, "--follow", "--store", f"sqlite:{path}"
    )
    assert result.exit_code == 0
    return path


def test_detections_are_listed_by_time(run: Run, bundle: Options, store: Path, object_packets: list[Path]) -> None:
    result = run("object", OBJECT, "--store", store, *bundle, "--no-classify")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()[4:8]]
    history, packet = ["+", "no", "history"], ["packet", "not", "looked", "up"]
    assert [row[0] for row in rows] == [path.parent.name for path in object_packets]
    assert rows[0][1:] == ["59000.0000", "2020-05-31", "00:00", "g", "19.00", "0.10", *history]
    assert rows[3][1:] == ["59009.3750", "2020-06-09", "09:00", "r", "18.25", "0.10", "+", "yes", *packet]
    assert [row[8:10] for row in rows] == [["no", "history"]] * 2 + [["no", "packet"], ["yes", "packet"]]


def test_probabilities_move_as_detections_come(run: Run, bundle: Options, store: Path) -> None:
    result = run("object", OBJECT, "--store", store, *bundle)
    lines = result.stdout.splitlines()
    rows = [line.split() for line in lines[lines.index("tiny-temporal-ztf/0.1.0") + 4 :] if line.strip()]
    assert [row[:3] for row in rows] == [["3", "3", "0"], ["4", "4", "3"]]
    assert all(sum(map(float, row[3:6])) == pytest.approx(1.0, abs=2e-3) for row in rows)
    assert rows[0][3:6] != rows[1][3:6]


def test_the_last_answer_is_that_of_the_road(run: Run, bundle: Options, store: Path) -> None:
    """What is said of all that is known is what `classify --follow` said of the object's newest alert."""
    seen = json.loads(run("object", OBJECT, "--store", store, *bundle, "--json").stdout)
    last = seen["courses"]["tiny-temporal-ztf/0.1.0"][-1]
    records = [json.loads(line) for line in (store.parent / "out.jsonl").read_text().splitlines()]
    said = next(record for record in records if record["alert_id"] == last["alert_id"])
    for field in ("record_id", "classifications", "detections_used", "stamps_used", "imputed_features", "allwise"):
        assert last[field] == said[field], field


def test_json_has_what_is_measured(run: Run, bundle: Options, store: Path) -> None:
    seen = json.loads(run("object", OBJECT, "--store", store, *bundle, "--json", "--no-classify").stdout)
    assert (seen["survey"], seen["object_id"], seen["mjd_scale"]) == ("ztf", OBJECT, "utc")
    newest = seen["detections"][-1]
    assert newest["mag"] == pytest.approx(18.25, abs=1e-5)
    assert newest["mag_error"] == pytest.approx(0.1, abs=1e-5)
    assert newest["flux_njy"] == pytest.approx(10 ** (0.4 * (31.4 - 18.25)), rel=1e-5)
    assert (newest["is_positive"], newest["has_stamps"], newest["from_packet"]) == (True, True, True)
    assert "courses" not in seen


def test_one_of_each_exposure_is_shown(
    run: Run, bundle: Options, store: Path, object_packets: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from broker_plugin.history.sqlite import SqliteStore

    recall = SqliteStore.recall
    monkeypatch.setattr(SqliteStore, "recall", lambda self, keys: [2 * detections for detections in recall(self, keys)])
    seen = json.loads(run("object", OBJECT, "--store", store, *bundle, "--json").stdout)
    assert [str(one["alert_id"]) for one in seen["detections"]] == [path.parent.name for path in object_packets]
    assert [one["detections_used"] for one in seen["courses"]["tiny-temporal-ztf/0.1.0"]] == [3, 4]


def test_without_classifiers_there_is_no_tensorflow(bundle: Options, store: Path) -> None:
    arguments = ["object", OBJECT, "--store", str(store), *bundle, "--no-classify"]
    code = f"""
import sys
from click.testing import CliRunner
from broker_plugin.cli import main
result = CliRunner().invoke(main, {arguments!r})
assert result.exit_code == 0, result.output
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_figure(run: Run, bundle: Options, store: Path, tmp_path: Path) -> None:
    png = tmp_path / "object.png"
    assert run("object", OBJECT, "--store", store, *bundle, "--png", png).exit_code == 0
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_one_detection(run: Run, bundle: Options, object_packets: list[Path], tmp_path: Path) -> None:
    store, png = tmp_path / "one.db", tmp_path / "one.png"
    run("classify", object_packets[0], "-o", tmp_path / "o.jsonl", *bundle, "--follow", "--store", store)
    result = run("object", OBJECT, "--store", store, *bundle, "--png", png)
    assert result.exit_code == 0
    assert "one detection of the object is known, and two are needed" in result.stdout
    assert png.exists()


def test_rubin(run: Run, temporal_weights: Path, rubin_packet: Path, tmp_path: Path) -> None:
    """A store that two surveys share is opened for one of them; fluxes, and times in TAI."""
    store = tmp_path / "both.db"
    both = [option for s in ("ztf", "rubin") for option in ("--bundle", temporal_weights / f"tiny-temporal-{s}/0.1.0")]
    followed = run("classify", rubin_packet.parent, "-o", tmp_path / "o.jsonl", *both, "--follow", "--store", store)
    assert followed.exit_code == 0
    records = map(json.loads, (tmp_path / "o.jsonl").read_text().splitlines())
    known = next(record for record in records if record["status"] == "ok")
    png = tmp_path / "object.png"
    text = run("object", known["object_id"], "--store", store, *both[2:], "--png", png).stdout
    assert "flux (nJy)" in text and "MJD (TAI)" in text
    assert f"{known['alert_id']}" in text
    assert png.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ZTF18aaaaaaa", "--store", "objects.db"], "objects.db holds no object ZTF18aaaaaaa of ztf"),
        ([OBJECT, "--store", "nonesuch.db"], "nonesuch.db: there is no store of objects"),
        ([OBJECT, "--store", "memory:"], "a store in memory ends with the process"),
        ([OBJECT, "--store", "out.jsonl"], "out.jsonl: file is not a database"),
        (["SN2011fe", "--store", "objects.db"], "SN2011fe may be an object of any survey: say which with --survey"),
        ([OBJECT, "--survey", "rubin", "--store", "objects.db"], "temporal bundle for rubin"),
    ],
)
def test_what_is_not_there(
    run: Run, bundle: Options, store: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(store.parent)
    before = sorted(store.parent.iterdir())
    result = run("object", *arguments, *bundle)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(store.parent.iterdir()) == before  # above all, no store was made


def test_a_store_of_another_form(run: Run, bundle: Options, store: Path, tmp_path: Path) -> None:
    other = shutil.copytree(bundle[1], tmp_path / "other")
    manifest = json.loads((other / "bundle.json").read_text())
    (other / "bundle.json").write_text(json.dumps(manifest | {"preprocessing_version": "2.0"}))
    result = run("object", OBJECT, "--store", store, "--bundle", other)
    assert result.exit_code == 2
    assert "the model or its preprocessing is another" in result.stderr
