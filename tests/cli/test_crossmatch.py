from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra crossmatch")
pytest.importorskip("astropy_healpix", reason="needs astropy-healpix, of the extra crossmatch")

from .running import Run

TABLE = """designation,alpha,delta,w1mpro,w1sigmpro,w2mpro,w2sigmpro,w3mpro,w3sigmpro,w4mpro,w4sigmpro
J004000.00+200000.0,10.0,20.0,11.5,0.02,11.0,0.03,9.0,0.1,8.0,
J004000.00-200000.0,10.0,-20.0,11.5,0.02,11.0,0.03,9.0,0.1,8.0,0.2
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def catalogue(run: Run, table: Path, tmp_path: Path) -> Path:
    out = tmp_path / "hats"
    assert run("crossmatch", "build", table, "-o", out, "--ra-column", "alpha", "--column", "dec=delta").exit_code == 0
    return out


def test_build_says_what_it_made(run: Run, table: Path, tmp_path: Path) -> None:
    result = run(
        "crossmatch", "build", table, "-o", tmp_path / "out", "--ra-column", "alpha", "--dec-column", "delta",
        "--rows-per-tile", 1,
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{tmp_path / 'out'}: 2 rows in 2 tiles, 0.0 MB, in ")


def test_a_counterpart_is_shown_as_a_table(run: Run, catalogue: Path) -> None:
    result = run("crossmatch", "match", catalogue, 10.0, 20.0 + 1 / 3600)
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0] == "J004000.00+200000.0, separation 1.000 arcsec (hats:hats)"
    cells = [line.split() for line in lines[1:]]
    assert ["W1", "11.500", "0.020", "W1-W2", "0.500"] in cells
    assert ["W3", "9.000", "0.100"] in cells
    assert ["W4", "-", "-"] in cells, "an upper limit"


def test_a_declination_may_be_negative(run: Run, catalogue: Path) -> None:
    assert run("crossmatch", "match", catalogue, "10.0", "-20.0").stdout.startswith(
        "J004000.00-200000.0, separation 0.000"
    )


def test_none_there(run: Run, catalogue: Path) -> None:
    result = run("crossmatch", "match", catalogue, 10.0, 20.001)
    assert (result.exit_code, result.stdout) == (0, "no source within 3 arcsec in hats:hats\n")
    assert run("crossmatch", "match", catalogue, 10.0, 20.001, "--radius", 6).stdout.startswith("J0040")


@pytest.mark.parametrize("place", [(200.0, 95.0), (200.0, 50.0)])
def test_what_is_not_looked_up_ends_with_1(run: Run, catalogue: Path, place: tuple[float, float]) -> None:
    assert run("crossmatch", "match", catalogue, *place).exit_code == 1


def test_a_folder_that_is_no_catalogue(run: Run, tmp_path: Path) -> None:
    result = run("crossmatch", "match", tmp_path, 1.0, 1.0)
    assert result.exit_code == 2
    assert "is no HATS catalogue" in result.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "no column"),
        (("--ra-column", "nonesuch"), "no column"),
        (("--column", "w1mpro"), "OURS=THEIRS"),
        (("--column", "size=w1mpro"), "OURS one of designation, ra"),
    ],
)
def test_columns_that_are_not_there(
    run: Run, table: Path, tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    result = run("crossmatch", "build", table, "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert problem in result.stderr


def test_what_is_there_is_not_overwritten(run: Run, table: Path, tmp_path: Path) -> None:
    result = run("crossmatch", "build", table, "-o", tmp_path)
    assert result.exit_code == 2
    assert "is there already" in result.stderr
