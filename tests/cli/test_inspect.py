from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fastavro
import numpy as np
import pytest
from rich.console import Console

from broker_plugin.alert import Alert
from broker_plugin.cli.drawing import NO_DATA, colours, draw, fit
from broker_plugin.cli.terminal import bar, printable
from broker_plugin.evaluation.stretch import stretch_of
from broker_plugin.packets import PacketFiles, PacketReader, read_stamp

from .running import Options, Run


def test_ztf(run: Run, tiny: Options, ztf_packet: Path) -> None:
    result = run("inspect", ztf_packet, *tiny)
    assert result.exit_code == 0
    text = result.stdout
    for said in ("science", "63 x 63", ztf_packet.stem, "ztf.alert 4.02", "magpsf", "mag", "upper limits"):
        assert said in text
    assert "tiny-ztf/0.1.0, float32, novelty" in text
    assert "tiny-rubin" not in text
    assert text.isascii()  # no terminal: nothing that a file or a pipe could not show
    assert "@" in text


def test_rubin(run: Run, tiny: Options, rubin_packet: Path) -> None:
    text = run("inspect", rubin_packet, *tiny).stdout
    for said in ("psfFlux", "nJy", "variance", "PSF", "clockwise from up", "TAI", "asteroid"):
        assert said in text


