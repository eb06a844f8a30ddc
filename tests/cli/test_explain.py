from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .running import EXAMPLES, Run


def test_the_tables(run: Run, tiny_weights: Path, ztf_packet: Path) -> None:
    result = run("explain", ztf_packet, "--weights", tiny_weights, "--bundle", "tiny-ztf", "--class", "SN")
    assert result.exit_code == 0, result.output
    for said in ("tiny-ztf/0.1.0", "why SN", "difference", "integrated gradients", "magpsf", "if missing"):
        assert said in result.stdout


def test_a_temporal_bundle_that_is_found_is_passed_over(run: Run, temporal_weights: Path, ztf_packet: Path) -> None:
    result = run("explain", ztf_packet, "--weights", temporal_weights)
    assert result.exit_code == 0, result.output
    assert "stamp-ztf/" in result.stdout


def test_a_temporal_bundle_can_not_be_explained(run: Run, temporal_weights: Path, ztf_packet: Path) -> None:
    result = run("explain", ztf_packet, "--weights", temporal_weights, "--bundle", "tiny-temporal-ztf")
    assert result.exit_code == 2
    assert "is of the kind temporal, and one of the kind stamp is needed" in result.stderr


@pytest.mark.parametrize("survey", ["ztf", "rubin"])
def test_the_figure(
    run: Run, tiny_weights: Path, tmp_path: Path, survey: str, ztf_packet: Path, rubin_packet: Path
) -> None:
    png = tmp_path / "why.png"
    packet = ztf_packet if survey == "ztf" else rubin_packet
    result = run("explain", packet, "--weights", tiny_weights, "--bundle", f"tiny-{survey}", "--png", png)
    assert result.exit_code == 0, result.output
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert f"figure: {png}" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bundle", "tiny-rubin"], "tiny-rubin/0.1.0 is for rubin alerts; this is of ztf"),
        (["--bundle", "tiny-ztf", "--class", "TDE"], "has no class 'TDE'"),
        ([], "classifiers found for survey ztf: stamp-ztf, tiny-ztf; name one with --bundle"),
        (["--bundle", "tiny-ztf", "--png", "why.jpg"], "must end in .png"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    run: Run, tiny_weights: Path, ztf_packet: Path, options: list[str], said: str
) -> None:
    result = run("explain", ztf_packet, "--weights", tiny_weights, *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_packet_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    packet = tmp_path / "bad.avro"
    packet.write_bytes(b"no packet")
    result = run("explain", packet)
    assert result.exit_code == 1
    assert "can't be read: unreadable" in result.stderr


def test_without_matplotlib(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("explain", next((EXAMPLES / "ztf").glob("*.avro")), "--png", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "needs matplotlib" in result.stderr