def test_temporal_bundles_are_not_asked_about_one_packet(
    run: Run, temporal_weights: Path, ztf_packet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PLUGIN_WEIGHTS", str(temporal_weights))
    text = run("inspect", ztf_packet).stdout
    assert "stamp-ztf/" in text and "temporal" not in text


def test_without_classifiers_there_is_no_tensorflow(ztf_packet: Path) -> None:
    code = f"""
import sys
from click.testing import CliRunner
from broker_plugin.cli import main
result = CliRunner().invoke(main, ["inspect", {str(ztf_packet)!r}, "--no-classify"])
assert result.exit_code == 0, result.output
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_json(run: Run, tiny: Options, rubin_packet: Path) -> None:
    seen = json.loads(run("inspect", rubin_packet, "--json", *tiny).stdout)
    assert seen["alert_id"] == int(rubin_packet.stem)
    assert seen["stamps"]["science"]["shape"] == [30, 30]
    assert seen["values"]["isDipole"] is False
    assert seen["science_planes"]["psf_shape"] == [41, 41]
    (record,) = seen["records"]
    assert sum(item["probability"] for item in record["classifications"]) == pytest.approx(1.0)


def test_a_packet_of_an_archive(run: Run, night: Path) -> None:
    def source(name: object, *options: object) -> str:
        found = json.loads(run("inspect", name, *options, "--no-classify", "--json").stdout)["source"]
        assert isinstance(found, str)
        return found

    member = source(f"{night}#1")
    assert source(night, "--index", 1) == member
    assert source(member) == member  # what a record calls it finds it again
    assert source(night) != member
    assert "several packets" in run("inspect", night, "--no-classify").stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [("#3", "holds 3 packets, numbered from 0"), ("/no.avro", "holds no packet 'no.avro'")],
)
def test_a_packet_that_is_not_there(run: Run, night: Path, name: str, said: str) -> None:
    result = run("inspect", f"{night}{name}")
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_rejected_packet(run: Run, tmp_path: Path) -> None:
    packet = tmp_path / "bad.avro"
    packet.write_bytes(b"no packet")
    result = run("inspect", packet)
    assert result.exit_code == 0
    assert "error: unreadable" in result.stdout
    assert "neither an Avro container" in result.stdout
    assert json.loads(run("inspect", packet, "--json").stdout)["rejected"]["reason"] == "unreadable"
    result = run("inspect", packet, "--png", tmp_path / "bad.png")
    assert result.exit_code == 1
    assert "is not drawn" in result.stderr


def test_a_bad_history_does_not_hide_the_rest(run: Run, ztf_packet: Path, tmp_path: Path) -> None:
    with ztf_packet.open("rb") as file:
        reader = fastavro.reader(file)
        schema, (record,) = reader.writer_schema, list(reader)
    record["prv_candidates"][0] |= {"candid": 1, "jd": float("inf")}  # a detection; upper limits are only counted
    packet = tmp_path / "bad_history.avro"
    with packet.open("wb") as file:
        fastavro.writer(file, schema, [record])
    text = run("inspect", packet, "--no-classify").stdout
    assert "63 x 63" in text
    assert "prv_candidates[0].jd" in text


@pytest.mark.parametrize("survey", ["ztf", "rubin"])
def test_figure(run: Run, tiny: Options, tmp_path: Path, survey: str, ztf_packet: Path, rubin_packet: Path) -> None:
    png = tmp_path / "alert.png"
    packet = ztf_packet if survey == "ztf" else rubin_packet
    result = run("inspect", packet, "--png", png, *tiny)
    assert result.exit_code == 0
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_figure_without_matplotlib(run: Run, ztf_packet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("inspect", ztf_packet, "--png", tmp_path / "a.png")
    assert result.exit_code == 2
    assert result.stderr == "broker-plugin: --png needs matplotlib: pip install 'broker-plugin[plot]'\n"


def _terminal(width: int) -> Console:
    return Console(force_terminal=True, color_system="truecolor", width=width, legacy_windows=False, no_color=False)


def test_a_terminal_gets_half_blocks_the_right_way_up(ztf_packet: Path) -> None:
    (alert,) = PacketFiles([ztf_packet], PacketReader())
    assert isinstance(alert, Alert)
    pixels = read_stamp(alert, "science").pixels.copy()
    pixels[-1, 0] = np.nan  # the last row is the highest
    lines = draw(pixels, "science", 80, _terminal(80)).split("\n")
    assert (len(lines), len(lines[0].plain)) == (32, 63)
    assert set(lines[0].plain) == {"▀"}
    (span,) = (span for span in lines[0].spans if span.start == 0)
    assert span.style.color.triplet == NO_DATA  # type: ignore[union-attr]


def test_plain_text_shows_missing_pixels() -> None:
    pixels = np.arange(16.0).reshape(4, 4)
    pixels[2:, :2] = np.nan
    plain = Console(force_terminal=False, width=80)
    lines = draw(pixels, "science", 4, plain).plain.split("\n")
    assert lines[0][:2] == "//"
    assert "/" not in lines[1]


def test_blank_stamps_are_drawn() -> None:
    for pixels in (np.full((5, 5), np.nan), np.zeros((5, 5))):
        assert stretch_of(pixels, "science") is None
        draw(pixels, "science", 10, _terminal(40))


def test_fit_averages_and_repeats() -> None:
    image = np.arange(36.0).reshape(6, 6)
    assert fit(image, 3).shape == (3, 3)
    assert fit(image, 3)[0, 0] == image[:2, :2].mean()
    assert fit(image, 12).shape == (12, 12)
    assert fit(np.zeros((41, 63)), 21).shape == (14, 21)


def test_the_stretch_and_its_inverse() -> None:
    pixels = np.random.default_rng(1).normal(100.0, 3.0, (30, 30))
    pixels[15, 15] = 5000.0
    for name in ("science", "difference"):
        stretch = stretch_of(pixels, name)
        assert stretch is not None
        assert stretch(np.array([5000.0]))[0] == pytest.approx(1.0)
        assert stretch(stretch.inverse(np.array([0.2, 0.7]))) == pytest.approx([0.2, 0.7])
    assert stretch(np.array([0.0]))[0] == pytest.approx(0.5)  # zero is the middle of a difference


def test_colours_of_the_ends() -> None:
    painted = colours(np.array([[0.0, 1.0, np.nan]]), signed=False)
    assert painted.tolist() == [[[68, 1, 84], [253, 231, 37], list(NO_DATA)]]


def test_bars() -> None:
    assert bar(0.5, 8, blocks=False) == "####"
    assert bar(0.53, 8, blocks=True) == "████▎"


def test_text_from_packets_cannot_steer_a_terminal() -> None:
    assert printable("ZTF\x1b[2J\u202e") == "ZTF\\x1b[2J\\u202e"
